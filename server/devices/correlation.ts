import type { Mapping, Match } from '../model/operation';
import type { Device, DeviceEvent, DeviceSnapshot } from './device';
import { compareSize } from './disk-size';
import { verifiedDevice, verifyIdentity } from './identity';
import { lacksSerials, serialNames } from './serial';

export { expectedSerial, serialNames } from './serial';

/** What a decision about one volume is made from. Pure data: the same world gives the same answer. */
export interface World {
  readonly volume: {
    readonly id: string;
    /** Bytes, as CloudStack says; null when it does not say. */
    readonly size: number | null;
  };
  readonly devices: readonly Device[];
  readonly bootId: string | null;
  /** Mappings of this appliance, the volume's own included. */
  readonly mappings: readonly Pick<
    Mapping,
    'volumeId' | 'devicePath' | 'serial' | 'diskseq' | 'bootId' | 'matchedBy'
  >[];
  /**
   * Data volumes that may be attached to this guest; asked for only where disks have no serial. `size`: of
   * one that CloudStack had plugged before this attach was submitted; null: its disk may be about to come.
   */
  readonly attachedHere: readonly { readonly id: string; readonly size: number | null }[];
  /** Recent events of the correlation channel, oldest first. */
  readonly events: readonly DeviceEvent[];
  /**
   * Monotonic ms of the first submit of this attach; the window opens `windowMs` before it. Null when nothing
   * was submitted because CloudStack already had the volume attached here: then the volume's own mapping may
   * prove its disk.
   */
  readonly submittedAt: number | null;
  /** What the guest had when that submit was intended; null when nobody looked. */
  readonly disksBefore: DisksBefore | null;
  /** Specification v1.2.0: events up to 5 s before the start of the correlation are accepted. */
  readonly windowMs: number;
  /** How much larger than the volume a device may be (PowerFlex rounds up; specification: 3 GB). */
  readonly toleranceBytes: number;
  /** Names that are never a candidate: the appliance's own root disk (`rootDevices`). */
  readonly rootDevices: ReadonlySet<string>;
}

/** One look at a guest, as the intent of an attach remembers it. */
export interface DisksBefore {
  readonly bootId: string | null;
  /** Without the system's own. */
  readonly disks: readonly Pick<Device, 'path' | 'diskseq' | 'size'>[];
}

export interface Considered {
  readonly path: string;
  readonly serial: string | null;
  readonly size: number;
  readonly diskseq: number | null;
  /** Why it is, or is not, the disk of the volume. */
  readonly verdict: string;
}

export type Correlation =
  | {
      readonly kind: 'found';
      readonly device: Device;
      readonly matchedBy: Match;
      /**
       * It did not come with this attach, and no mapping of this boot names it: read again which volumes are
       * here, for one whose id begins alike may have no mapping.
       */
      readonly unproven?: boolean;
      readonly reason: string;
      readonly considered: readonly Considered[];
    }
  | {
      readonly kind: 'waiting';
      readonly reason: string;
      /** The only candidate may be the disk of another volume: read again which disks should be here. */
      readonly contested?: boolean;
      readonly considered: readonly Considered[];
    }
  | {
      readonly kind: 'refused';
      readonly code: 'DEVICE_AMBIGUOUS' | 'DEVICE_IDENTITY_MISMATCH' | 'DEVICE_TOO_SMALL';
      readonly reason: string;
      readonly considered: readonly Considered[];
    };

/**
 * What a device is to the volume. The unread ones stop the size stage; so does any serial,
 * whatever its disk is.
 */
type Standing =
  | 'root'
  | 'named'
  | 'named-misfit'
  | 'named-small'
  | 'named-unsized'
  | 'named-elsewhere'
  | 'strange'
  | 'unread'
  | 'unread-old'
  | 'mapped'
  | 'own'
  | 'old'
  | 'misfit'
  | 'unprovable'
  | 'candidate';

interface Judged {
  readonly device: Device;
  readonly standing: Standing;
  /** For people. */
  readonly verdict: string;
}

/** The names of the disks that are known to hold `/`. A name itself proves nothing: any disk may be vda. */
export function rootDevices(snapshot: Pick<DeviceSnapshot, 'devices'>): Set<string> {
  return new Set(snapshot.devices.filter((device) => device.root === true).map(({ name }) => name));
}

/**
 * Finds the device of a volume: the device, a reason to wait, or a refusal; never a guess and never the first
 * of several, because writing to the wrong disk destroys data. Serial first; size only where no disk of this
 * guest but the system's own reports a serial. Pure, never throws.
 */
export function correlate(world: World): Correlation {
  const judged = world.devices.map((device) => judge(world, device));
  const considered = judged.map(({ device, verdict }) => ({
    path: device.path,
    serial: device.serial,
    size: device.size,
    diskseq: device.diskseq,
    verdict,
  }));
  const answer = bySerial(world, judged) ?? bySize(world, judged);
  return { ...answer, considered };
}

type Answer = Correlation extends infer C ? (C extends Correlation ? Omit<C, 'considered'> : never) : never;

const NAMED: readonly Standing[] = [
  'named',
  'named-misfit',
  'named-small',
  'named-unsized',
  'named-elsewhere',
];

function bySerial(world: World, judged: readonly Judged[]): Answer | null {
  const root = judged.find(
    ({ device, standing }) => standing === 'root' && serialNames(world.volume.id, device.serial),
  );
  if (root) return mismatch(`${root.device.path} has the serial of the volume and is the system's own disk`);
  const named = judged.filter(({ standing }) => NAMED.includes(standing));
  const [only, second] = named;
  if (!only) return null;
  if (second) return ambiguous(`${named.length} devices report the serial of the volume: ${paths(named)}`);
  const told = `${only.device.path} ${only.verdict}`;
  if (only.standing === 'named-small') return { kind: 'refused', code: 'DEVICE_TOO_SMALL', reason: told };
  if (only.standing === 'named-unsized') return { kind: 'waiting', reason: told };
  if (only.standing !== 'named') return mismatch(told);
  // It may be the ghost of an earlier attach; its twin may be the one not read yet. One that has come
  // with this attach may be that of a volume whose id begins alike, and ours the one that has come as
  // well and is being read.
  const isNew = arrivalOf(world, only.device) === 'new';
  const unread = judged.filter(
    ({ device, standing }) =>
      standing === 'unread' &&
      (!isNew || (device.serialState === 'pending' && arrivalOf(world, device) === 'new')),
  );
  if (unread.length > 0) return waitForSerials(unread);
  const { device } = only;
  const namesake = expectedIn(world).find((id) => id !== world.volume.id && serialNames(id, device.serial));
  if (namesake !== undefined)
    return ambiguous(`${told}, which is that of volume ${namesake} as well: their ids begin alike`);
  const unproven = arrivalOf(world, device) !== 'new' && !isMappedPlug(world, device);
  return { kind: 'found', device, matchedBy: 'serial', unproven, reason: `serial ${device.serial ?? ''}` };
}

/** Does the mapping of the volume name this very plug? */
function isMappedPlug({ volume, mappings, bootId }: World, { path, diskseq }: Device): boolean {
  return mappings.some(
    (mapping) =>
      mapping.volumeId === volume.id &&
      mapping.devicePath === path &&
      mapping.diskseq !== null &&
      mapping.diskseq === diskseq &&
      mapping.bootId === bootId,
  );
}

function bySize(world: World, judged: readonly Judged[]): Answer {
  const unread = judged.filter(({ standing }) => standing === 'unread');
  if (unread.length > 0) return waitForSerials(unread);
  // A guest that shows serials shows them for every disk of CloudStack: one without is nobody's that we know.
  const others = judged.filter(({ standing }) => standing !== 'root').map(({ device }) => device);
  if (!lacksSerials(others)) return { kind: 'waiting', reason: 'no device reports the serial of the volume' };
  const own = judged.find(({ standing }) => standing === 'own');
  const candidates = judged.filter(({ standing }) => standing === 'candidate');
  const [only, second] = candidates;
  if (world.submittedAt === null) {
    if (own) return bySizeFound(own, 'the volume was mapped to this plug of this disk before');
    return { kind: 'waiting', reason: 'nothing was submitted and no device reports a serial' };
  }
  if (second) {
    return ambiguous(`${candidates.length} new devices without a serial fit: ${paths(candidates)}`);
  }
  const claimant = only ? claimantOf(world, only.device) : null;
  if (only && claimant !== null) {
    const reason = `${only.device.path} may be the disk of volume ${claimant}, which should be here and is not found`;
    return { kind: 'waiting', reason, contested: true };
  }
  if (only && mayBeOlder(world, only.device)) {
    const reason = `${only.device.path} may be a disk that was there before the attach, under an earlier boot of the guest`;
    return { kind: 'waiting', reason };
  }
  if (only) return bySizeFound(only, 'the only new device without a serial whose size fits');
  const unprovable = judged.filter(({ standing }) => standing === 'unprovable');
  if (unprovable.length > 0) {
    return mismatch(`${paths(unprovable)}: neither serial nor diskseq, its identity could never be proven`);
  }
  return { kind: 'waiting', reason: 'no new device of a fitting size has appeared' };
}

function judge(world: World, device: Device): Judged {
  const standing = (name: Standing, verdict: string): Judged => ({ device, standing: name, verdict });
  if (world.rootDevices.has(device.name)) return standing('root', "is the system's own disk");
  const owner = world.mappings.find(
    (mapping) => mapping.devicePath === device.path && verifyIdentity(mapping, device, world.bootId).ok,
  );
  const conflictingOperation = owner && owner.volumeId !== world.volume.id ? owner.volumeId : null;
  if (serialNames(world.volume.id, device.serial)) {
    if (conflictingOperation) {
      return standing(
        'named-elsewhere',
        `has the serial of the volume, but is mapped to volume ${conflictingOperation}`,
      );
    }
    return judgeNamed(world, device);
  }
  if (conflictingOperation) return standing('mapped', `is mapped to volume ${conflictingOperation}`);
  if (device.serial !== null) return standing('strange', 'has the serial of another volume');
  const arrival = arrivalOf(world, device);
  if (device.serialState === 'pending') return standing('unread', 'has a serial that is not read yet');
  if (device.serialState === 'unreadable') {
    return standing(arrival === 'old' ? 'unread-old' : 'unread', 'has a serial that cannot be read');
  }
  if (!fits(world, device)) return standing('misfit', 'has a size that does not fit');
  if (arrival === 'old') {
    if (owner && owner.matchedBy === 'size') return standing('own', 'is mapped to this volume');
    return standing('old', 'was there before the attach was submitted');
  }
  if (device.diskseq === null) return standing('unprovable', 'has neither serial nor diskseq');
  return standing('candidate', 'is new, not mapped to another volume, and its size fits');
}

/** The device has the serial of the volume. */
function judgeNamed({ volume, toleranceBytes }: World, device: Device): Judged {
  const fit = compareSize(device.size, volume.size, toleranceBytes);
  const named = (standing: Standing, verdict: string): Judged => ({
    device,
    standing,
    verdict: `has the serial of the volume${verdict}`,
  });
  const sizes = `, but ${device.size} bytes where CloudStack says ${volume.size ?? 'nothing'}`;
  switch (fit) {
    case 'fits':
      return named('named', ' and a fitting size');
    case 'smaller':
      return named('named-small', sizes);
    case 'larger':
      return named('named-misfit', sizes);
    case 'unknown':
      return named('named-unsized', ', but CloudStack does not say how large the volume is');
    default:
      return fit satisfies never;
  }
}

/**
 * Another volume that is mapped or attached here, whose disk is not found and may be this one. Without a
 * serial its disk looks as new as the awaited one after a reboot, a re-plug, or an attach that was given
 * up. Its size alone tells nothing: somebody may have resized it since, and guest or CloudStack do not
 * show that yet. But one that CloudStack had plugged before the attach, of another size, is here already,
 * whatever disk of this guest it is: nothing can map the appliance's own disks, and they would claim
 * every new one for good.
 */
function claimantOf(world: World, device: Device): string | null {
  const { volume, mappings, attachedHere, disksBefore, bootId } = world;
  const isFound = (volumeId: string) =>
    mappings.some(
      (mapping) => mapping.volumeId === volumeId && verifiedDevice(mapping, world).device !== null,
    );
  const isHereAlready = (volumeId: string) => {
    const told = attachedHere.filter(({ id }) => id === volumeId);
    const isOther = told.length > 0 && told.every(({ size }) => !mayShow(world, device, size));
    return isOther && disksBefore?.bootId === bootId;
  };
  return expectedIn(world).find((id) => id !== volume.id && !isFound(id) && !isHereAlready(id)) ?? null;
}

/** The volumes whose disks should be here. */
function expectedIn({ mappings, attachedHere }: World): string[] {
  return [...mappings.map(({ volumeId }) => volumeId), ...attachedHere.map(({ id }) => id)];
}

/**
 * After a reboot every disk is new. `claimantOf` handles the disks of mapped volumes. A disk of no known
 * volume, such as the ghost of a failed detach, cannot be told from the awaited one.
 */
function mayBeOlder(world: World, device: Device): boolean {
  const { disksBefore: before, bootId, mappings } = world;
  if (before === null || before.bootId === bootId) return false;
  const isMapped = (disk: DisksBefore['disks'][number]) =>
    mappings.some(
      (mapping) =>
        mapping.devicePath === disk.path &&
        mapping.diskseq === disk.diskseq &&
        mapping.bootId === before.bootId,
    );
  return before.disks.some((disk) => mayShow(world, device, disk.size) && !isMapped(disk));
}

function fits({ volume, toleranceBytes }: World, device: Device): boolean {
  return compareSize(device.size, volume.size, toleranceBytes) === 'fits';
}

/** A smaller device is never a volume of that size; of a volume whose size is not known it may be any. */
function mayShow({ toleranceBytes }: World, device: Device, size: number | null): boolean {
  const fit = compareSize(device.size, size, toleranceBytes);
  return fit === 'fits' || fit === 'unknown';
}

/**
 * `new`: this plug (name and diskseq) appeared since `windowMs` before the submit, and was not there in the
 * last look before the call. `old`: it was there, or nobody saw it appear. `unclear`: the guest rebooted in
 * between.
 */
function arrivalOf(world: World, { name, path, diskseq }: Device): 'new' | 'old' | 'unclear' {
  const { submittedAt, disksBefore, windowMs, events, bootId } = world;
  if (submittedAt === null || disksBefore === null) return 'old';
  const isSeen = events.some(
    (event) =>
      event.type === 'added' &&
      event.device.name === name &&
      event.device.diskseq === diskseq &&
      event.monotonic >= submittedAt - windowMs,
  );
  if (!isSeen) return 'old';
  if (disksBefore.bootId !== bootId) return 'unclear';
  return disksBefore.disks.some((disk) => disk.path === path && disk.diskseq === diskseq) ? 'old' : 'new';
}

function bySizeFound({ device }: Judged, reason: string): Answer {
  return { kind: 'found', device, matchedBy: 'size', reason: `${reason} (${device.size} bytes)` };
}

function waitForSerials(unread: readonly Judged[]): Answer {
  return { kind: 'waiting', reason: `the serial of ${paths(unread)} is not known yet` };
}

function ambiguous(reason: string): Answer {
  return { kind: 'refused', code: 'DEVICE_AMBIGUOUS', reason };
}

function mismatch(reason: string): Answer {
  return { kind: 'refused', code: 'DEVICE_IDENTITY_MISMATCH', reason };
}

function paths(judged: readonly Judged[]): string {
  return judged.map(({ device }) => device.path).join(', ');
}
