import type { Device, Holder } from '../../devices/device';
import { describeHolders, systemWriters } from '../../devices/disk-users';
import { exportName } from '../../model/export-name';
import type { Mapping } from '../../model/operation';
import { type Repair, type RepairStep, reported } from '../repair';
import type { View } from '../view';
import { leads } from './exports';
import { followDisk } from './place';

/**
 * A volume's disk that this system uses is neither mapped nor exported; null when nobody uses it. One that is
 * exported already and that the system may write to gets no new clients: a mounted disk with an NBD client
 * has two writers. Clients that are connected are not cut, because nothing is destroyed by a timer.
 *
 * A disk on the list of own disks that is not mapped is as it should be.
 */
export function judgeUse(view: View, volumeId: string, device: Device): Repair[] | null {
  const users = view.systemUsers(device);
  if (users.length === 0) return null;
  const mapping = view.mapping(volumeId);
  if (mapping === null && leads(view, volumeId) === null && users.some(({ kind }) => kind === 'own'))
    return [];
  const isExported = leads(view, volumeId) === device.path;
  const stays = isExported && systemWriters(users).length === 0;
  const vmId = view.o.applianceVmId;
  const state = isExported ? (stays ? 'stays exported' : 'gets no new NBD clients') : 'is not exported';
  const message = `${device.path} is used by this system, so the volume ${state}: ${describeHolders(users)}`;
  const found = { kind: 'used-by-system' as const, volumeId, vmId, devicePath: device.path, message };
  const steps = [...(stays ? [] : close(view, volumeId)), ...follow(view, mapping, device)];
  return [reported(found, remedyFor(device, users), steps)];
}

/** Whoever asks which disk it is is not told of a letter that another disk has by now. */
function follow(view: View, mapping: Mapping | null, device: Device): RepairStep[] {
  const effects = mapping?.vmId === view.o.applianceVmId ? followDisk(view, mapping, device) : [];
  return effects.length === 0 ? [] : [{ kind: 'rows', effects }];
}

function close(view: View, volumeId: string): RepairStep[] {
  const steps: RepairStep[] = [];
  if (leads(view, volumeId) !== null) steps.push({ kind: 'withdraw', exportName: exportName(volumeId) });
  if (view.record(volumeId)?.status === 'active')
    steps.push({ kind: 'rows', effects: [{ kind: 'set-export-status', volumeId, status: 'failed' }] });
  return steps;
}

function remedyFor({ path, serial }: Device, users: readonly Holder[]): string {
  if (users.every(({ kind }) => kind === 'unknown'))
    return 'let the daemon see what it names: it runs as root with the capabilities of its own unit (systemctl cat volume-daemon)';
  return (
    `if ${path} is a disk of this appliance itself: volumectl device own add ${serial ?? path}; ` +
    'if it is a migrated one, free it (umount, swapoff, vgchange -an, mdadm --stop), and the next sync exports it'
  );
}
