import { Semaphore } from '../core/concurrency/semaphore';
import type { TurnGate } from '../core/concurrency/turn-gate';
import { LIMITS } from '../core/limits';

/**
 * The calls of running operations to the outside. Their number is bounded, and both the start of one and what
 * follows from its answer take a turn, so that operations do not hold up the callers of the daemon.
 */
export class ActiveSteps {
  private readonly permits = new Semaphore(LIMITS.ACTIVE_STEPS);

  constructor(private readonly turns: TurnGate) {}

  /** `goesAhead`: what it is about has been looked at already, and must not grow old. */
  use<T>(call: () => Promise<T>, goesAhead = false): Promise<T> {
    return this.permits.use(async () => {
      await this.turns.next();
      try {
        return await call();
      } finally {
        await this.turns.next();
      }
    }, goesAhead);
  }
}
