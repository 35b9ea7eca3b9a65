import type { CloudVolume } from '../../cloudstack/cloud';
import type { Device } from '../../devices/device';
import { compareSize, sizeRemedy } from '../../devices/disk-size';
import { exportName } from '../../model/export-name';
import { type Repair, type RepairStep, reported } from '../repair';
import type { View } from '../view';
import { leads } from './exports';
import { followDisk } from './place';

/**
 * The disk of a volume has another size than CloudStack says: resized there and not here, or not the disk
 * that it should be. It is not served until the sizes agree. Null when it fits; nothing is judged while
 * CloudStack works on the volume.
 */
export function judgeSize(view: View, volume: CloudVolume, device: Device): Repair[] | null {
  const fit = compareSize(device.size, volume.size, view.o.sizeToleranceBytes);
  if (fit === 'fits') return null;
  if (view.isMoving(volume)) return [];
  const vmId = view.o.applianceVmId;
  const message = `${device.path} has ${device.size} bytes where CloudStack says ${volume.size ?? 'nothing'}`;
  const found = {
    kind: 'size-mismatch' as const,
    volumeId: volume.id,
    vmId,
    devicePath: device.path,
    message,
  };
  return [reported(found, sizeRemedy(fit, device.path, volume.id), contain(view, volume.id, device))];
}

/**
 * Closes the export. A mapping goes on naming the disk, and keeps the last size that fitted: that size is
 * what counts while CloudStack cannot be asked.
 */
function contain(view: View, volumeId: string, device: Device): RepairStep[] {
  const mapping = view.mapping(volumeId);
  if (mapping?.vmId !== view.o.applianceVmId) return [];
  const steps: RepairStep[] = [];
  const active = view.record(volumeId)?.status === 'active';
  if (active || leads(view, volumeId) !== null)
    steps.push({ kind: 'withdraw', exportName: exportName(volumeId) });
  const effects = followDisk(view, mapping, device);
  if (active) effects.push({ kind: 'set-export-status', volumeId, status: 'failed' });
  if (effects.length > 0) steps.push({ kind: 'rows', effects });
  return steps;
}
