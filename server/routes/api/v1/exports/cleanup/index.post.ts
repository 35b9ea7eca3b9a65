import { systemClock } from '../../../../../core/clock';
import { cleanUpExports } from '../../../../../http/endpoints/exports';
import { callerOf } from '../../../../../http/request/caller';
import { exportCleanupReply } from '../../../../../http/response/export-cleanup-reply';
import { serve } from '../../../../../http/serve';

export default serve(cleanUpExports, async ({ event, daemon, body }) => {
  const began = systemClock.monotonic();
  const dryRun = body.dry_run !== false;
  const found = await daemon.orphanedExports.withdraw({ dryRun, caller: callerOf(event) });
  return exportCleanupReply(found, { dryRun, tookMs: systemClock.monotonic() - began });
});
