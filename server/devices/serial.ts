import type { Device } from './device';

const SERIAL_LENGTH = 20;
/**
 * A serial may be cut: 16 hexadecimal characters still hold about 58 random bits of a UUID v4. A dashed UUID
 * cut at virtio's 20 bytes (measured: `bbbbbbbb-2222-2222-2`) leaves 17.
 */
const SHORTEST = 16;

/**
 * CloudStack/KVM sets the serial of a disk to the first 20 characters of the volume's UUID without dashes
 * (LibvirtComputingResource.diskUuidToSerial, since 4.7). Lower case.
 */
export function expectedSerial(volumeId: string): string {
  return volumeId.replaceAll('-', '').slice(0, SERIAL_LENGTH).toLowerCase();
}

/**
 * Does a reported serial name the volume? Compared without case, padding and dashes, as a prefix both ways:
 * hypervisors and buses show 20 characters, the whole UUID, or a dashed one that was cut.
 */
export function serialNames(volumeId: string, serial: string | null): boolean {
  if (serial === null) return false;
  const reported = plainSerial(serial);
  const whole = volumeId.toLowerCase().replaceAll('-', '');
  if (reported.length < SHORTEST || whole.length < SHORTEST) return false;
  return whole.startsWith(reported) || reported.startsWith(whole);
}

/**
 * Do two volumes have ids that begin alike, so that their disks may show one serial, as short as one may be
 * cut? Ids that CloudStack makes do not.
 */
export function shareSerial(volumeId: string, otherId: string): boolean {
  const shortest = (id: string) => expectedSerial(id).slice(0, SHORTEST);
  return volumeId !== otherId && shortest(volumeId) === shortest(otherId);
}

/** Could this serial be one that CloudStack made from a volume's UUID? */
export function isVolumeSerial(serial: string | null): serial is string {
  const hex = plainSerial(serial ?? '');
  return hex.length >= SHORTEST && /^[0-9a-f]+$/.test(hex);
}

/** Lower case, without padding and dashes. */
export function plainSerial(serial: string): string {
  return serial.trim().toLowerCase().replaceAll('-', '');
}

/**
 * True when no disk of this guest that could be a volume's shows a serial, so that its disks are told apart
 * by size and time alone. The system's own disk proves nothing about others: it may have a serial where they
 * get none. Only while no other disk has told whether it has one is the system's asked instead: does it show
 * one as CloudStack makes them?
 */
export function lacksSerials(devices: readonly Pick<Device, 'serial' | 'serialState' | 'root'>[]): boolean {
  const told = devices.filter(
    ({ root, serialState }) => root !== true && (serialState === 'read' || serialState === 'absent'),
  );
  if (told.length > 0) return told.every(({ serial }) => serial === null);
  return !devices.some(({ serial }) => isVolumeSerial(serial));
}
