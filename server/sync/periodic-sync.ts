import type { Clock } from '../core/clock';
import type { SyncReport } from './drift';
import type { SyncService } from './sync-service';

/** Decides at every tick of the task whether a sync is due: RECONCILE_INTERVAL after the last one, whoever asked for it. */
export class PeriodicSync {
  /** Monotonic; a sync that fails is tried again after the interval, not at the next tick. */
  private triedAt: number | null = null;

  constructor(
    private readonly sync: Pick<SyncService, 'run' | 'last'>,
    private readonly intervalMs: number,
    private readonly clock: Clock,
  ) {}

  /** Null: nothing was due. */
  async tick(): Promise<SyncReport | null> {
    if (!this.isDue()) return null;
    this.triedAt = this.clock.monotonic();
    return this.sync.run({ dryRun: false, reason: 'schedule' });
  }

  private isDue(): boolean {
    if (this.triedAt !== null && this.clock.monotonic() - this.triedAt < this.intervalMs) return false;
    const { last } = this.sync;
    if (last === null) return true;
    const ageMs = this.clock.now() - last.finishedAt;
    // Negative: the wall clock was set back, which proves nothing about the age.
    return ageMs < 0 || ageMs >= this.intervalMs;
  }
}
