import { defineTask } from 'nitropack/runtime';
import { runScheduled } from '../../server/http/run-scheduled';

/** Ticks every 5 seconds; RECONCILE_INTERVAL decides at which tick a sync is due. */
export default defineTask({
  meta: { name: 'sync:reconcile', description: 'Finds drift and repairs what is safe' },
  run: () =>
    runScheduled(['ready'], async (daemon) => {
      const report = await daemon.reconcile();
      return report === null ? ('skipped' as const) : { drifts: report.drifts.length };
    }),
});
