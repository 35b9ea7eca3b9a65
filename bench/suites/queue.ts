import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { existingVolume, withLab } from '../lab';

const VMS = 20;
const JOB = 150;

export const queue: Suite = {
  name: 'queue',
  about: '200 attaches and 200 detaches queued at once over 20 VMs, beside the schedule CloudStack allows',
  run: (bench) =>
    withLab({ cloud: { latencies: { attach: JOB, detach: JOB } } }, async (lab) => {
      const daemon = await lab.startDaemon();
      const api = new ApiClient(daemon.url);
      const perVm = bench.quick ? 2 : 10;
      const vms = Array.from({ length: VMS }, (_, n) => lab.cloud.model.addVm({ name: `vm ${n}` }).id);
      const pairs = vms.flatMap((vmId) =>
        Array.from({ length: perVm }, (_, n) => ({ vmId, volumeId: existingVolume(lab, `queued ${n}`) })),
      );
      bench.progress(`${pairs.length * 2} operations`);
      const begun = performance.now();
      const accepted = await Promise.all(
        pairs.flatMap(({ vmId, volumeId }) => [
          api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, { vm_id: vmId }),
          api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`),
        ]),
      );
      for (const operation of accepted) await api.end(operation);
      const took = performance.now() - begun;
      // CloudStack works on one disk of a VM at a time, on all VMs side by side.
      const ideal = perVm * 2 * JOB;
      bench.add('all ended', took, 'ms', null, `${accepted.length} operations; ideal ${ideal} ms`);
      bench.add('beside the ideal schedule', took / ideal, '×', atMost(1.1));
      await daemon.stop();
    }),
};
