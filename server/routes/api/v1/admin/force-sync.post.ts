import { runTask } from 'nitropack/runtime';
import { systemClock } from '../../../../core/clock';
import { currentDaemon } from '../../../../daemon/current';
import { forceSync as endpoint } from '../../../../http/endpoints/service';
import { syncReply } from '../../../../http/response/service-replies';
import { serve } from '../../../../http/serve';
import { forceSync, type SyncTaskResult } from '../../../../http/force-sync';

export default serve(endpoint, async ({ query }) => {
  const report = await forceSync(currentDaemon(), query.dry_run ?? false, async (payload) => {
    const { result } = await runTask<SyncTaskResult>('sync:force', { payload });
    return result;
  });
  return syncReply(report, systemClock.now());
});
