import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Bench, type Suite } from '../bench';
import { existingVolume, withLab } from '../lab';

const VMS = 20;
/** ms of a CloudStack job: far quicker than any real one, and a quick real one. */
const JOBS = [150, 1000];

export const queue: Suite = {
  name: 'queue',
  about: '200 attaches and 200 detaches queued at once over 20 VMs, beside the schedule CloudStack allows',
  run: async (bench) => {
    for (const job of JOBS)
      await withLab({ cloud: { latencies: { attach: job, detach: job } } }, (lab) =>
        measure(bench, lab, job),
      );
  },
};

async function measure(bench: Bench, lab: LabAppliance, job: number): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const perVm = bench.quick ? 2 : 10;
  // A daemon lives for months: its code is compiled when the callers come.
  await attachAndDetach(lab, api, perVm);
  bench.progress(`${VMS * perVm * 2} operations, jobs of ${job} ms`);
  const took = await attachAndDetach(lab, api, perVm);
  // CloudStack works on one disk of a VM at a time, on all VMs side by side.
  const ideal = perVm * 2 * job;
  bench.add(
    `all ended, jobs of ${job} ms`,
    took,
    'ms',
    null,
    `${VMS * perVm * 2} operations; ideal ${ideal} ms`,
  );
  bench.add(`beside the ideal schedule, jobs of ${job} ms`, took / ideal, '×', atMost(1.1));
  await daemon.stop();
}

/** ms until so many volumes of every VM have been attached and detached, everything asked for at once. */
async function attachAndDetach(lab: LabAppliance, api: ApiClient, perVm: number): Promise<number> {
  const { model } = lab.cloud;
  const vms = Array.from({ length: VMS }, (_, n) => model.addVm({ name: `vm ${n}` }).id);
  const pairs = vms.flatMap((vmId) =>
    Array.from({ length: perVm }, (_, n) => ({ vmId, volumeId: existingVolume(lab, `queued ${n}`) })),
  );
  const begun = performance.now();
  const accepted = await Promise.all(
    // A detach that overtakes its attach would find nothing to do.
    pairs.map(async ({ vmId, volumeId }) => [
      await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, { vm_id: vmId }),
      await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`),
    ]),
  );
  for (const operation of accepted.flat()) await api.end(operation);
  const took = performance.now() - begun;
  const jobs = countJobs(lab, pairs);
  if (jobs !== pairs.length * 2) throw new Error(`CloudStack did ${jobs} jobs, not ${pairs.length * 2}`);
  return took;
}

function countJobs(lab: LabAppliance, pairs: readonly { volumeId: string }[]): number {
  const { model } = lab.cloud;
  return pairs.reduce(
    (sum, { volumeId }) => sum + model.effectsOf(volumeId, 'attach') + model.effectsOf(volumeId, 'detach'),
    0,
  );
}
