import type { Device } from '../devices/device';
import { mappingHere } from '../model/new-mapping';
import type { Match, NewMapping } from '../model/operation';
import { missingPath } from '../model/placeholder-path';
import type { View } from './view';

/** The mapping of a volume to this device of this guest. */
export function localMapping(view: View, volumeId: string, device: Device, matchedBy: Match): NewMapping {
  const volume = view.volume(volumeId);
  const deviceId = typeof volume === 'string' ? null : volume.deviceId;
  return mappingHere(device, {
    volumeId,
    vmId: view.o.applianceVmId,
    bootId: view.bootId,
    matchedBy,
    cloudstackDeviceId: deviceId ?? view.mapping(volumeId)?.cloudstackDeviceId ?? null,
  });
}

/** Attached here according to CloudStack, but the guest has no disk of it. */
export function missingMapping(view: View, volumeId: string, size: number): NewMapping {
  const row = view.mapping(volumeId);
  // The plug in a row of another guest says nothing of a disk of this one.
  const before = row?.vmId === view.o.applianceVmId ? row : null;
  const volume = view.volume(volumeId);
  const deviceId = typeof volume === 'string' ? null : volume.deviceId;
  return {
    volumeId,
    vmId: view.o.applianceVmId,
    devicePath: missingPath(volumeId),
    cloudstackState: 'attached',
    linuxState: 'missing',
    size,
    controller: before?.controller ?? null,
    serial: before?.serial ?? null,
    diskseq: before?.diskseq ?? null,
    bootId: before?.bootId ?? null,
    matchedBy: before?.matchedBy ?? null,
    cloudstackDeviceId: deviceId ?? before?.cloudstackDeviceId ?? null,
  };
}
