import fc from 'fast-check';
import { expectedSerial, type World } from '~/server/devices/correlation';
import type { Device, DeviceEvent } from '~/server/devices/device';
import { BOOT, event, GIB, type MappingLike, SUBMIT } from './worlds';

const TOLERANCE = 3 * GIB;
const VOLUMES = [
  '0f3c9a51-7be2-4d60-9a44-c1d2e3f40516',
  '7d21b6e0-93fa-4c18-8b57-a9b8c7d6e5f4',
  '7d21b6e0-93fa-4c18-8b57-000000000000', // the same 20 characters as the one before: a collision
  'c4b0aa17-5d2e-4f93-a1b6-0123456789ab',
] as const;
const TARGET = VOLUMES[0];
const SIZES = [-512, 0, 0, 0, GIB, TOLERANCE, TOLERANCE + 512] as const;
const LETTERS = ['a', 'b', 'c', 'd', 'e', 'z', 'aa'] as const;
/** With serials the disks of one guest may be on two buses. The system's own disk is vda. */
const PREFIXES = ['vd', 'vd', 'sd'] as const;

/** One disk as it really is, and what may have gone wrong in the telling. */
interface Draw {
  readonly volume: number;
  /** Plugged after the submit. */
  readonly fresh: boolean;
  /** Plugged in the seconds before the submit, if not after it. */
  readonly recent: boolean;
  readonly size: number;
  readonly state: 'told' | 'pending' | 'unreadable';
  readonly form: number;
  readonly prefix: (typeof PREFIXES)[number];
  readonly eventLost: boolean;
  /** CloudStack says so; the disk itself may be of another volume. */
  readonly attached: boolean;
  readonly mapped: 'no' | 'right' | 'stale plug' | 'stale boot' | 'stale serial';
}

export interface Truth {
  readonly device: Device;
  /** The volume that is really behind it. */
  readonly volumeId: string;
  readonly fresh: boolean;
  readonly seen: boolean;
  readonly fits: boolean;
  readonly told: boolean;
  readonly mappedElsewhere: boolean;
}

export interface RandomWorld {
  readonly world: World;
  readonly disks: readonly Truth[];
  readonly serials: boolean;
  /** The guest was rebooted after the submit: every disk came anew. */
  readonly rebooted: boolean;
}

const draw: fc.Arbitrary<Draw> = fc.record({
  volume: fc.constantFrom(0, 1, 1, 1, 2, 2, 3, 3, 3, 3),
  fresh: fc.boolean(),
  recent: fc.boolean(),
  size: fc.nat(SIZES.length - 1),
  state: fc.constantFrom(...Array<'told'>(12).fill('told'), 'pending', 'unreadable'),
  form: fc.nat(5),
  prefix: fc.constantFrom(...PREFIXES),
  eventLost: fc.boolean(),
  attached: fc.nat(3).map((n) => n > 0),
  mapped: fc.constantFrom(
    ...Array<'no'>(10).fill('no'),
    ...Array<'right'>(3).fill('right'),
    'stale plug',
    'stale boot',
    'stale serial',
  ),
});

/**
 * Equal sizes, reused letters, missing and colliding serials, ghosts, stale mappings, lost and stale events.
 */
export const randomWorld: fc.Arbitrary<RandomWorld> = fc
  .record({
    serials: fc.boolean(),
    oldKernel: fc.nat(15).map((n) => n === 0),
    mutePrefix: fc.constantFrom('vd', 'xvd'),
    rebooted: fc.nat(9).map((n) => n === 0),
    present: fc.nat(3).map((n) => n > 0),
    disks: fc.array(draw, { maxLength: 5 }),
    letters: fc.shuffledSubarray([...LETTERS], { minLength: 5 }),
    staleEvents: fc.nat(3),
  })
  .map((drawn) => build(drawn));

interface Drawn {
  readonly serials: boolean;
  readonly oldKernel: boolean;
  /** The bus of a guest without serials: virtio of an old hypervisor, or Xen. */
  readonly mutePrefix: 'vd' | 'xvd';
  readonly rebooted: boolean;
  /** The disk of the volume is there, new and told, in whatever company. */
  readonly present: boolean;
  readonly disks: readonly Draw[];
  readonly letters: readonly string[];
  readonly staleEvents: number;
}

function build(world: Drawn): RandomWorld {
  const { serials, oldKernel, mutePrefix, rebooted, present, disks: drawn, letters, staleEvents } = world;
  const disks = mappedOnce(
    drawn.map((disk, index): Draw => {
      const chosen = present && index === 0 ? { ...disk, volume: 0, fresh: true } : disk;
      // The system's own disk is never plugged while the system runs.
      return letters[index] === 'a' ? { ...chosen, fresh: false } : chosen;
    }),
  );
  const ours = disks.some(({ volume, fresh, size }) => volume === 0 && fresh && fitting(size));
  const truths = disks.map((disk, index) => {
    const stranger = disk.volume !== 0 && disk.fresh && !ours && !serials;
    return truthOf(disk, index, letters[index] ?? 'zz', {
      serials,
      oldKernel,
      rebooted,
      stranger,
      mutePrefix,
    });
  });
  const mappings = truths.flatMap((truth, index) => mappingOf(disks[index]?.mapped ?? 'no', truth));
  const events: DeviceEvent[] = truths.flatMap(({ device, seen, fresh }) =>
    seen ? [event('added', device, rebooted || fresh ? SUBMIT + 500 : SUBMIT - 500)] : [],
  );
  for (const { device } of truths.slice(0, staleEvents)) {
    events.unshift(event('added', { ...device, diskseq: 1 }), event('added', device, SUBMIT - 5_001));
  }
  const before = truths.filter(({ fresh, device }) => !fresh && device.name !== 'vda');
  const given: World = {
    volume: { id: TARGET, size: 5 * GIB },
    devices: truths.map(({ device }) => device),
    bootId: BOOT,
    mappings,
    attachedHere: truths.flatMap(({ volumeId, device }, index) =>
      disks[index]?.attached && disks[index].mapped === 'right' && !serials
        ? [{ id: volumeId, size: index % 2 === 0 ? device.size : null }]
        : [],
    ),
    events,
    submittedAt: SUBMIT,
    disksBefore: {
      bootId: rebooted ? 'an earlier boot' : BOOT,
      disks: before.map(({ device }) => device),
    },
    windowMs: 5_000,
    toleranceBytes: TOLERANCE,
    rootDevices: new Set(['vda']),
  };
  return { world: given, disks: truths, serials, rebooted };
}

/**
 * The ledger holds one mapping of a volume: of several draws that would name the same volume the first is
 * kept.
 */
function mappedOnce(disks: readonly Draw[]): Draw[] {
  const mapped = new Set<string>();
  return disks.map((disk) => {
    if (disk.mapped === 'no' || (disk.mapped === 'right' && disk.fresh)) return disk;
    const volumeId = disk.mapped === 'right' ? (VOLUMES[disk.volume] ?? TARGET) : VOLUMES[3];
    if (mapped.has(volumeId)) return { ...disk, mapped: 'no' };
    mapped.add(volumeId);
    return disk;
  });
}

function truthOf(
  disk: Draw,
  index: number,
  letter: string,
  {
    serials,
    oldKernel,
    rebooted,
    stranger,
    mutePrefix,
  }: Pick<Drawn, 'serials' | 'oldKernel' | 'rebooted' | 'mutePrefix'> & { readonly stranger: boolean },
): Truth {
  const volumeId = VOLUMES[disk.volume] ?? TARGET;
  // A stranger that fits and is plugged into a mute guest before ours shows cannot be told from ours by
  // anybody.
  const extra = stranger ? TOLERANCE + 512 : (SIZES[disk.size] ?? 0);
  const told = disk.state === 'told';
  const state = serials ? ('read' as const) : ('absent' as const);
  const untold = disk.state === 'pending' ? ('pending' as const) : ('unreadable' as const);
  const prefix = letter === 'a' ? 'vd' : serials ? disk.prefix : mutePrefix;
  const device: Device = {
    name: `${prefix}${letter}`,
    path: `/dev/${prefix}${letter}`,
    size: 5 * GIB + extra,
    serial: told && serials ? serialForm(volumeId, disk.form) : null,
    serialState: told ? state : untold,
    diskseq: oldKernel ? null : 10 + index,
    dev: null,
    controller: null,
    bus: prefix === 'vd' ? 'virtio' : prefix === 'sd' ? 'virtio-scsi' : 'xen',
  };
  // An overflow of the ring loses events only of disks that have long been read.
  const came = disk.fresh || (letter !== 'a' && (rebooted || disk.recent));
  const seen = came && !(disk.eventLost && told && serials);
  const mappedElsewhere = !disk.fresh && disk.volume !== 0 && disk.mapped === 'right' && provable(device);
  const fits = extra >= 0 && extra <= TOLERANCE;
  return { device, volumeId, fresh: disk.fresh, seen, fits, told, mappedElsewhere };
}

function fitting(size: number): boolean {
  const extra = SIZES[size] ?? 0;
  return extra >= 0 && extra <= TOLERANCE;
}

function serialForm(volumeId: string, form: number): string {
  const serial = expectedSerial(volumeId);
  const whole = volumeId.replaceAll('-', '');
  return [serial, serial.toUpperCase(), `${serial} `, volumeId.slice(0, 20), serial, whole][form] ?? serial;
}

/** A mapping that was right once. Only disks that were there before have one of their own. */
function mappingOf(mapped: Draw['mapped'], { device, volumeId, fresh }: Truth): MappingLike[] {
  const { path, serial, diskseq } = device;
  const right: MappingLike = {
    volumeId,
    devicePath: path,
    serial,
    diskseq,
    bootId: BOOT,
    matchedBy: serial === null ? 'size' : 'serial',
  };
  const stale = { ...right, volumeId: VOLUMES[3], serial: null, matchedBy: 'size' as const };
  switch (mapped) {
    case 'no':
      return [];
    case 'right':
      return fresh ? [] : [right];
    case 'stale plug':
      return [{ ...stale, diskseq: 3 }];
    case 'stale boot':
      return [{ ...stale, bootId: 'an earlier boot' }];
    case 'stale serial':
      return [{ ...stale, serial: expectedSerial(VOLUMES[3]).replace(/./, 'f'), diskseq: 3 }];
  }
}

function provable(device: Device): boolean {
  return device.diskseq !== null || device.serialState === 'read';
}

/**
 * The one right answer, when whoever sees what the daemon sees can know it; null otherwise. Written from what
 * is physically there, not from the rules under test.
 */
export function knowable({ world, disks, serials, rebooted }: RandomWorld): Device | null {
  const others = disks.filter(({ device }) => !world.rootDevices.has(device.name));
  // A serial that the system's own disk claims too is two claims, not an answer.
  const mine = (serials ? disks : others).filter(({ volumeId }) => volumeId === TARGET);
  const [only] = mine;
  if (!only || mine.length > 1 || !only.fits || !only.told || !others.includes(only)) return null;
  const rest = others.filter((disk) => disk !== only && !disk.mappedElsewhere);
  /** For all that can be seen it came after the submit. */
  const mayBeNew = ({ seen, fresh }: Truth) => seen && (fresh || rebooted);
  const silent = rest.some((disk) => !disk.told && (disk.device.serialState === 'pending' || mayBeNew(disk)));
  const provablyNew = only.seen && only.fresh && !rebooted;
  // One that came with it and is being read will have told its serial in a moment.
  const beingRead = rest.some((disk) => disk.device.serialState === 'pending' && mayBeNew(disk));
  if (serials) return (provablyNew ? beingRead : silent) ? null : only.device;
  const conflictingOperation = rest.some(
    (disk) => disk.told && disk.fits && disk.device.diskseq !== null && mayBeNew(disk),
  );
  if (silent || conflictingOperation || !only.seen || !only.fresh || only.device.diskseq === null)
    return null;
  // After a reboot it may be any disk of its size that was there before.
  if (rebooted && others.some(({ fresh, device }) => !fresh && isSizeOf(only.device.size, device.size)))
    return null;
  return isContested(world, only, rebooted) ? null : only.device;
}

/**
 * Is another volume mapped to a disk that is certainly not here any more, and could this one be that disk,
 * plugged again? Its size tells nothing where it may just have come: somebody may have resized the volume,
 * and the guest or CloudStack not know.
 */
function isContested(
  { mappings, attachedHere, devices }: World,
  { device: { size: bytes } }: Truth,
  rebooted: boolean,
): boolean {
  const found = mappings
    .filter(({ devicePath, diskseq, bootId }) => {
      const there = devices.find(({ path }) => path === devicePath);
      return there && provable(there) && there.diskseq === diskseq && bootId === BOOT;
    })
    .map(({ volumeId }) => volumeId);
  const expected = [...mappings.map(({ volumeId }) => volumeId), ...attachedHere.map(({ id }) => id)];
  const isOther = (id: string) => {
    const told = attachedHere.filter((one) => one.id === id);
    return !rebooted && told.length > 0 && told.every(({ size }) => !isSizeOf(bytes, size));
  };
  return expected.some((id) => id !== TARGET && !found.includes(id) && !isOther(id));
}

/** May a disk of so many bytes show what once was `size` bytes? */
function isSizeOf(bytes: number, size: number | null): boolean {
  return size === null || (bytes >= size && bytes <= size + TOLERANCE);
}
