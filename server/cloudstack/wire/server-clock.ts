import { backOffMs } from '../../core/back-off';
import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { type ExpiryAnswer, measureSkew } from './clock-skew';

/** Sends a request that expires at this time, wall clock ms. */
export type AskExpiring = (expiresMs: number) => Promise<ExpiryAnswer>;

/** How CloudStack's time became known. */
export type SkewSource = 'date-header' | 'expires';

/**
 * An instant of CloudStack's clock on our monotonic one, so that setting our wall clock does not affect it.
 */
interface Anchor {
  readonly serverMs: number;
  readonly monotonicMs: number;
  readonly source: SkewSource;
}

/**
 * What is known of CloudStack's clock, and the clock that requests are signed by. As long as CloudStack
 * accepts signatures by this machine's wall clock, that one is used. Once a signature was refused and
 * CloudStack's time is known to differ, `expires` follows CloudStack's time, so a wrong or jumping wall clock
 * stops no operation.
 */
export class ServerClock {
  private known: Anchor | null = null;
  private inForce: Anchor | null = null;
  private measuring: Promise<void> | null = null;
  private lastTryAt = Number.NEGATIVE_INFINITY;
  private failures = 0;

  constructor(private readonly clock: Clock) {}

  /** CloudStack's clock minus ours, ms; null while nothing is known of it. */
  get skewMs(): number | null {
    const anchor = this.known ?? this.inForce;
    return anchor === null ? null : this.timeBy(anchor) - this.clock.now();
  }

  get source(): SkewSource | null {
    return (this.known ?? this.inForce)?.source ?? null;
  }

  /** The time to sign with, wall clock ms. */
  signingTime(): number {
    return this.inForce === null ? this.clock.now() : this.timeBy(this.inForce);
  }

  /**
   * Takes the time of a Date header. A measured time is better: a proxy in front of CloudStack may have sent
   * the header.
   */
  heard(serverMs: number): void {
    if (this.known?.source === 'expires') return;
    this.known = { serverMs, monotonicMs: this.clock.monotonic(), source: 'date-header' };
  }

  /**
   * After a 401 to a request signed at `signedMs`: signs by CloudStack's time from now on. True when that
   * differs.
   */
  correct(signedMs: number, signedAtMonotonicMs: number): boolean {
    if (this.known === null) return false;
    const wouldSign = this.timeBy(this.known) - (this.clock.monotonic() - signedAtMonotonicMs);
    if (Math.abs(wouldSign - signedMs) < LIMITS.CLOCK_SKEW_WARN_MS) return false;
    this.inForce = this.known;
    return true;
  }

  /** A request signed by a header's time was refused as well, so the header is not trusted any more. */
  distrust(): void {
    if (this.inForce?.source === 'date-header') this.inForce = null;
  }

  /**
   * Measures unless that was done a short while ago; after unsuccessful tries the pauses grow. Never throws.
   */
  async measureWhenDue(ask: AskExpiring): Promise<void> {
    const pauseMs =
      this.failures === 0
        ? LIMITS.CLOCK_MEASURE_PAUSE_MS
        : backOffMs(
            { baseMs: LIMITS.CLOCK_MEASURE_PAUSE_MS, capMs: LIMITS.CLOCK_MEASURE_CAP_MS },
            this.failures,
          );
    return this.measureAfter(pauseMs, ask);
  }

  /** The same on an operator's request: at most once a minute. */
  measureNow(ask: AskExpiring): Promise<void> {
    return this.measureAfter(LIMITS.CLOCK_MEASURE_PAUSE_MS, ask);
  }

  private async measureAfter(pauseMs: number, ask: AskExpiring): Promise<void> {
    if (this.measuring) return this.measuring;
    if (this.clock.monotonic() - this.lastTryAt < pauseMs) return;
    this.lastTryAt = this.clock.monotonic();
    this.measuring = this.measure(ask).finally(() => {
      this.measuring = null;
    });
    return this.measuring;
  }

  private async measure(ask: AskExpiring): Promise<void> {
    // Our wall clock may jump during the measurement, so it is read once.
    const ours = this.clock.now() - this.clock.monotonic();
    const skewMs = await measureSkew((aheadMs) => ask(ours + this.clock.monotonic() + aheadMs));
    this.failures = skewMs === null ? this.failures + 1 : 0;
    if (skewMs === null) return;
    const serverMs = ours + this.clock.monotonic() + skewMs;
    this.known = { serverMs, monotonicMs: this.clock.monotonic(), source: 'expires' };
    if (this.inForce !== null) this.inForce = this.known;
  }

  private timeBy({ serverMs, monotonicMs }: Anchor): number {
    return serverMs + (this.clock.monotonic() - monotonicMs);
  }
}
