/** A starved guest under emulation takes minutes for what takes a second on an appliance. ms. */
const PATIENCE_MS = 300_000;
/** Between two looks, ms. */
const PAUSE = 250;

/** Waits until something is so; throws naming it when it does not come to be. */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`it did not happen within ${PATIENCE_MS / 1000} s that ${what}`);
    await pause();
  }
}

/**
 * Repeats a call that was answered with 503: in a starved guest the database is away for a moment now and
 * then. Attach and detach may be repeated: a request identical to one in flight is that one. A create takes a
 * key of its own.
 */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!String(error).includes('HTTP 503') || performance.now() > deadline) throw error;
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}

/**
 * Lets a guest have so many minutes in all, so that one that stands still does not hold up those who wait for
 * their turn. Who calls this stops the guest then.
 */
export async function within<T>(minutes: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the guest was not done within ${minutes} minutes (--minutes)`)),
      minutes * 60_000,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
