import type { Clock } from '../core/clock';
import { sleepUntilAny } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Device, Guest, Holder } from './device';

/**
 * The users that forbid publishing a disk: everybody but clients of an export. What could not be looked at
 * counts, because nothing that is not seen to be free is published. Pure.
 */
export function systemUsers(holders: readonly Holder[]): Holder[] {
  return holders.filter(({ kind }) => kind !== 'nbd-client');
}

/**
 * The users for whose sake an export that is there already must lead to nothing: those that write to
 * the disk, or will. A process that only reads disturbs nobody, and what could not be looked at
 * proves nothing. Pure.
 */
export function systemWriters(holders: readonly Holder[]): Holder[] {
  return systemUsers(holders).filter(({ kind, readOnly }) => kind !== 'unknown' && readOnly !== true);
}

const PASSING: ReadonlySet<Holder['kind']> = new Set(['open', 'claimed', 'unknown']);

/**
 * True when those who are in the way may all be gone in a moment: a worker of udev has the disk open, or
 * claims it; a process ended while it was looked at, or the node is not made yet; the process of a client
 * that has left an export still ends. Pure.
 */
export function mayPass(inTheWay: readonly Holder[]): boolean {
  return inTheWay.length > 0 && inTheWay.every(({ kind, leaving }) => leaving || PASSING.has(kind));
}

/** For people: `mount: /dev/vdb1 on /data (ext4)`. */
export function describeHolder({ kind, detail }: Holder): string {
  return `${kind}: ${detail}`;
}

export function describeHolders(holders: readonly Holder[]): string {
  return holders.map(describeHolder).join('; ');
}

interface Patience<User> {
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
  /** Called once, when the wait lasts, with those who are waited for. */
  readonly onWait?: (users: readonly User[]) => Promise<void>;
}

/**
 * What `look` says; it looks again, less and less often, for up to LIMITS.HOLDER_PASSES_MS while there are
 * `passing` users, who may be gone in a moment.
 */
export async function settled<T, User>(
  clock: Clock,
  look: () => Promise<T>,
  passing: (found: T) => readonly User[],
  { signal, onWait }: Patience<User> = {},
): Promise<T> {
  const until = clock.monotonic() + LIMITS.HOLDER_PASSES_MS;
  let told = false;
  for (
    let pause: number = LIMITS.HOLDER_AGAIN_FIRST_MS;
    ;
    pause = Math.min(2 * pause, LIMITS.HOLDER_AGAIN_MS)
  ) {
    const found = await look();
    const users = passing(found);
    if (users.length === 0 || clock.monotonic() >= until || signal?.aborted) return found;
    // Most are gone before anybody could read it.
    if (!told && pause === LIMITS.HOLDER_AGAIN_MS) {
      told = true;
      await onWait?.(users);
    }
    await sleepUntilAny(clock, pause, signal ? [signal] : []);
  }
}

/**
 * Who uses these disks, by path. While the only users of one who forbid publishing it may be gone in a
 * moment, they are waited for.
 */
export async function settledHolders(
  guest: Pick<Guest, 'holders'>,
  clock: Clock,
  devices: readonly Device[],
  patience: Patience<Holder> = {},
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  if (devices.length === 0) return new Map();
  const passing = (users: ReadonlyMap<string, readonly Holder[]>) =>
    [...users.values()].map(systemUsers).filter(mayPass).flat();
  return settled(clock, () => guest.holders(devices), passing, patience);
}
