import { setTimeout as delay } from 'node:timers/promises';
import { timeLimit } from './client/time-limit';
import type { Context } from './context';
import { EXIT } from './exit';
import { OutageTimer } from './outage-timer';
import type { Column } from './output/table';

/** As often as the daemon looks at the disks. */
const INTERVAL_MS = 2_000;

/**
 * Shows a list again and again, on a terminal in the same place, until the user interrupts or --timeout has
 * passed. A daemon that is restarted is waited for. Throws what `read` throws when that does not help.
 */
export async function watchTable<T>(
  { out, signal: interrupted, timeoutMs }: Context,
  columns: readonly Column<T>[],
  empty: string,
  read: (signal: AbortSignal) => Promise<readonly T[]>,
): Promise<number> {
  const timer = timeLimit(timeoutMs);
  const signal = AbortSignal.any([interrupted, timer]);
  const outage = new OutageTimer();
  while (!signal.aborted) {
    try {
      const rows = await read(signal);
      outage.end();
      out.again(columns, rows, empty);
      await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    } catch (error) {
      if (signal.aborted) break;
      out.progress('the daemon does not answer; waiting for it');
      await outage.pauseOrThrow(error, signal);
    }
  }
  return EXIT.OK;
}
