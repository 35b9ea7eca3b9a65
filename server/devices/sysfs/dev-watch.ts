import { watch } from 'node:fs';
import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { DEVICE_NAME } from './device-names';

/**
 * Calls `onChange` soon after the node of a disk has come or gone in `devDir` (devtmpfs reports it, sysfs
 * does not), once for a burst. Only a hint: losing it costs latency. Watching is tried again every
 * LIMITS.HINT_RETRY_MS. Returns the function that ends it. Never throws.
 */
export function watchNodes(devDir: string, clock: Clock, onChange: () => void): () => void {
  const ended = new AbortController();
  let isScheduled = false;
  const schedule = async () => {
    if (isScheduled) return;
    isScheduled = true;
    await clock.sleep(LIMITS.HINT_DEBOUNCE_MS, ended.signal);
    isScheduled = false;
    if (!ended.signal.aborted) onChange();
  };
  void watchForever(devDir, clock, ended.signal, () => void schedule());
  return () => ended.abort();
}

async function watchForever(
  dir: string,
  clock: Clock,
  ended: AbortSignal,
  onEvent: () => void,
): Promise<void> {
  while (!ended.aborted) {
    await watchOnce(dir, ended, onEvent);
    await clock.sleep(LIMITS.HINT_RETRY_MS, ended);
  }
}

/** Resolves when watching is impossible, has broken, or is ended. */
function watchOnce(dir: string, ended: AbortSignal, onEvent: () => void): Promise<void> {
  return new Promise((resolve) => {
    try {
      const watcher = watch(dir, { persistent: false });
      const close = () => {
        ended.removeEventListener('abort', close);
        watcher.close();
        resolve();
      };
      ended.addEventListener('abort', close, { once: true });
      watcher.on('error', close);
      watcher.on('change', (_event, name) => {
        const text = String(name ?? '');
        // An event that names the folder itself: it was removed or moved, and this watch sees nothing more.
        if (text === '' || DEVICE_NAME.test(text)) onEvent();
        else if (dir.endsWith(`/${text}`)) close();
      });
    } catch {
      resolve();
    }
  });
}
