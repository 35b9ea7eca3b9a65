import type { NewMapping } from './operation';
import { remotePath } from './placeholder-path';

/** A disk, as the guest shows it. */
interface Disk extends Pick<NewMapping, 'size' | 'controller' | 'serial' | 'diskseq'> {
  readonly path: string;
}

/** The row of a volume whose disk is in this guest. */
export function mappingHere(
  { path, size, controller, serial, diskseq }: Disk,
  about: Pick<NewMapping, 'volumeId' | 'vmId' | 'bootId' | 'matchedBy' | 'cloudstackDeviceId'>,
): NewMapping {
  return {
    ...about,
    devicePath: path,
    cloudstackState: 'attached',
    linuxState: 'detected',
    size,
    controller,
    serial,
    diskseq,
  };
}

/** The row of a volume on another VM, into whose guest nobody here can look. */
export function mappingElsewhere(
  {
    id,
    size,
    deviceId,
  }: { readonly id: string; readonly size: number | null; readonly deviceId: number | null },
  vmId: string,
): NewMapping {
  return {
    volumeId: id,
    vmId,
    devicePath: remotePath(vmId, id),
    cloudstackState: 'attached',
    linuxState: 'n/a',
    size: size ?? 0,
    controller: null,
    serial: null,
    diskseq: null,
    bootId: null,
    matchedBy: null,
    cloudstackDeviceId: deviceId,
  };
}
