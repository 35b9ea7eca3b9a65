import type { Ledger, OperationCounts } from '../../model/ledger';
import type { OperationEvents } from '../../model/operation-events';

/**
 * Operation counts for metrics, cached: they are read from the ledger again only when something has happened
 * since the last read.
 */
export class Statistics {
  private cached: OperationCounts | null = null;
  private dirty = true;
  private reading: Promise<OperationCounts> | null = null;

  constructor(
    private readonly ledger: Ledger,
    private readonly applianceId: () => string | undefined,
    events: OperationEvents,
  ) {
    events.onEntry(() => {
      this.dirty = true;
    });
  }

  /** Throws DATABASE_UNAVAILABLE when the ledger must be read and cannot be. */
  async counts(): Promise<OperationCounts> {
    if (this.cached && !this.dirty) return this.cached;
    this.reading ??= this.read().finally(() => {
      this.reading = null;
    });
    return this.reading;
  }

  /**
   * The pending operations as last counted; a call refreshes the count for the next one. Never waits, never
   * throws.
   */
  pending(): number {
    if (this.dirty) this.counts().catch(() => undefined);
    return this.cached?.byStatus.pending ?? 0;
  }

  private async read(): Promise<OperationCounts> {
    this.dirty = false;
    try {
      this.cached = await this.ledger.counts(this.applianceId());
      return this.cached;
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
