import { randomUUID } from 'node:crypto';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { pause, settled, withLab } from '../lab';
import { cpuTime, openHandles, residentMiB, times } from '../measure';

export const footprint: Suite = {
  name: 'footprint',
  about: 'memory, CPU and descriptors of an idle daemon, before and after work',
  run: (bench) =>
    withLab({}, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const idle = async (label: string) => {
        const seconds = bench.quick ? 5 : 60;
        bench.progress(`idle for ${seconds} s ${label}`);
        // Once the code of the start is compiled, and V8 has given the memory of the work back, which it does
        // in several rounds over half a minute.
        await pause(bench.quick ? 2_000 : 45_000);
        const before = cpuTime(daemon.pid);
        await pause(seconds * 1000);
        bench.add(
          `idle CPU ${label}`,
          (cpuTime(daemon.pid) - before) / (seconds * 10),
          '% of a core',
          atMost(0.2),
        );
        bench.add(`resident memory ${label}`, residentMiB(daemon.pid), 'MiB', atMost(90));
        bench.add(`open descriptors ${label}`, openHandles(daemon.pid), '');
      };
      await idle('after the start');
      const n = bench.quick ? 200 : 5000;
      bench.progress(`${n} operations`);
      await times(n, 16, () => api.post<OperationReply>(`/api/v1/volumes/${randomUUID()}/detach`));
      await settled(api);
      await idle(`after ${n} operations`);
      await daemon.stop();
    }),
};
