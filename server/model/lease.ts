import { LIMITS } from '../core/limits';

/**
 * Who may own the appliance: a lease in its row, renewed by the owner.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> Standby
 *   Standby --> Standby: the row has changed since the last look, or its lease has not ended
 *   Standby --> Taking: judgeLease says free
 *   Taking --> Standby: the row is not as it was judged (LEASE_LOST), or no answer
 *   Taking --> Owner: a greater epoch is committed
 *   Owner --> Owner: renewed, LEASE_HOLD_MS more from the moment the renewal was sent
 *   Owner --> Standby: another epoch, or a later renewal of this one than ours (LEASE_LOST)
 *   Owner --> Standby: LEASE_HOLD_MS have passed since the last good renewal was sent
 *   Owner --> Draining: SIGTERM, still renewing
 *   Draining --> [*]: released, the next one begins at once
 * ```
 *
 * Why there are never two owners: an owner counts by its own monotonic clock from the moment it *sent* a
 * renewal, a standby by its own from the moment it has *seen* one, which is later, and the owner stops first
 * (LEASE_HOLD_MS < LEASE_MS). A take-over names the row as it was judged, so that a renewal in between makes
 * it fail. None of this needs two clocks to agree, only to run equally fast within the difference of the two.
 *
 * The database's clock is a second witness, never the only one: set forward it would end leases that are
 * renewed, and the nodes of a cluster have a clock each. Set back, it would keep a dead owner's lease for as
 * long as the step was; but no lease is longer than LEASE_MS, so one that claims to be is not believed.
 */
export interface SeenLease {
  readonly owner: Owner | null;
  /** By our monotonic clock: how long epoch and end of the lease have been what they are. */
  readonly unchangedMs: number;
  /** There is proof that the process that owns has ended. */
  readonly hasEnded: boolean;
}

/** Who owns an appliance. */
export interface Owner {
  readonly owner: string;
  readonly epoch: number;
  /** The number of the last renewal under this epoch; 0 before the first. */
  readonly renewals: number;
  /** Wall clock ms. */
  readonly since: number;
  /** The process that it is, as it names itself; '' when it has not said. */
  readonly instance: string;
  /** null: released. */
  readonly lease: {
    /** The database's wall clock, ms: every renewal changes it. Only good for a comparison with itself. */
    readonly until: number;
    /** ms until then by the database's own clock, at the moment of the read; negative once it has ended. */
    readonly leftMs: number;
  } | null;
}

/** How far the row of the appliance had come when this daemon last heard that it was written. */
export type LastWritten = Pick<Owner, 'epoch' | 'renewals'>;

/**
 * Whether the row is from before what is known to have been written: the database is a backup, or a replica
 * that lacks the end. Both numbers only ever grow.
 */
export function isOlderThan(row: LastWritten, known: LastWritten): boolean {
  return row.epoch === known.epoch ? row.renewals < known.renewals : row.epoch < known.epoch;
}

/** What a take-over stands on: the row as it was judged, and who takes it. */
export interface Claim {
  readonly seen: Owner | null;
  readonly instance: string;
}

/** `waitMs`: until when nothing can change but by a release. */
export type LeaseVerdict =
  | { readonly free: true; readonly because: string }
  | { readonly free: false; readonly waitMs: number };

/** May the appliance be taken over? Pure. */
export function judgeLease({ owner, unchangedMs, hasEnded }: SeenLease): LeaseVerdict {
  if (owner === null) return { free: true, because: 'nobody has ever owned it' };
  if (owner.lease === null) return { free: true, because: 'its owner has released it' };
  if (hasEnded) return { free: true, because: 'the process of its owner has ended' };
  const unheardMs = LIMITS.LEASE_MS - unchangedMs;
  if (unheardMs > 0) return { free: false, waitMs: unheardMs };
  const { leftMs } = owner.lease;
  if (leftMs > LIMITS.LEASE_MS)
    return { free: true, because: "its owner renews no more, and the database's clock was set back" };
  if (leftMs > 0) return { free: false, waitMs: leftMs };
  return { free: true, because: 'its lease has ended' };
}

/** Remembers since when the row has been what it is. */
export class LeaseWatch {
  private last: { readonly epoch: number; readonly until: number | null; readonly sinceMs: number } | null =
    null;

  /** `nowMs`: monotonic, read after the answer has come. */
  unchangedMs(owner: Owner | null, nowMs: number): number {
    const epoch = owner?.epoch ?? 0;
    const until = owner?.lease?.until ?? null;
    if (this.last?.epoch !== epoch || this.last.until !== until) this.last = { epoch, until, sinceMs: nowMs };
    return nowMs - this.last.sinceMs;
  }
}
