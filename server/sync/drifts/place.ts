import type { CloudVolume } from '../../cloudstack/cloud';
import type { Device } from '../../devices/device';
import type { MappingEffect } from '../../model/ledger-writes';
import type { Mapping, NewMapping } from '../../model/operation';
import { mended, type Repair, type RepairStep } from '../repair';
import { localMapping } from '../rows';
import type { View } from '../view';
import { publication } from './exports';

/** The guest has the disk: checks that the mapping names it and its size. Null when it does. */
export function judgePlace(view: View, mapping: Mapping, device: Device): Repair[] | null {
  const { volumeId } = mapping;
  // While CloudStack does not show the volume, the last size that fitted is what counts: a smaller
  // one is not recorded.
  const isShown = view.volume(volumeId) !== 'unseen';
  const size = isShown ? device.size : Math.max(device.size, mapping.size);
  const fresh = { ...localMapping(view, volumeId, device, mapping.matchedBy ?? 'serial'), size };
  const moved = isMoved(mapping, fresh);
  if (!moved && size === mapping.size) return null;
  if (moved && view.mayBeGhost(device, mapping)) return [];
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

/**
 * The row that names the disk where it is now, for a volume that is not served: it keeps the last size that
 * fitted. Empty when the mapping names it already, and as `remap` says.
 */
export function followDisk(view: View, mapping: Mapping, device: Device): MappingEffect[] {
  const fresh = localMapping(view, mapping.volumeId, device, mapping.matchedBy ?? 'serial');
  const row = isMoved(mapping, fresh) ? rowOf(view, { ...fresh, size: mapping.size }) : null;
  return row === null ? [] : [row];
}

/** Attached here, its disk is known and fits, and there is no mapping. */
export function mapAnew(view: View, volume: CloudVolume, device: Device): Repair[] {
  if (view.mayBeGhost(device, null)) return [];
  const found = { volumeId: volume.id, vmId: view.o.applianceVmId, devicePath: device.path };
  const steps = remap(view, localMapping(view, volume.id, device, 'serial'), device);
  if (steps === null) return [];
  const message = 'the volume is attached here and has no mapping';
  return [mended({ kind: 'unmapped-volume', ...found, message }, steps)];
}

/**
 * Null while an operation is in flight on a volume whose mapping would lose the path: left for the next run.
 */
function remap(view: View, mapping: NewMapping, device: Device): RepairStep[] | null {
  const row = rowOf(view, mapping);
  return row === null
    ? null
    : [{ kind: 'rows', effects: [row] }, ...publication(view, mapping.volumeId, device)];
}

/** The row of this mapping, which takes the path from others. Null as for `remap`. */
function rowOf(view: View, mapping: NewMapping): MappingEffect | null {
  const displaces = view.sharingPath(mapping.volumeId, mapping.devicePath);
  if (displaces.some((id) => view.o.busy.has(id))) return null;
  return { kind: 'put-mapping', mapping, displaces };
}

/** The disk has another path, or is another plug, than the mapping says. */
function isMoved(mapping: Mapping, fresh: NewMapping): boolean {
  return (
    mapping.devicePath !== fresh.devicePath ||
    mapping.linuxState !== fresh.linuxState ||
    mapping.serial !== fresh.serial ||
    mapping.diskseq !== fresh.diskseq ||
    mapping.bootId !== fresh.bootId
  );
}
