import { ApiClient, type OperationReply } from '~/lab/client';
import type { DaemonProcess } from '~/lab/daemon';
import { atMost, type Suite } from '../bench';
import { existingVolume, withLab } from '../lab';
import { times } from '../measure';

const JOB = 150;
const VMS = 20;
/** More than VMs, so that none of them waits for a caller. */
const CLIENTS = 100;

export const cluster: Suite = {
  name: 'cluster',
  about: 'one appliance and three, on one database and one CloudStack',
  run: (bench) =>
    withLab({ cloud: { latencies: { attach: JOB, detach: JOB } } }, async (lab) => {
      const { model } = lab.cloud;
      const appliances = [1, 2, 3].map((n) => model.addVm({ name: `appliance ${n}` }).id);
      const vms = Array.from({ length: VMS }, (_, n) => model.addVm({ name: `vm ${n}` }).id);
      const daemons: DaemonProcess[] = [];
      const operations = bench.quick ? 60 : 900;
      for (const wanted of [1, 3]) {
        for (const [index, vmId] of appliances.entries())
          if (index < wanted && !daemons[index])
            daemons.push(
              await lab.startDaemon({
                env: {
                  OMA_VM_ID: vmId,
                  STATE_DIRECTORY: `${lab.dir}/state-${index}`,
                  RUNTIME_DIRECTORY: `${lab.dir}/run-${index}`,
                },
              }),
            );
        bench.progress(`${operations} operations over ${wanted} daemon(s)`);
        const apis = daemons.map(({ url }) => new ApiClient(url));
        const volumes = Array.from({ length: operations / 2 }, (_, n) => existingVolume(lab, `shared ${n}`));
        const begun = performance.now();
        await times(volumes.length, CLIENTS, async (n) => {
          const api = apis[n % apis.length];
          if (!api) throw new Error('no daemon');
          const path = `/api/v1/volumes/${volumes[n]}`;
          await api.end(await api.post<OperationReply>(`${path}/attach`, { vm_id: vms[n % vms.length] }));
          await api.end(await api.post<OperationReply>(`${path}/detach`));
        });
        const perSecond = (operations / (performance.now() - begun)) * 1000;
        const twice = volumes.filter(
          (id) => model.effectsOf(id, 'attach') !== 1 || model.effectsOf(id, 'detach') !== 1,
        ).length;
        bench.add(
          `operations, ${wanted} daemon(s)`,
          perSecond,
          '1/s',
          null,
          `CloudStack allows ${((VMS * 1000) / JOB).toFixed(0)}/s`,
        );
        bench.add(`effects lost or doubled, ${wanted} daemon(s)`, twice, '', atMost(0));
      }
      await Promise.all(daemons.map((daemon) => daemon.stop()));
    }),
};
