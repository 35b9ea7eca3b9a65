import type { Cloud } from '../cloudstack/cloud';
import type { Clock } from '../core/clock';
import { absent, unknown } from '../model/evidence';
import type { VolumeCatalogue } from './volume-catalogue';

/** The same CloudStack: whatever volume is read or deleted through it is noted in the catalogue. */
export function cataloguedCloud(
  cloud: Cloud,
  catalogue: Pick<VolumeCatalogue, 'note'>,
  clock: Pick<Clock, 'now'>,
): Cloud {
  return {
    capabilities: () => cloud.capabilities(),
    listVolumes: (filter) => cloud.listVolumes(filter),
    readSnapshot: (id) => cloud.readSnapshot(id),
    listSnapshots: (filter) => cloud.listSnapshots(filter),
    readVm: (id) => cloud.readVm(id),
    dataDiskLimit: (vmId) => cloud.dataDiskLimit(vmId),
    readZone: (id) => cloud.readZone(id),
    readDiskOffering: (id) => cloud.readDiskOffering(id),
    listZones: () => cloud.listZones(),
    listDiskOfferings: () => cloud.listDiskOfferings(),
    newVolumeOwner: (appliance) => cloud.newVolumeOwner(appliance),
    queryJob: (jobId) => cloud.queryJob(jobId),
    clockSkewMs: () => cloud.clockSkewMs(),
    submit: (command, jobId, departs) => cloud.submit(command, jobId, departs),
    recoverVolume: (id, departs) => cloud.recoverVolume(id, departs),
    async readVolume(id) {
      const volume = await cloud.readVolume(id);
      // Whoever decides by a denial asks whether the key sees this appliance; here nobody has.
      const isDenied = volume.kind === 'absent';
      catalogue.note(id, isDenied ? unknown(volume.proof, volume.at, volume.by) : volume);
      return volume;
    },
    async deleteVolume(id, departs) {
      const deleted = await cloud.deleteVolume(id, departs);
      catalogue.note(id, absent('CloudStack has deleted it', clock.now(), 'cloudstack'));
      return deleted;
    },
  };
}
