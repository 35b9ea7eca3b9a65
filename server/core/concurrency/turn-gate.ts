import type { Clock } from '../clock';
import { LIMITS } from '../limits';

/**
 * Shares the one event loop between urgent work, which somebody waits for, and work in the background, which
 * asks for a turn before each of its short pieces. Without it every round of the loop would run all pieces
 * that are ready. Turns are given
 * - while urgent work is under way: none;
 * - for TURNS_FLOW_MS after its end, when the next may come at any moment: one in each round of the loop;
 * - otherwise: at once, to everybody who asks.
 *
 * Neither starves the other: when turns have been held for TURNS_HELD_MS, one is given in each round for as
 * long.
 *
 * @example
 * const accepted = await turns.urgently(() => ledger.accept(request)); // somebody waits
 * await turns.next(); // in the background
 */
export class TurnGate {
  private readonly waiting: (() => void)[] = [];
  /** How much urgent work is under way. */
  private urgent = 0;
  /** Monotonic ms; until then more urgent work is expected. */
  private flowsUntil = Number.NEGATIVE_INFINITY;
  /** Turns are being held, or have been for long enough; another object for each time. */
  private hold: { over: boolean } | null = null;
  /** Monotonic ms; until then turns are not held. */
  private freeUntil = Number.NEGATIVE_INFINITY;
  private planned = false;

  /** @param soon runs something in the next round of the event loop */
  constructor(
    private readonly clock: Pick<Clock, 'monotonic' | 'sleep'>,
    private readonly soon: (work: () => void) => void = setImmediate,
  ) {}

  /** Resolves when the background may go on, in the order of asking. */
  next(): Promise<void> {
    if (this.isQuiet() && this.waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.plan();
    });
  }

  /** Runs urgent work, and holds turns until it has ended. */
  async urgently<T>(work: () => Promise<T>): Promise<T> {
    this.urgent += 1;
    try {
      return await work();
    } finally {
      this.urgent -= 1;
      this.flowsUntil = this.clock.monotonic() + LIMITS.TURNS_FLOW_MS;
      this.plan();
    }
  }

  private isQuiet(): boolean {
    return this.urgent === 0 && this.clock.monotonic() >= this.flowsUntil;
  }

  private plan(): void {
    if (this.planned || this.waiting.length === 0) return;
    this.planned = true;
    this.soon(() => {
      this.planned = false;
      const now = this.clock.monotonic();
      // From now on, and not from the end of the hold: a slow round must not use it up.
      if (this.hold?.over) this.freeUntil = now + LIMITS.TURNS_HELD_MS;
      if (this.urgent === 0 || now < this.freeUntil) this.give();
      else if (this.hold === null) this.beginHold();
    });
  }

  private give(): void {
    this.hold = null;
    const count = this.isQuiet() ? this.waiting.length : 1;
    for (const go of this.waiting.splice(0, count)) go();
    this.plan();
  }

  private beginHold(): void {
    const hold = { over: false };
    this.hold = hold;
    void this.clock.sleep(LIMITS.TURNS_HELD_MS).then(() => {
      hold.over = true;
      this.plan();
    });
  }
}
