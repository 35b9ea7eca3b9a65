import type { Clock } from './clock';
import { LIMITS } from './limits';

/** What one process has seen of the clock, for the next one on the same machine. */
export interface ClockNote {
  /** Wall clock minus time since boot, ms: it stays as it is until the clock is set. */
  readonly offsetMs: number;
  /** ms since boot when a step was noticed last; null: none was. */
  readonly steppedAtMs: number | null;
}

/** Keeps the note until the machine is booted again. */
export interface ClockNotes {
  /** ms since boot, whichever process asks. */
  uptime(): number;
  /** null: there is none of this boot, or none that can be read. Never throws. */
  load(): ClockNote | null;
  /** May be lost: the next process then notices again what this one has noticed. Never throws. */
  save(note: ClockNote): void;
}

/**
 * Notices that the wall clock was set, by comparing it with the monotonic one. Times that were written before
 * a step and times that are read after it say nothing about how much time has passed.
 *
 * @example
 * const steps = new ClockSteps(clock);
 * if (steps.hasSteppedSince(clock.monotonic() - 60_000)) return; // the last minute cannot be measured
 */
export class ClockSteps {
  /** Monotonic ms. Of steps before it only the notes tell. */
  private readonly watchedSince: number;
  /** Wall clock minus monotonic clock, ms. */
  private offset: number;
  private notedOffset: number;
  /** Monotonic ms. */
  private steppedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param onStep is told by how many ms the clock was set
   * @param notes absent: nothing is known of what was before this process, nor told to the next one
   */
  constructor(
    private readonly clock: Pick<Clock, 'now' | 'monotonic'>,
    private readonly onStep: (byMs: number) => void = () => {},
    private readonly notes?: ClockNotes,
  ) {
    this.watchedSince = clock.monotonic();
    this.offset = clock.now() - this.watchedSince;
    this.notedOffset = this.offset;
    this.recall();
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
    this.judge(offset - this.offset);
    this.offset = offset;
    // Half of a step, so that every step is noted, and so is what adds up to one.
    if (Math.abs(offset - this.notedOffset) > LIMITS.CLOCK_STEP_MS / 2) this.note();
  }

  /** A step since the note counts from now: when it was made is not known. */
  private recall(): void {
    const { clock, notes } = this;
    if (notes === undefined) return;
    const note = notes.load();
    if (note !== null) {
      const uptime = notes.uptime();
      if (note.steppedAtMs !== null) this.steppedAt = clock.monotonic() - (uptime - note.steppedAtMs);
      this.judge(clock.now() - uptime - note.offsetMs);
    }
    this.note();
  }

  private judge(differenceMs: number): void {
    const byMs = Math.round(differenceMs);
    if (Math.abs(byMs) <= LIMITS.CLOCK_STEP_MS) return;
    this.steppedAt = this.clock.monotonic();
    this.onStep(byMs);
  }

  private note(): void {
    const { clock, notes, steppedAt } = this;
    this.notedOffset = this.offset;
    if (notes === undefined) return;
    const uptime = notes.uptime();
    notes.save({
      offsetMs: clock.now() - uptime,
      steppedAtMs: Number.isFinite(steppedAt) ? uptime - (clock.monotonic() - steppedAt) : null,
    });
  }
}
