import { Rig } from '../rig';
import type { Disks } from './scenarios';
import { Tracer } from './trace';

/** An appliance on which operations are followed to their points. */
export interface Bench {
  readonly rig: Rig;
  readonly tracer: Tracer;
  readonly disks: Disks;
}

export async function openBench(): Promise<Bench> {
  const rig = await Rig.begin({
    cloud: { latencies: { create: 50, attach: 50, detach: 50, remove: 50, vm: 50 } },
    env: { CORRELATION_TIMEOUT: '1500ms' },
  });
  const tracer = new Tracer();
  rig.database.judge = tracer.statement;
  rig.cloud.judge = tracer.call;
  // One disk that is always there: whether any disk of the guest shows a serial must not depend on what else
  // is going on.
  const { zoneId, diskOfferingId } = rig.lab.cloud;
  const body = { name: 'always-there', size: 1024 ** 3, zone_id: zoneId, disk_offering_id: diskOfferingId };
  const { volume_id } = await rig.follow({ method: 'POST', path: '/api/v1/volumes', body });
  const path = `/api/v1/volumes/${volume_id}/attach`;
  await rig.follow({ method: 'POST', path, body: { vm_id: rig.appliance } });
  return { rig, tracer, disks: badlyTreated(rig) };
}

/** A guest that never shows some disks and never lets go of others. */
function badlyTreated({ lab: { guest } }: Rig): Disks {
  const disks: Disks = { unseen: new Set(), stuck: new Set() };
  const plug = guest.plug.bind(guest);
  const unplug = guest.unplug.bind(guest);
  guest.plug = async (disk) => (disks.unseen.has(disk.volumeId) ? undefined : plug(disk));
  guest.unplug = async (volumeId) => {
    if (disks.stuck.has(volumeId)) throw new Error('the guest keeps the disk');
    await unplug(volumeId);
  };
  return disks;
}
