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
