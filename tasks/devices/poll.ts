import { defineTask } from 'nitropack/runtime';
import { runScheduled } from '../../server/http/run-scheduled';

/** The specification's 2-second device poll. In standby too: questions about devices are answered there. */
export default defineTask({
  meta: { name: 'devices:poll', description: 'Looks at the disks of this guest' },
  run: () =>
    runScheduled(['ready', 'standby'], async (daemon) => {
      const { devices } = await daemon.poll();
      return { devices: devices.length };
    }),
});
