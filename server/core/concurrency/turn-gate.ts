import type { Clock } from '../clock';
import { LIMITS } from '../limits';

/**
 * Shares the one event loop between work that somebody waits for and work in the background. Before each of its
 * short pieces background work asks for a turn: it gets one in each round of the loop, and none while urgent work
 * is under way. So urgent work waits for one piece at most, however many are ready.
 *
 * Neither starves the other: when turns have been held for TURNS_HELD_MS, there is one in each round for as long.
 *
 * @example
 * const accepted = await turns.urgently(() => ledger.accept(request)); // somebody waits
 * await turns.next(); // in the background
 */
export class TurnGate {
  private readonly waiting: (() => void)[] = [];
  /** How much urgent work is under way. */
  private urgent = 0;
  /** Turns are being held; another object for each time. */
  private hold: object | null = null;
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
      this.plan();
    }
  }

  private plan(): void {
    if (this.planned || this.waiting.length === 0) return;
    this.planned = true;
    this.soon(() => {
      this.planned = false;
      if (this.urgent === 0 || this.clock.monotonic() < this.freeUntil) this.give();
      else if (this.hold === null) this.beginHold();
    });
  }

  private give(): void {
    this.hold = null;
    this.waiting.shift()?.();
    this.plan();
  }

  private beginHold(): void {
    const hold = {};
    this.hold = hold;
    void this.clock.sleep(LIMITS.TURNS_HELD_MS).then(() => {
      if (this.hold !== hold) return;
      this.freeUntil = this.clock.monotonic() + LIMITS.TURNS_HELD_MS;
      this.plan();
    });
  }
}
