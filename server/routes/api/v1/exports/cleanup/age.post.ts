import { systemClock } from '../../../../../core/clock';
import { cleanUpExportsByAge } from '../../../../../http/endpoints/exports';
import { callerOf } from '../../../../../http/request/caller';
import { exportCleanupReply } from '../../../../../http/response/export-cleanup-reply';
import { serve } from '../../../../../http/serve';

const HOUR_MS = 3_600_000;

export default serve(cleanUpExportsByAge, async ({ event, daemon, body }) => {
  const began = systemClock.monotonic();
  const dryRun = body.dry_run !== false;
  const idleSince = systemClock.now() - body.max_age_hours * HOUR_MS;
  const found = await daemon.orphanedExports.withdraw({ dryRun, idleSince, caller: callerOf(event) });
  return exportCleanupReply(found, { dryRun, tookMs: systemClock.monotonic() - began });
});
