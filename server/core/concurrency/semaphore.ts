/**
 * A counting semaphore, first come first served, except for those who go ahead. Bounds how many steps are
 * active at once (calls under way, not operations that merely wait for a job), so that slow jobs on one VM
 * never hold up the others.
 */
export class Semaphore {
  private free: number;
  private readonly waiting: (() => void)[] = [];
  private readonly ahead: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  /** `goesAhead`: before everybody who waits and does not. */
  async use<T>(work: () => Promise<T>, goesAhead = false): Promise<T> {
    const queue = goesAhead ? this.ahead : this.waiting;
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => queue.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.ahead.shift() ?? this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}
