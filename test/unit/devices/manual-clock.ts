import type { Clock } from '~/server/core/clock';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

/** A clock that moves only when told. */
export class ManualClock implements Clock {
  private time = 1_000_000;
  private sleepers: Sleeper[] = [];
  private offset = 1_700_000_000_000;

  now(): number {
    return this.offset + this.time;
  }

  monotonic(): number {
    return this.time;
  }

  /** Sets the wall clock by so many ms. */
  set(ms: number): void {
    this.offset += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const leave = () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const sleeper: Sleeper = { at: this.time + ms, wake: leave };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  get sleeping(): number {
    return this.sleepers.length;
  }

  /** Wakes everybody whose time comes within `ms`, in order, and lets what follows from it happen. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const next = this.sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.time = Math.max(this.time, next.at);
      next.wake();
      await settle();
    }
    this.time = end;
  }
}

/** Lets every promise that can go on do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
