import { defineTask } from 'nitropack/runtime';
import { runScheduled } from '../../server/http/run-scheduled';

/** The device poll of the specification. Runs in standby too, where reads are still answered. */
export default defineTask({
  meta: { name: 'devices:poll', description: 'Looks at the disks of this guest' },
  run: () =>
    runScheduled(['ready', 'standby'], async (daemon) => {
      const { devices } = await daemon.poll();
      return { devices: devices.length };
    }),
});
