import { randomUUID } from 'node:crypto';
import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { createCloud, type HttpCloud } from '~/server/cloudstack/http-cloud';
import { jobPollDelayMs } from '~/server/cloudstack/job-poll-delay';
import { CloudSettings } from '~/server/cloudstack/settings';
import { systemClock } from '~/server/core/clock';
import { silentLogger } from '~/server/core/log/logger';
import { parseDsn } from '~/server/database/connection/dsn';
import { openPool } from '~/server/database/connection/pool';
import { readOsseaConfigs } from '~/server/database/ossea-configs';
import { atMost, type Bench, type Suite } from '../bench';
import { existingVolume, GIB, pause, withLab } from '../lab';

const VMS = 20;
/**
 * A daemon lives for months: its code is compiled when the callers come. How often it has done the same
 * before.
 */
const WARM_UPS = 3;
/** ms of a CloudStack job: far quicker than any real one, and a quick real one. */
const JOBS = [150, 1000];

export const queue: Suite = {
  name: 'queue',
  about: '200 attaches and 200 detaches at once over 20 VMs, and 200 creates, beside what CloudStack allows',
  run: async (bench) => {
    for (const job of JOBS)
      await withLab({ cloud: { latencies: { attach: job, detach: job, create: job } } }, async (lab) => {
        await measure(bench, lab, job);
        await measureCreates(bench, lab, job);
      });
  },
};

async function measure(bench: Bench, lab: LabAppliance, job: number): Promise<void> {
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const perVm = bench.quick ? 2 : 10;
  for (let run = 0; run < WARM_UPS; run += 1) await attachAndDetach(lab, api, perVm);
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

/**
 * As many creates at once through the daemon, and asked of CloudStack directly: what it allows on this
 * machine.
 */
async function measureCreates(bench: Bench, lab: LabAppliance, job: number): Promise<void> {
  const count = bench.quick ? 20 : 200;
  const daemon = await lab.startDaemon();
  const api = new ApiClient(daemon.url);
  const { zoneId, diskOfferingId } = lab.cloud;
  const body = () => ({ name: randomUUID(), size: GIB, zone_id: zoneId, disk_offering_id: diskOfferingId });
  const create = () => api.post<OperationReply>('/api/v1/volumes', body());
  const ours = async () => {
    for (const operation of await atOnce(count, create)) await api.end(operation);
  };
  for (let run = 0; run < WARM_UPS; run += 1) await ours();
  bench.progress(`${count} creates, jobs of ${job} ms`);
  const took = await timeOf(ours);
  await daemon.stop();
  const pool = openPool(parseDsn(lab.database.dsn));
  const cloud = directCloud(() => readOsseaConfigs(pool.kysely));
  const bare = () => atOnce(count, () => createDirectly(cloud, { zoneId, diskOfferingId }, count));
  await bare();
  const ideal = await timeOf(bare);
  await pool.close();
  const detail = `${count} creates; asked of CloudStack directly ${ideal.toFixed(0)} ms`;
  bench.add(`all creates ended, jobs of ${job} ms`, took, 'ms', null, detail);
  bench.add(`creates beside what CloudStack allows, jobs of ${job} ms`, took / ideal, '×', atMost(1.15));
}

const atOnce = <T>(count: number, work: () => Promise<T>) =>
  Promise.all(Array.from({ length: count }, () => work()));

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

function directCloud(readRows: ConstructorParameters<typeof CloudSettings>[0]['readRows']): HttpCloud {
  const parts = { clock: systemClock, logger: silentLogger };
  const settings = new CloudSettings({ ...parts, readRows, encryptionKey: null, register: () => {} });
  return createCloud({ ...parts, settings });
}

/** The call that makes a volume, and the questions whether its job has ended, as often as the daemon asks. */
async function createDirectly(
  cloud: HttpCloud,
  { zoneId, diskOfferingId }: { readonly zoneId: string; readonly diskOfferingId: string },
  count: number,
): Promise<void> {
  const jobId = randomUUID();
  const volume = { volumeName: jobId, zoneId, diskOfferingId, sizeGiB: 1, owner: null };
  await cloud.submit({ name: 'createVolume', ...volume }, jobId);
  const begun = performance.now();
  for (let poll = 0; ; poll += 1) {
    await pause(jobPollDelayMs(poll, performance.now() - begun, count));
    const job = await cloud.queryJob(jobId);
    if (job?.status === 'succeeded') return;
    if (job?.status !== 'pending') throw new Error(`the job of a create has ended as ${job?.status}`);
  }
}
