import { backOffMs } from '../core/back-off';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { SyncReport } from './drift';
import type { SyncService } from './sync-service';

/**
 * Decides at every tick of the task whether a sync is due: RECONCILE_INTERVAL after the last one that could
 * read everything, whoever requested it. A sync that fails or cannot read does not count; it is tried again
 * soon, with growing pauses up to the interval.
 */
export class PeriodicSync {
  /** Monotonic ms of the last try. */
  private triedAt: number | null = null;
  /** Consecutive tries that did not count as a sync. */
  private fruitless = 0;
  private hurried = false;

  constructor(
    private readonly sync: Pick<SyncService, 'run' | 'lastJudgedMonotonic'>,
    private readonly intervalMs: number,
    private readonly clock: Clock,
  ) {}

  /** Null when no sync was due. */
  async tick(): Promise<SyncReport | null> {
    if (!this.isDue()) return null;
    this.triedAt = this.clock.monotonic();
    this.fruitless += 1;
    this.hurried = false;
    const report = await this.sync.run({ dryRun: false, reason: 'schedule' });
    if (report.judged) this.fruitless = 0;
    return report;
  }

  /** The next tick syncs: something has changed that rows should follow. */
  hurry(): void {
    this.hurried = true;
  }

  private isDue(): boolean {
    if (this.hurried) return true;
    if (this.triedAt !== null && this.clock.monotonic() - this.triedAt < this.pauseMs()) return false;
    const { lastJudgedMonotonic } = this.sync;
    return lastJudgedMonotonic === null || this.clock.monotonic() - lastJudgedMonotonic >= this.intervalMs;
  }

  private pauseMs(): number {
    if (this.fruitless === 0) return this.intervalMs;
    return backOffMs({ baseMs: LIMITS.SYNC_RETRY_MS, capMs: this.intervalMs }, this.fruitless);
  }
}
