const listeners = new Set<() => void>();
let timer: NodeJS.Timeout | null = null;

/**
 * Calls `listener` about once a second until the returned function is called. Everybody is called at the same
 * moment: an idle daemon is woken once a second for all of them. Does not keep the process alive.
 */
export function everySecond(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    for (const call of listeners) call();
  }, 1_000).unref();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
}
