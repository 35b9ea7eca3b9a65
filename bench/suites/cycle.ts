import type { LabAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import { atMost, type Suite } from '../bench';
import { DiskWatch } from '../disk-watch';
import { GIB, timeIn, withLab } from '../lab';

/** ms that the simulated jobs take. */
const JOB = 150;

export const cycle: Suite = {
  name: 'cycle',
  about: 'what we add to create, attach, detach and delete: wall time minus the time CloudStack worked',
  run: (bench) =>
    withLab(
      {
        cloud: { latencies: { create: JOB, attach: JOB, detach: JOB, remove: JOB } },
        env: { NBD_BACKEND: 'auto' },
      },
      async (lab) => {
        const daemon = await lab.startDaemon();
        const api = new ApiClient(daemon.url);
        const added = new Map<string, number[]>();
        const measure = async (path: string, method: 'post' | 'delete', body?: unknown) => {
          const since = lab.cloud.model.history.events().at(-1)?.sequence ?? 0;
          const begun = Date.now();
          const ended = await api.end(
            method === 'post'
              ? await api.post<OperationReply>(path, body)
              : await api.delete<OperationReply>(path),
          );
          const wall = timeIn(ended, 'completed_at') - begun;
          added.set(ended.type, [
            ...(added.get(ended.type) ?? []),
            wall - workedSince(lab, since, ended.type),
          ]);
          return ended;
        };
        bench.progress('create, attach, detach, delete');
        const disk = new DiskWatch(lab.database.dir);
        for (let run = 0; run < (bench.quick ? 5 : 60); run += 1) {
          const { volume_id } = await measure('/api/v1/volumes', 'post', {
            name: `bench ${run}`,
            size: GIB,
            zone_id: lab.cloud.zoneId,
            disk_offering_id: lab.cloud.diskOfferingId,
          });
          const path = `/api/v1/volumes/${volume_id}`;
          await measure(`${path}/attach`, 'post', { vm_id: lab.cloud.applianceVmId });
          await measure(`${path}/detach`, 'post');
          await measure(path, 'delete');
        }
        bench.addTimes('a durable write of 4 KiB meanwhile', await disk.stop());
        for (const [type, samples] of added)
          bench.addTimes(`${type}: added by us`, samples, atMost(100), type === 'attach' ? atMost(40) : null);
        await daemon.stop();
      },
    ),
};

/**
 * ms between acceptance and end of the jobs since an event; a delete has no job and takes its time in the
 * call.
 */
function workedSince(lab: LabAppliance, sequence: number, type: string): number {
  if (type === 'delete') return JOB;
  const events = lab.cloud.model.history.events().filter((event) => event.sequence > sequence);
  return events
    .filter(({ what }) => what === 'job-ended')
    .reduce((sum, ended) => {
      const accepted = events.find(({ what, jobId }) => what === 'job-accepted' && jobId === ended.jobId);
      return accepted ? sum + ended.at - accepted.at : sum;
    }, 0);
}
