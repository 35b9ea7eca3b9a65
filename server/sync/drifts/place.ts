import type { CloudVolume } from '../../cloudstack/cloud';
import type { Device } from '../../devices/device';
import type { Mapping, NewMapping } from '../../model/operation';
import { mended, type Repair, type RepairStep, reported } from '../repair';
import { localMapping } from '../rows';
import type { View } from '../view';
import { publication } from './exports';

/** The guest has the disk: checks that the mapping names it and its size. Null when it does. */
export function judgePlace(view: View, mapping: Mapping, device: Device): Repair[] | null {
  const { volumeId } = mapping;
  const fresh = localMapping(view, volumeId, device, mapping.matchedBy ?? 'serial');
  const moved =
    device.path !== mapping.devicePath || mapping.linuxState !== 'detected' || !samePlug(mapping, fresh);
  if (!moved && device.size === mapping.size) return null;
  const steps = remap(view, fresh, device);
  if (steps === null) return [];
  const found = { volumeId, vmId: view.o.applianceVmId, devicePath: device.path };
  if (!moved) {
    const message = `${device.path} has ${device.size} bytes, the mapping says ${mapping.size}`;
    return [mended({ kind: 'resized', ...found, message }, steps)];
  }
  const was = `${mapping.devicePath} (diskseq ${mapping.diskseq ?? '?'})`;
  const message = `the disk of the volume is ${device.path} (diskseq ${device.diskseq ?? '?'}), the mapping says ${was}`;
  return [mended({ kind: 'letter-moved', ...found, message }, steps)];
}

/** Attached here, its disk is known, and there is no mapping. The size must fit, as for an attach. */
export function mapAnew(view: View, volume: CloudVolume, device: Device): Repair[] {
  const found = { volumeId: volume.id, vmId: view.o.applianceVmId, devicePath: device.path };
  if (device.size < volume.size || device.size > volume.size + view.o.sizeToleranceBytes) {
    const message = `the volume is attached here and is not mapped, because ${device.path} has ${device.size} bytes where CloudStack says ${volume.size}`;
    const remedy =
      `compare: lsblk -b ${device.path}, and cmk list volumes id=${volume.id} filter=size; ` +
      'after a resize stop and start this VM; where storage rounds up by more, raise SIZE_TOLERANCE';
    return [reported({ kind: 'unmapped-volume', ...found, message }, remedy)];
  }
  const steps = remap(view, localMapping(view, volume.id, device, 'serial'), device);
  if (steps === null) return [];
  const message = 'the volume is attached here and has no mapping';
  return [mended({ kind: 'unmapped-volume', ...found, message }, steps)];
}

/**
 * Null while an operation is in flight on a volume whose mapping would lose the path: left for the next run.
 */
function remap(view: View, mapping: NewMapping, device: Device): RepairStep[] | null {
  const displaces = view.sharingPath(mapping.volumeId, device.path);
  if (displaces.some((id) => view.o.busy.has(id))) return null;
  return [
    { kind: 'rows', effects: [{ kind: 'put-mapping', mapping, displaces }] },
    ...publication(view, mapping.volumeId, device),
  ];
}

function samePlug(mapping: Mapping, fresh: NewMapping): boolean {
  return (
    mapping.serial === fresh.serial && mapping.diskseq === fresh.diskseq && mapping.bootId === fresh.bootId
  );
}
