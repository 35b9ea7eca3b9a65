import { untilWholeSecond } from './clock';

/** `lateMs`: how much later than it should have been, ms. */
type Listener = (lateMs: number) => void;

const listeners = new Set<Listener>();
let timer: NodeJS.Timeout | null = null;

/**
 * Calls `listener` about once a second, with the whole seconds of the wall clock, until the returned function
 * is called. Everybody is called at the same moment, that of the scheduled tasks: an idle daemon is woken
 * once a second for all of them. Does not keep the process alive.
 */
export function everySecond(listener: Listener): () => void {
  listeners.add(listener);
  if (timer === null) wait();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === null) return;
    clearTimeout(timer);
    timer = null;
  };
}

function wait(): void {
  const pauseMs = untilWholeSecond(1_000, Date.now());
  const due = performance.now() + pauseMs;
  timer = setTimeout(() => {
    wait();
    const lateMs = Math.max(0, performance.now() - due);
    for (const call of listeners) call(lateMs);
  }, pauseMs).unref();
}
