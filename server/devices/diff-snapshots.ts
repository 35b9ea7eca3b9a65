import type { Device, DeviceEventType } from './device';

export interface Change {
  readonly type: DeviceEventType;
  readonly device: Device;
}

interface Look {
  readonly bootId: string | null;
  readonly devices: readonly Device[];
}

/**
 * The changes between two looks, removals first. The same name with another diskseq is a removal and an
 * addition; another boot replaces everything. A serial that becomes known is no event. Pure.
 */
export function diffSnapshots(before: Look, after: Look): Change[] {
  const rebooted = isReboot(before, after);
  const old = new Map(before.devices.map((device) => [device.name, device]));
  const now = new Map(after.devices.map((device) => [device.name, device]));
  const changes: Change[] = [];
  for (const device of before.devices) {
    const current = now.get(device.name);
    if (!current || rebooted || replaced(device, current)) changes.push({ type: 'removed', device });
  }
  for (const device of after.devices) {
    const previous = old.get(device.name);
    if (!previous || rebooted || replaced(previous, device)) changes.push({ type: 'added', device });
    else if (previous.size !== device.size) changes.push({ type: 'changed', device });
  }
  return changes;
}

/** Both boots are known and differ. */
export function isReboot(before: Look, after: Look): boolean {
  return before.bootId !== null && after.bootId !== null && before.bootId !== after.bootId;
}

function replaced(old: Device, now: Device): boolean {
  if (old.diskseq !== now.diskseq) return true;
  if (settled(old) && settled(now)) return old.serial !== now.serial;
  // Without a diskseq (kernel before 5.15) only a new plug is `pending` again (./sysfs/serial-reader.ts).
  return now.diskseq === null && old.serialState !== 'pending' && now.serialState === 'pending';
}

/** The serial, or that there is none, is a fact. */
function settled(device: Device): boolean {
  return device.serialState === 'read' || device.serialState === 'absent';
}
