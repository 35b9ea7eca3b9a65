import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { ExportServerHealth } from './export-server';

/** The last look at an export server, shared by all who ask while it is under way or soon after it. */
export class HealthCache {
  private looking: Promise<ExportServerHealth> | null = null;
  private last: { readonly at: number; readonly health: ExportServerHealth } | null = null;

  constructor(
    private readonly clock: Clock,
    /** A look that throws is an unhealthy server. */
    private readonly look: () => Promise<ExportServerHealth>,
    private readonly version: () => string | null,
  ) {}

  /** At most LIMITS.EXPORT_HEALTH_CACHE_MS old. */
  get(): Promise<ExportServerHealth> {
    if (this.last && this.clock.monotonic() - this.last.at < LIMITS.EXPORT_HEALTH_CACHE_MS)
      return Promise.resolve(this.last.health);
    this.looking ??= this.lookAgain().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  /** Something has changed: the next who asks gets a new look. */
  drop(): void {
    this.last = null;
  }

  /** Resolves when no look is under way. */
  async idle(): Promise<void> {
    await this.looking;
  }

  private async lookAgain(): Promise<ExportServerHealth> {
    const health = await this.look().catch(
      (error: unknown): ExportServerHealth => ({
        status: 'unhealthy',
        message: messageOf(error),
        version: this.version(),
        pid: null,
        staleUntilRestart: this.last?.health.staleUntilRestart ?? 0,
      }),
    );
    this.last = { at: this.clock.monotonic(), health };
    return health;
  }
}
