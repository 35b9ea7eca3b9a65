import type { Clock } from './clock';
import { LIMITS } from './limits';

/**
 * Notices that the wall clock was set, by comparing it with the monotonic one. Times that were written before
 * a step and times that are read after it say nothing about how much time has passed.
 *
 * @example
 * const steps = new ClockSteps(clock);
 * if (steps.hasSteppedSince(clock.monotonic() - 60_000)) return; // the last minute cannot be measured
 */
export class ClockSteps {
  /** Wall clock minus monotonic clock, ms. */
  private offset: number;
  /** Monotonic ms. */
  private steppedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.offset = clock.now() - clock.monotonic();
  }

  /** Was a step noticed after this moment (monotonic ms)? A step counts from when it is noticed. */
  hasSteppedSince(monotonic: number): boolean {
    const offset = this.clock.now() - this.clock.monotonic();
    if (Math.abs(offset - this.offset) > LIMITS.CLOCK_STEP_MS) this.steppedAt = this.clock.monotonic();
    this.offset = offset;
    return this.steppedAt >= monotonic;
  }
}
