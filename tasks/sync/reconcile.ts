import { defineTask } from 'nitropack/runtime';
import { systemClock } from '../../server/core/clock';
import { LIMITS } from '../../server/core/limits';
import { runScheduled } from '../../server/http/run-scheduled';

/** Every minute, unless something else has just done it. */
export default defineTask({
  meta: { name: 'sync:reconcile', description: 'Finds drift and repairs what is safe' },
  run: () =>
    runScheduled(['ready'], async (daemon) => {
      const { last } = daemon.sync;
      if (last && systemClock.now() - last.finishedAt < LIMITS.RECONCILE_GAP_MS) return 'skipped' as const;
      const { drifts } = await daemon.sync.run({ dryRun: false, reason: 'schedule' });
      return { drifts: drifts.length };
    }),
});
