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
 * The users for whose sake an export that is there already must lead to nothing: those that write to the disk,
 * or will. A process that only reads disturbs nobody, and what could not be looked at proves nothing. Pure.
 */
export function systemWriters(holders: readonly Holder[]): Holder[] {
  return systemUsers(holders).filter(({ kind, readOnly }) => kind !== 'unknown' && readOnly !== true);
}

const PASSING: ReadonlySet<Holder['kind']> = new Set(['open', 'claimed', 'unknown']);

/**
 * True when those who are in the way may all be gone in a moment: a worker of udev has the disk open, or claims
 * it; a process ended while it was looked at, or the node is not made yet. Pure.
 */
function mayPass(inTheWay: readonly Holder[]): boolean {
  return inTheWay.length > 0 && inTheWay.every(({ kind }) => PASSING.has(kind));
}

/** For people: `mount: /dev/vdb1 on /data (ext4)`. */
export function describeHolder({ kind, detail }: Holder): string {
  return `${kind}: ${detail}`;
}

export function describeHolders(holders: readonly Holder[]): string {
  return holders.map(describeHolder).join('; ');
}

interface Patience {
  /** Which users matter; by default those that forbid publishing. */
  readonly inTheWay?: (holders: readonly Holder[]) => readonly Holder[];
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
  /** Called once, when the wait begins, with those who are waited for. */
  readonly onWait?: (users: readonly Holder[]) => Promise<void>;
}

/**
 * Who uses these disks, by path, looked at again for up to LIMITS.HOLDER_PASSES_MS while the only users in the
 * way of any of them may be gone in a moment.
 */
export async function settledHolders(
  guest: Pick<Guest, 'holders'>,
  clock: Clock,
  devices: readonly Device[],
  { inTheWay = systemUsers, signal, onWait }: Patience = {},
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  if (devices.length === 0) return new Map();
  const until = clock.monotonic() + LIMITS.HOLDER_PASSES_MS;
  let told = false;
  for (;;) {
    const users = await guest.holders(devices);
    const passing = [...users.values()].map(inTheWay).filter(mayPass).flat();
    if (passing.length === 0 || clock.monotonic() >= until || signal?.aborted) return users;
    if (!told) await onWait?.(passing);
    told = true;
    await sleepUntilAny(clock, LIMITS.HOLDER_AGAIN_MS, signal ? [signal] : []);
  }
}
