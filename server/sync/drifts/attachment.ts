import type { CloudVolume } from '../../cloudstack/cloud';
import type { Device } from '../../devices/device';
import { expectedSerial, isVolumeSerial, serialNames } from '../../devices/serial';
import { exportName, exportNameOf } from '../../model/export-name';
import type { MappingEffect } from '../../model/ledger-writes';
import { mappingElsewhere } from '../../model/new-mapping';
import type { Mapping } from '../../model/operation';
import { mended, type Repair, type RepairStep, reported } from '../repair';
import { missingMapping } from '../rows';
import { type View, whereabouts } from '../view';
import { judgeExport, leads, misleadingExport } from './exports';
import { judgePlace, mapAnew } from './place';
import { judgeSize } from './size';
import { judgeUse } from './use';

/** A mapping to this guest: checks that the volume is attached here and the guest has its disk. */
export function judgeAttachment(view: View, mapping: Mapping): Repair[] {
  const volume = view.volume(mapping.volumeId);
  if (volume === 'absent' || (volume !== 'unseen' && volume.vmId !== view.o.applianceVmId))
    return judgeGone(view, mapping, volume);
  const device = view.deviceOf(mapping.volumeId);
  if (device === 'unknown') return [];
  // Only CloudStack can tell whether it is a phantom; an export that leads to another disk is wrong in any
  // case.
  if (device === null)
    return volume === 'unseen' ? misleadingExport(view, mapping) : [phantom(view, mapping.volumeId, volume)];
  const used = judgeUse(view, mapping.volumeId, device);
  const wrongSize = volume === 'unseen' ? null : judgeSize(view, volume, device);
  // Both are judged: where it is not known who uses a disk, it stays exported, but not with a wrong size.
  if (used !== null) return [...used, ...(wrongSize ?? [])];
  return wrongSize ?? judgePlace(view, mapping, device) ?? judgeExport(view, mapping, device);
}

/** A mapping to another VM: only its row can be wrong, and its disk may have stayed in this guest. */
export function judgeElsewhere(view: View, mapping: Mapping): Repair[] {
  const volume = view.volume(mapping.volumeId);
  if (volume === 'unseen') return [];
  const rows = rowsWithout(view, mapping, volume);
  if (volume === 'absent') return [stale(mapping, volume, rows)];
  if (view.isMoving(volume)) return [];
  const here = judgeUnmapped(view, volume);
  if (volume.vmId === mapping.vmId) return here;
  if (volume.vmId !== view.o.applianceVmId) return [stale(mapping, volume, rows), ...here];
  // A volume that has come here gets its row here, at once or with a later look, unless its disk forbids it.
  const forbidden = here.length > 0 && !here.some(({ steps }) => steps.some(({ kind }) => kind === 'rows'));
  return forbidden ? [stale(mapping, volume, rows), ...here] : here;
}

/** A volume without a mapping to this guest: attached here, or the ghost of one that is not. */
export function judgeUnmapped(view: View, volume: CloudVolume): Repair[] {
  if (volume.vmId !== view.o.applianceVmId) return judgeGhost(view, volume);
  if (volume.type === 'ROOT' || view.isMoving(volume)) return [];
  const device = view.deviceOf(volume.id);
  if (device === 'unknown') return [];
  if (device === null) return [phantom(view, volume.id, volume)];
  return (
    judgeUse(view, volume.id, device) ?? judgeSize(view, volume, device) ?? mapAnew(view, volume, device)
  );
}

/**
 * A volume that is attached elsewhere or nowhere: its disk may have stayed in this guest. So may that of a
 * migrated system disk, which is the root disk of its new VM. Where the guest does not tell what `/` stands
 * on, a root disk may be our own, under an id of this VM that is wrong.
 */
export function judgeGhost(view: View, volume: CloudVolume): Repair[] {
  const isHere = volume.vmId === view.o.applianceVmId;
  if (isHere || view.isMoving(volume)) return [];
  const device = view.deviceOf(volume.id);
  if (device === null || device === 'unknown') return [];
  const mayBeOurs = volume.type === 'ROOT' && device.root !== false;
  return mayBeOurs ? [] : [ghost(view, volume.id, device, volume, [])];
}

/** CloudStack says that the volume is not attached here (any more). */
function judgeGone(view: View, mapping: Mapping, volume: CloudVolume | 'absent'): Repair[] {
  const device = view.deviceOf(mapping.volumeId);
  if (volume !== 'absent' && view.isMoving(volume)) {
    const right = device === 'unknown' || leads(view, mapping.volumeId) === device?.path;
    return right ? [] : misleadingExport(view, mapping);
  }
  const steps: RepairStep[] = [
    // The row of another program may name no UUID: then there is no such export, and nothing is withdrawn.
    { kind: 'withdraw', exportName: exportNameOf(mapping.volumeId) },
    ...rowsWithout(view, mapping, volume),
  ];
  if (device !== null && device !== 'unknown') return [ghost(view, mapping.volumeId, device, volume, steps)];
  return [stale(mapping, volume, steps)];
}

/** Deletes only the row for that VM: a new row for another VM may have been written meanwhile. */
function rowsWithout(view: View, { volumeId, vmId }: Mapping, volume: CloudVolume | 'absent'): RepairStep[] {
  const effects: MappingEffect[] = [{ kind: 'delete-mapping', volumeId, vmId }];
  if (volume !== 'absent' && volume.vmId !== null && volume.vmId !== view.o.applianceVmId)
    effects.push({ kind: 'put-mapping', mapping: mappingElsewhere(volume, volume.vmId) });
  return [{ kind: 'rows', effects }];
}

function stale(mapping: Mapping, volume: CloudVolume | 'absent', steps: readonly RepairStep[]): Repair {
  const { volumeId, vmId, devicePath } = mapping;
  const message = `the volume ${whereabouts(volume)} in CloudStack, the mapping says VM ${vmId}`;
  return mended({ kind: 'stale-mapping', volumeId, vmId, devicePath, message }, steps);
}

/** The guest still has a disk that CloudStack has detached (apache/cloudstack#14214). */
function ghost(
  view: View,
  volumeId: string,
  device: Device,
  volume: CloudVolume | 'absent',
  steps: readonly RepairStep[],
): Repair {
  const vmId = view.o.applianceVmId;
  const serial = device.serial ?? 'unknown';
  const message = `the guest still has the disk ${device.path} (serial ${serial}), but the volume ${whereabouts(volume)} in CloudStack`;
  const remedy = unplugging(vmId, device.path, serial);
  return reported({ kind: 'ghost-disk', volumeId, vmId, devicePath: device.path, message }, remedy, steps);
}

/** The command that unplugs the disk by hand: libvirt knows a VM by its CloudStack id. */
function unplugging(vmId: string, path: string, serial: string): string {
  return (
    `make sure nobody writes to ${path}; then on the hypervisor: virsh dumpxml ${vmId} | grep -B 12 ${serial} (shows the target), ` +
    `virsh detach-disk ${vmId} <target> --live; or stop and start this VM: cmk stop virtualmachine id=${vmId}, cmk start virtualmachine id=${vmId}`
  );
}

/**
 * A disk whose serial belongs to no volume shown to this key: the ghost of a deleted volume, or the disk of a
 * volume that the key does not see. Which of the two is not known, so the remedy never removes a disk.
 */
export function judgeStrangers(view: View): Repair[] {
  const { guest, volumes, applianceVmId: vmId } = view.o;
  if (guest === null || volumes === null) return [];
  const known = [
    ...volumes.map(({ id }) => id),
    ...view.o.mappings.map(({ volumeId }) => volumeId),
    ...view.o.busy,
  ];
  return guest.devices
    .filter(({ name, serial }) => !view.isRoot(name) && isVolumeSerial(serial))
    .filter(({ serial }) => !known.some((id) => serialNames(id, serial)))
    .map((device) => {
      const { path, serial } = device;
      const named = (id: string) => serialNames(id, serial);
      const gone = [...view.o.absent.keys()].find(named);
      if (gone !== undefined) return ghost(view, gone, device, 'absent', []);
      const hidden = [...view.o.hidden.keys()].find(named);
      if (hidden !== undefined) return hiddenDisk(view, hidden, device);
      const message = `the guest has the disk ${path} (serial ${serial ?? ''}), and CloudStack shows no volume with that serial to this key`;
      const remedy =
        `find its volume with a key that may: cmk list volumes listall=true projectid=-1 virtualmachineid=${vmId}; let the key of ` +
        'ossea_configs see it. Only when it is certain that the volume was deleted is the disk a ghost (see docs/guides/runbooks.md)';
      return reported({ kind: 'not-visible', volumeId: null, vmId, devicePath: path, message }, remedy);
    });
}

/** A disk of a volume that an operation here has named, and that CloudStack does not show. */
function hiddenDisk(view: View, volumeId: string, { path, serial }: Device): Repair {
  const vmId = view.o.applianceVmId;
  const why = view.o.hidden.get(volumeId) ?? '';
  const message = `the guest has the disk ${path} (serial ${serial ?? ''}) of volume ${volumeId}, which is not visible to this key: ${why}`;
  const remedy = `look at it with a key that may: cmk list volumes id=${volumeId} listall=true projectid=-1; let the key of ossea_configs see it`;
  return reported({ kind: 'not-visible', volumeId, vmId, devicePath: path, message }, remedy);
}

/**
 * CloudStack says attached here, but the guest has no such disk (apache/cloudstack#12405): row and export
 * must not name one.
 */
function phantom(view: View, volumeId: string, volume: CloudVolume): Repair {
  const vmId = view.o.applianceVmId;
  const mapping = view.mapping(volumeId);
  const serial = mapping?.serial ?? expectedSerial(volumeId);
  const restart = `stop and start this VM: cmk stop virtualmachine id=${vmId}, cmk start virtualmachine id=${vmId}`;
  const devicePath = mapping?.vmId === vmId ? mapping.devicePath : null;
  const found = { kind: 'phantom-attach' as const, volumeId, vmId, devicePath };
  const steps = mapping ? contain(view, mapping, volume) : [];
  const other = view.onOtherBus(volumeId);
  if (other) {
    const message = `the disk of the volume is ${other.path} (${other.bus}), on a bus on which no volume is served`;
    const remedy =
      'set dataDiskController=virtio or scsi (rootDiskController where that is not set) in the details of the VM or its template, then ' +
      restart;
    return reported({ ...found, message }, remedy, steps);
  }
  const message = `CloudStack says attached here, but this guest has no disk with serial ${serial}`;
  const remedy =
    `detach and attach the volume again: POST /api/v1/volumes/${volumeId}/detach, then POST /api/v1/volumes/${volumeId}/attach with {"vm_id":"${vmId}"}; ` +
    `or ${restart}`;
  return reported({ ...found, message }, remedy, steps, 'reattach');
}

function contain(view: View, mapping: Mapping, volume: CloudVolume): RepairStep[] {
  const { volumeId } = mapping;
  const steps: RepairStep[] = [];
  const here = mapping.vmId === view.o.applianceVmId;
  const known = here && mapping.linuxState === 'missing';
  const active = view.record(volumeId)?.status === 'active';
  if (here && (!known || active || leads(view, volumeId) !== null))
    steps.push({ kind: 'withdraw', exportName: exportName(volumeId) });
  const effects: MappingEffect[] = [];
  if (!known) {
    const size = here ? mapping.size : (volume.size ?? 0);
    effects.push({ kind: 'put-mapping', mapping: missingMapping(view, volumeId, size) });
  }
  if (active) effects.push({ kind: 'set-export-status', volumeId, status: 'failed' });
  if (effects.length > 0) steps.push({ kind: 'rows', effects });
  return steps;
}
