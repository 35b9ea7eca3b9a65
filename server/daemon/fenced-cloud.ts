import type { Cloud, Departure } from '../cloudstack/cloud';
import { DaemonError } from '../core/errors';

/**
 * CloudStack knows no epoch. So that an owner whose process stood still (SIGSTOP, a paused VM, a long pause
 * of the machine), or waited for the database that has its credentials, does not send on what it had
 * decided before, what changes something leaves only while the lease is held at that very moment. Throws
 * LEASE_LOST; nothing was sent.
 */
export function fencedCloud(cloud: Cloud, isOwner: () => boolean): Cloud {
  const fenced =
    (departs: Departure = () => {}): Departure =>
    () => {
      if (!isOwner())
        throw new DaemonError(
          'LEASE_LOST',
          'The lease of the appliance has ended; nothing was sent to CloudStack',
        );
      departs();
    };
  return {
    capabilities: () => cloud.capabilities(),
    readVolume: (id) => cloud.readVolume(id),
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
    submit: (command, jobId, departs) => cloud.submit(command, jobId, fenced(departs)),
    deleteVolume: (id, departs) => cloud.deleteVolume(id, fenced(departs)),
    recoverVolume: (id, departs) => cloud.recoverVolume(id, fenced(departs)),
  };
}
