import { runTask } from 'nitropack/runtime';
import { forceSync as endpoint } from '../../../../http/endpoints/service';
import { serve } from '../../../../http/serve';
import { syncReply } from '../../../../http/service-replies';
import { forceSync, type SyncTaskResult } from '../../../../http/sync-run';
import { systemClock } from '../../../../runtime/clock';
import { currentDaemon } from '../../../../runtime/current';

export default serve(endpoint, async ({ query }) => {
  const report = await forceSync(currentDaemon(), query.dry_run ?? false, async (payload) => {
    const { result } = await runTask<SyncTaskResult>('sync:force', { payload });
    return result;
  });
  return syncReply(report, systemClock.now());
});
