import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { existingVolume, settled, withLab } from '../lab';
import { times } from '../measure';
import { addOperations } from '../rows';

export const start: Suite = {
  name: 'start',
  about: 'start to ready with 1 M operations and 500 to resume; drain',
  run: (bench) =>
    withLab({ cloud: { latencies: { attach: 300 } } }, async (lab) => {
      await (await lab.startDaemon()).stop();
      const rows = bench.quick ? 10_000 : 1_000_000;
      bench.progress(`${rows.toLocaleString('en-US')} operations`);
      await addOperations(lab, { from: 0, to: rows });
      const ready: number[] = [];
      for (let run = 0; run < (bench.quick ? 2 : 10); run += 1) {
        const daemon = await lab.startDaemon();
        ready.push(daemon.readyAfter);
        await daemon.stop();
      }
      bench.addTimes(`start to ready, ${rows.toLocaleString('en-US')} operations`, ready, atMost(1000));

      bench.progress('500 operations to resume');
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const vms = Array.from({ length: 50 }, (_, n) => lab.cloud.model.addVm({ name: `vm ${n}` }).id);
      const volumes = Array.from({ length: 500 }, (_, n) => existingVolume(lab, `resumed ${n}`));
      await times(500, 16, (n) =>
        api.post<OperationReply>(`/api/v1/volumes/${volumes[n]}/attach`, { vm_id: vms[n % vms.length] }),
      );
      await daemon.kill();
      const again = await lab.startDaemon();
      bench.add('start to ready, 500 operations to resume', again.readyAfter, 'ms', atMost(1000));
      const begun = performance.now();
      const code = await again.stop();
      bench.add(
        'drain under load: SIGTERM to exit',
        performance.now() - begun,
        'ms',
        atMost(10_000),
        `exit code ${code}`,
      );
      const last = await lab.startDaemon();
      await settled(new ApiClient(last.url));
      const twice = volumes.filter((id) => lab.cloud.model.effectsOf(id, 'attach') !== 1).length;
      bench.add('volumes not attached exactly once', twice, '', atMost(0));
      await last.stop();
    }),
};
