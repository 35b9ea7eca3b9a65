import { defineTask } from 'nitropack/runtime';
import { whenIn } from '../../server/http/scheduled';

/** Ticks every 5 seconds; RECONCILE_INTERVAL decides at which tick a sync is due. */
export default defineTask({
  meta: { name: 'sync:reconcile', description: 'Finds drift and repairs what is safe' },
  run: () =>
    whenIn(['ready'], async (daemon) => {
      const report = await daemon.reconcile();
      return report === null ? ('skipped' as const) : { drifts: report.drifts.length };
    }),
});
