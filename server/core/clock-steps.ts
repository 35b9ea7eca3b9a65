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
  /** Monotonic ms. Of steps before it nothing is known. */
  private readonly watchedSince: number;
  /** Wall clock minus monotonic clock, ms. */
  private offset: number;
  /** Monotonic ms. */
  private steppedAt = Number.NEGATIVE_INFINITY;

  /** `onStep` is told by how many ms the clock was set. */
  constructor(
    private readonly clock: Pick<Clock, 'now' | 'monotonic'>,
    private readonly onStep: (byMs: number) => void = () => {},
  ) {
    this.watchedSince = clock.monotonic();
    this.offset = clock.now() - this.watchedSince;
  }

  /** Does this moment (monotonic ms) lie before the first look, so that a step since then went unnoticed? */
  hasBegunAfter(monotonic: number): boolean {
    return this.watchedSince > monotonic;
  }

  /** Was a step noticed after this moment (monotonic ms)? A step counts from when it is noticed. */
  hasSteppedSince(monotonic: number): boolean {
    this.look();
    return this.steppedAt >= monotonic;
  }

  /** Looks now: often enough, a clock that is slewed all day does not seem to have been set. */
  look(): void {
    const offset = this.clock.now() - this.clock.monotonic();
    const byMs = Math.round(offset - this.offset);
    this.offset = offset;
    if (Math.abs(byMs) <= LIMITS.CLOCK_STEP_MS) return;
    this.steppedAt = this.clock.monotonic();
    this.onStep(byMs);
  }
}
