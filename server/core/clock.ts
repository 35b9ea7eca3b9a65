/** Time and chance as injected parts, so that tests and the simulation own both. */
export interface Clock {
  /** Wall clock, ms since the Unix epoch. May jump; only for people and for what outlives the process. */
  now(): number;
  /** Monotonic clock, ms. Never jumps; use it for timeouts and durations. */
  monotonic(): number;
  /**
   * Resolves after `ms` milliseconds, or at once when `signal` aborts (it never rejects: a cancelled wait is
   * not an error, the caller looks at `signal.aborted`).
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  /** A fresh lower-case UUID v4. */
  uuid(): string;
  /** A number in [0, 1). */
  fraction(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish, { once: true });
    }),
};

export const systemRandom: Random = {
  uuid: () => crypto.randomUUID(),
  fraction: () => Math.random(),
};

/**
 * How long to sleep for a pause of about `ms` (at least 1,000): up to half a second more or less, so that it
 * ends with a whole second of the wall clock, as the pauses of scheduled tasks do. What an idle daemon does
 * again and again is then done in one wake-up; each of its own would cost more than the work.
 *
 * @example
 * untilWholeSecond(5_000, 12_300); // 4,700: at 17,000
 */
export function untilWholeSecond(ms: number, nowMs: number): number {
  return Math.round((nowMs + ms) / 1_000) * 1_000 - nowMs;
}

/**
 * Like Clock.sleep, until the first of several signals. Not AbortSignal.any: in Node 20 each of its signals
 * stays referenced by every source that is never aborted, and one of ours lives as long as the daemon.
 */
export async function sleepUntilAny(
  clock: Clock,
  ms: number,
  signals: readonly AbortSignal[],
): Promise<void> {
  const first = new AbortController();
  const end = () => first.abort();
  for (const signal of signals) {
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
  }
  try {
    await clock.sleep(ms, first.signal);
  } finally {
    for (const signal of signals) signal.removeEventListener('abort', end);
  }
}
