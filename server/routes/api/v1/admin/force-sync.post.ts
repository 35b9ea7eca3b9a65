import { runTask } from 'nitropack/runtime';
import { systemClock } from '../../../../core/clock';
import { forceSync as endpoint } from '../../../../http/endpoints/service';
import { forceSync, type SyncTaskResult } from '../../../../http/force-sync';
import { syncReply } from '../../../../http/response/service-replies';
import { serve } from '../../../../http/serve';

export default serve(endpoint, async ({ daemon, query, body }) => {
  const dryRun = query.dry_run === true || body.dry_run === true;
  const report = await forceSync(daemon, dryRun, async (payload) => {
    const { result } = await runTask<SyncTaskResult>('sync:force', { payload });
    return result;
  });
  return syncReply(report, systemClock.now());
});
