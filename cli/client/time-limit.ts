/** Node's timers fire at once for longer times, and AbortSignal.timeout refuses much longer ones. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** A time that a timer can wait: whole ms (1.005 s is not), and what is longer than 24 days ends then. */
export function timerMs(ms: number): number {
  return Math.min(Math.ceil(ms), TIMER_MAX_MS);
}

/** Aborts after the time; never when there is none. */
export function timeLimit(ms: number | null): AbortSignal {
  return ms === null ? new AbortController().signal : AbortSignal.timeout(timerMs(ms));
}
