import { defineTask } from 'nitropack/runtime';
import { whenIn } from '../../server/http/run-scheduled';

export default defineTask({
  meta: { name: 'history:prune', description: 'Deletes ended operations older than HISTORY_DAYS' },
  run: () => whenIn(['ready'], (daemon) => daemon.prune()),
});
