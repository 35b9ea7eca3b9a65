import { defineTask } from 'nitropack/runtime';
import { runScheduled } from '../../server/http/run-scheduled';

export default defineTask({
  meta: { name: 'history:prune', description: 'Deletes ended operations older than HISTORY_DAYS' },
  run: () => runScheduled(['ready'], (daemon) => daemon.prune()),
});
