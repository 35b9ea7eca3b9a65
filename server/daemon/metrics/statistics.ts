import type { Ledger, OperationCounts } from '../../model/ledger';
import type { OperationEvents } from '../../model/operation-events';

/**
 * Operation counts for metrics, cached: they are read from the ledger again only when something has happened
 * since the last read. While another process may own the appliance nobody tells this one what happens.
 */
export class Statistics {
  private cached: OperationCounts | null = null;
  private dirty = true;
  private reading: Promise<OperationCounts> | null = null;
  private reads = 0;

  constructor(
    private readonly ledger: () => Ledger,
    private readonly applianceId: () => string | undefined,
    events: OperationEvents,
    private readonly isOwner: () => boolean,
  ) {
    events.onEntry(() => {
      this.dirty = true;
    });
  }

  /**
   * The counts of now: a read that began before the last event is not joined. Throws what the
   * ledger throws when it must be read and cannot be.
   */
  async counts(): Promise<OperationCounts> {
    if (!this.isOwner()) this.dirty = true;
    if (!this.dirty && this.reading) return this.reading;
    if (!this.dirty && this.cached) return this.cached;
    const reading = this.read().finally(() => {
      if (this.reading === reading) this.reading = null;
    });
    this.reading = reading;
    return reading;
  }

  /**
   * The pending operations as last counted; a call refreshes the count for the next one. Never waits, never
   * throws.
   */
  pending(): number {
    if (!this.isOwner()) this.dirty = true;
    if (this.dirty && !this.reading) this.counts().catch(() => undefined);
    return this.cached?.byStatus.pending ?? 0;
  }

  private async read(): Promise<OperationCounts> {
    this.dirty = false;
    this.reads += 1;
    const read = this.reads;
    try {
      const counts = await this.ledger().counts(this.applianceId());
      if (read === this.reads) this.cached = counts;
      return counts;
    } catch (error) {
      this.dirty = true;
      throw error;
    }
  }
}

/**
 * Specification, "Service Metrics": failed operations of all operations, in percent with two decimals (21 of
 * 1547 = 1.36).
 */
export function errorRatePercent(failed: number, total: number): number {
  return total === 0 ? 0 : Math.round((failed / total) * 10_000) / 100;
}
