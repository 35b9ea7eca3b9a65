import { expectedSerial, type World } from '~/server/devices/correlation';
import type { Device, DeviceEvent } from '~/server/devices/device';

export const GIB = 1024 ** 3;
export const BOOT = 'a0000000-0000-4000-8000-00000000000b';
export const VOLUME = '0f3c9a51-7be2-4d60-9a44-c1d2e3f40516';
export const OTHER = '7d21b6e0-93fa-4c18-8b57-a9b8c7d6e5f4';
/** Monotonic ms of the submit in these worlds. */
export const SUBMIT = 100_000;

/** `vdb` with the serial of VOLUME and 5 GiB, unless said otherwise. */
export function disk(fields: Partial<Device> = {}): Device {
  const name = fields.name ?? 'vdb';
  const serial = fields.serial === undefined ? expectedSerial(VOLUME) : fields.serial;
  return {
    name,
    path: `/dev/${name}`,
    size: 5 * GIB,
    serial,
    serialState: serial === null ? 'absent' : 'read',
    diskseq: 7,
    dev: '253:16',
    controller: 'virtio4',
    ...fields,
  };
}

/** A disk of a hypervisor that sets no serials. */
export function mute(fields: Partial<Device> = {}): Device {
  return disk({ serial: null, ...fields });
}

export function event(type: DeviceEvent['type'], device: Device, monotonic = SUBMIT + 500): DeviceEvent {
  return { sequence: 1, type, device, at: 0, monotonic };
}

export type MappingLike = World['mappings'][number];

/** The mapping of `volumeId` to exactly this plug of this device. */
export function mappingTo(device: Device, fields: Partial<MappingLike> = {}): MappingLike {
  const { serial, diskseq } = device;
  const matchedBy = serial === null ? ('size' as const) : ('serial' as const);
  return {
    volumeId: OTHER,
    devicePath: device.path,
    serial,
    diskseq,
    bootId: BOOT,
    matchedBy,
    ...fields,
  };
}

/** A world in which VOLUME (5 GiB) was just attached; `fresh` devices appeared after the submit. */
export function world(
  fresh: readonly Device[],
  fields: Partial<World> & { readonly before?: readonly Device[] } = {},
): World {
  const { before = [], ...rest } = fields;
  return {
    volume: { id: VOLUME, size: 5 * GIB },
    devices: [...before, ...fresh],
    bootId: BOOT,
    mappings: [],
    attachedHere: [],
    events: fresh.map((device) => event('added', device)),
    submittedAt: SUBMIT,
    disksBefore: { bootId: BOOT, disks: before },
    windowMs: 5_000,
    toleranceBytes: 3 * GIB,
    rootDevices: new Set(['vda']),
    ...rest,
  };
}
