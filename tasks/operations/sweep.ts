import { defineTask } from 'nitropack/runtime';
import { runScheduled } from '../../server/http/run-scheduled';

export default defineTask({
  meta: { name: 'operations:sweep', description: 'Hands overdue and orphaned operations back to the engine' },
  run: () => runScheduled(['ready'], (daemon) => daemon.sweep()),
});
