import { DaemonError } from '../core/errors';
import type { Mapping } from '../model/operation';
import type { Device, DeviceSnapshot } from './device';

/** What a mapping remembers of its disk. */
export type RecordedIdentity = Pick<Mapping, 'devicePath' | 'serial' | 'diskseq' | 'bootId'>;
type Identity = { readonly ok: true } | { readonly ok: false; readonly reason: string };
type VerifiedDevice =
  | { readonly device: Device; readonly reason: null }
  /** Why there is none, in words. */
  | { readonly device: null; readonly reason: string };

/**
 * The device at the mapping's path, provided that it is still the disk of the mapping. Of two disks with one
 * serial (a ghost, or volumes whose ids begin alike) only the plug tells which it is. Pure, never throws.
 *
 * @example
 * const { device, reason } = verifiedDevice(mapping, await watcher.scan());
 * if (device === null) throw new Error(reason);
 */
export function verifiedDevice(
  mapping: RecordedIdentity,
  { devices, bootId }: Pick<DeviceSnapshot, 'devices' | 'bootId'>,
): VerifiedDevice {
  const device = devices.find(({ path }) => path === mapping.devicePath);
  if (!device) return { device: null, reason: goneText(mapping) };
  const identity = verifyIdentity(mapping, device, bootId);
  if (!identity.ok) return { device: null, reason: identity.reason };
  const alike = devices.filter(({ serial }) => isSerialOf(mapping, serial));
  if (alike.length <= 1 || comparePlug(mapping, device, bootId) === 'same') return { device, reason: null };
  const paths = alike.map(({ path }) => path).join(', ');
  return { device: null, reason: `${paths} have the same serial ${mapping.serial ?? ''}` };
}

/**
 * A mapping whose device is another disk (or gone) is reported as missing, never as the volume's. Callers
 * open the path that they are told: before the first look after a start, and while the guest cannot be read,
 * a letter of before is not told. Nor is it called missing while the serial of the disk there is being read.
 * Throws DEVICES_UNREADABLE.
 */
export function checkedMapping(
  mapping: Mapping,
  applianceVmId: string | null,
  snapshot: Pick<DeviceSnapshot, 'devices' | 'bootId' | 'scanned'>,
): Mapping {
  if (mapping.linuxState !== 'detected' || mapping.vmId !== applianceVmId) return mapping;
  const { scanned, devices } = snapshot;
  if (scanned && verifiedDevice(mapping, snapshot).device) return mapping;
  const isPending = ({ path, serialState }: Device) =>
    path === mapping.devicePath && serialState === 'pending';
  if (!scanned || devices.some(isPending)) throw notRead(`which one is volume ${mapping.volumeId}`);
  return { ...mapping, linuxState: 'missing' };
}

/** Throws DEVICES_UNREADABLE for disks of which it is not known how they are now. */
export function requireScanned(snapshot: DeviceSnapshot): DeviceSnapshot {
  if (!snapshot.scanned) throw notRead('which there are');
  return snapshot;
}

function notRead(what: string): DaemonError {
  return new DaemonError(
    'DEVICES_UNREADABLE',
    `The disks of this guest were not read yet, or not for a while, so it is not known ${what}`,
    { retryAfterSeconds: 2 },
  );
}

/**
 * Is this device still the disk of the mapping? A letter means nothing; the serial names the volume; diskseq
 * with the boot id names one plug of one disk. Both must hold where both can be known; where neither can, the
 * answer is no. Pure.
 */
export function verifyIdentity(
  mapping: RecordedIdentity,
  device: Device | undefined,
  bootId: string | null,
): Identity {
  if (!device) return no(goneText(mapping));
  const plug = comparePlug(mapping, device, bootId);
  const was = `diskseq ${device.diskseq ?? 'unknown'}, mapped was ${mapping.diskseq ?? 'unknown'}`;
  if (mapping.serial === null) {
    if (mapping.diskseq === null) return no(`the mapping of ${mapping.devicePath} holds no identity`);
    return plug === 'same' ? { ok: true } : no(`${device.path} is not certainly the same disk (${was})`);
  }
  if (device.serialState === 'pending' || device.serialState === 'unreadable') {
    return plug === 'same' ? { ok: true } : no(`the serial of ${device.path} cannot be read (${was})`);
  }
  if (!isSerialOf(mapping, device.serial)) {
    return no(`${device.path} has serial ${device.serial ?? 'none'}, the volume's is ${mapping.serial}`);
  }
  // Another plug of the same volume: sync checks size and node before the mapping counts again.
  return plug === 'other' ? no(`${device.path} was plugged again (${was})`) : { ok: true };
}

/**
 * Is it certain that this plug of the disk is in the guest no more? A diskseq is given once per boot. False
 * where plugs are not numbered, and after a reboot: the disk may have come back under another number. Pure.
 */
export function plugHasLeft(
  { diskseq, bootId }: Pick<RecordedIdentity, 'diskseq' | 'bootId'>,
  snapshot: Pick<DeviceSnapshot, 'devices' | 'bootId'>,
): boolean {
  if (diskseq === null || bootId === null || bootId !== snapshot.bootId) return false;
  return snapshot.devices.every((device) => device.diskseq !== null && device.diskseq !== diskseq);
}

/** The device as it is now; null when it has left, was replaced or resized since it was looked at. Pure. */
export function unchanged(device: Device, { devices }: Pick<DeviceSnapshot, 'devices'>): Device | null {
  const now = devices.find(({ name }) => name === device.name);
  if (now?.diskseq !== device.diskseq || now.serial !== device.serial || now.size !== device.size)
    return null;
  return now;
}

/**
 * Is this very plug of the disk in the guest, whatever it shows for a serial? The kernel shows none for a
 * virtio disk that fails every request. False where that cannot be known. Pure.
 */
export function plugIsHere(
  { diskseq, bootId }: Pick<RecordedIdentity, 'diskseq' | 'bootId'>,
  snapshot: Pick<DeviceSnapshot, 'devices' | 'bootId'>,
): boolean {
  if (diskseq === null || bootId === null || bootId !== snapshot.bootId) return false;
  return snapshot.devices.some((device) => device.diskseq === diskseq);
}

/** `unknown` without a diskseq (kernel before 5.15) and after a reboot, when diskseq starts anew. */
function comparePlug(
  mapping: RecordedIdentity,
  device: Device,
  bootId: string | null,
): 'same' | 'other' | 'unknown' {
  if (mapping.diskseq === null || device.diskseq === null || mapping.bootId === null || bootId === null) {
    return 'unknown';
  }
  if (mapping.bootId !== bootId) return 'unknown';
  return mapping.diskseq === device.diskseq ? 'same' : 'other';
}

/** A mapping whose disk was missed before has no path of a device. */
function goneText({ devicePath }: RecordedIdentity): string {
  return devicePath.startsWith('/') ? `${devicePath} is gone` : 'its disk is gone';
}

function isSerialOf(mapping: Pick<RecordedIdentity, 'serial'>, serial: string | null): boolean {
  return serial !== null && mapping.serial !== null && normalise(serial) === normalise(mapping.serial);
}

function normalise(serial: string): string {
  return serial.trim().toLowerCase();
}

function no(reason: string): Identity {
  return { ok: false, reason };
}
