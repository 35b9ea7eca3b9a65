import { defineTask } from 'nitropack/runtime';
import { currentDaemonOrNull } from '../../server/daemon/current';
import type { SyncTaskResult } from '../../server/http/force-sync';

/**
 * Payload `{ dryRun }`; the result is the report, or the error, beside this payload: whoever joins the run of
 * somebody else sees that it is not of his own (server/http/force-sync.ts).
 */
export default defineTask<SyncTaskResult>({
  meta: {
    name: 'sync:force',
    description: 'Compares CloudStack, guest, database and exports, and repairs what is safe',
  },
  run: async ({ payload }) => {
    const daemon = currentDaemonOrNull();
    if (daemon?.phase !== 'ready') return { result: 'skipped' };
    try {
      const report = await daemon.sync.run({ dryRun: payload.dryRun === true, reason: 'force-sync' });
      return { result: { payload, report } };
    } catch (error) {
      return { result: { payload, error } };
    }
  },
});
