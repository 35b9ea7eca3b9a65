import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { existingVolume, INSTANT, withLab } from '../lab';
import { distribution, openHandles, residentMiB, times } from '../measure';

const PARTS = 10;
const CLIENTS = 16;

export const soak: Suite = {
  name: 'soak',
  about: '100,000 operations with short jobs: errors, and whether memory and latency stay flat',
  onDemand: true,
  run: (bench) =>
    withLab({ cloud: { latencies: INSTANT } }, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const volumes = Array.from({ length: CLIENTS }, (_, n) => existingVolume(lab, `soaked ${n}`));
      const vms = volumes.map((_, n) => lab.cloud.model.addVm({ name: `vm ${n}` }).id);
      const pairs = (bench.quick ? 400 : 100_000) / 2 / PARTS;
      const seen: { p99: number; rss: number; handles: number }[] = [];
      for (let part = 1; part <= PARTS; part += 1) {
        bench.progress(`part ${part} of ${PARTS}`);
        const free = [...volumes.keys()];
        const { samples } = await times(pairs, CLIENTS, async () => {
          const n = free.pop();
          if (n === undefined) throw new Error('more clients than volumes');
          const path = `/api/v1/volumes/${volumes[n]}`;
          await api.end(await api.post<OperationReply>(`${path}/attach`, { vm_id: vms[n] }));
          await api.end(await api.post<OperationReply>(`${path}/detach`));
          free.push(n);
        });
        const { p50, p99 } = distribution(samples);
        seen.push({ p99, rss: residentMiB(daemon.pid), handles: openHandles(daemon.pid) });
        bench.add(
          `part ${part}: attach and detach, p50`,
          p50,
          'ms',
          null,
          `p99 ${p99.toFixed(0)} ms, ${residentMiB(daemon.pid).toFixed(0)} MiB`,
        );
      }
      const [first, last] = [seen[1], seen.at(-1)];
      if (!first || !last) throw new Error('nothing was measured');
      bench.add('p99 of the last part beside the second', last.p99 / first.p99, '×', atMost(1.5));
      bench.add('memory of the last part beside the second', last.rss / first.rss, '×', atMost(1.2));
      bench.add('resident memory at the end', last.rss, 'MiB', atMost(120));
      bench.add('descriptors more than after the second part', last.handles - first.handles, '', atMost(8));
      const effects = volumes.reduce(
        (sum, id) => sum + lab.cloud.model.effectsOf(id, 'attach') + lab.cloud.model.effectsOf(id, 'detach'),
        0,
      );
      bench.add(
        'effects lost or doubled',
        Math.abs(effects - pairs * PARTS * 2),
        '',
        atMost(0),
        `of ${pairs * PARTS * 2}`,
      );
      await daemon.stop();
    }),
};
