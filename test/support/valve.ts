import { type Clock, systemClock } from '~/server/core/clock';

/** A job of exactly this length lasts until the valve is opened, ms. */
export const HELD_MS = 3_600_000;

/** A clock whose very long waits last until somebody opens it. */
export class Valve {
  private readonly held = new Set<() => void>();
  readonly clock: Clock = {
    ...systemClock,
    sleep: (ms, signal) => (ms >= HELD_MS / 2 ? this.wait(signal) : systemClock.sleep(ms, signal)),
  };

  open(): void {
    for (const release of this.held) release();
    this.held.clear();
  }

  private wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.held.add(resolve);
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}
