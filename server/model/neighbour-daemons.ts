import type { Clock } from '../core/clock';
import type { Owner } from './lease';
import { judgeLease, LeaseWatch } from './lease';
import type { Ledger } from './ledger';

/** The daemon that runs on another VM, or ran there once. */
export interface NeighbourLook {
  readonly owner: string;
  /** The row that was judged: a take-over names it. */
  readonly row: Owner;
  /** False only where both clocks say that its lease has ended, as for a take-over, or it was released. */
  readonly runs: boolean;
  /** ms from now until a second look can tell; 0: this one did. */
  readonly toldInMs: number;
}

/**
 * Which daemons of other appliances run, by their leases in this database. The clock of the database alone
 * does not tell: set forward, or of another node of a cluster, it ends leases that are renewed. So a lease
 * that has ended by it is watched for as long as a lease lasts (decision 0012).
 *
 * @example
 * const daemon = await neighbours.look(vmId);
 * if (daemon?.runs === true) return refuse('APPLIANCE_PROTECTED', ...);
 */
export class NeighbourDaemons {
  /** By VM; only of those with a row, which are appliances. */
  private readonly watches = new Map<string, LeaseWatch>();

  constructor(
    private readonly ledger: Pick<Ledger, 'readNeighbour'>,
    private readonly clock: Clock,
  ) {}

  /** null: no daemon with this database ever ran there. */
  async look(vmId: string): Promise<NeighbourLook | null> {
    const sentAt = this.clock.monotonic();
    const row = await this.ledger.readNeighbour(vmId);
    if (row === null) return null;
    const watch = this.watches.get(vmId) ?? new LeaseWatch();
    this.watches.set(vmId, watch);
    const answeredAt = this.clock.monotonic();
    // The row is as old as the question: an answer that was long under way tells nothing of that time.
    const unchangedMs = Math.max(0, watch.unchangedMs(row, answeredAt) - (answeredAt - sentAt));
    const verdict = judgeLease({ owner: row, unchangedMs, hasEnded: false });
    const toldInMs = verdict.free || holdsLease(row) ? 0 : verdict.waitMs;
    return { owner: row.owner, row, runs: !verdict.free, toldInMs };
  }
}

/** By the clock of the database. */
function holdsLease({ lease }: Owner): boolean {
  return lease !== null && lease.leftMs > 0;
}
