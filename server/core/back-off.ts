import type { Clock, Random } from './clock';

/** An exponential back-off: `baseMs` after the first failure, then twice as long each time, up to `capMs`. */
export interface BackOff {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * How long to wait after so many failures in a row (1, 2, …).
 *
 * @example
 * await clock.sleep(backOffMs({ baseMs: 250, capMs: 5_000 }, failures), signal);
 */
export function backOffMs({ baseMs, capMs }: BackOff, failures: number): number {
  return Math.min(capMs, baseMs * 2 ** (failures - 1));
}

/**
 * With jitter: between half of that time and all of it, so that callers that failed together do not retry
 * together, and none of them asks often.
 */
export function jitteredBackOffMs(
  backOff: BackOff,
  failures: number,
  random: Pick<Random, 'fraction'>,
): number {
  return Math.ceil((0.5 + random.fraction() / 2) * backOffMs(backOff, failures));
}

/** Keeps something that fails from being tried again too soon. */
export class RetryGate {
  private failures = 0;
  private opensAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Pick<Clock, 'monotonic'>,
    private readonly backOff: BackOff,
  ) {}

  /** May it be tried now? */
  get isOpen(): boolean {
    return this.clock.monotonic() >= this.opensAt;
  }

  /** Runs `work`. A failure closes the gate for the next pause; a success forgets earlier failures. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.failures = 0;
      return result;
    } catch (error) {
      this.failures += 1;
      this.opensAt = this.clock.monotonic() + backOffMs(this.backOff, this.failures);
      throw error;
    }
  }
}
