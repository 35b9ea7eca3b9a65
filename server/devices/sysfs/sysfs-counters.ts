import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { Semaphore } from '../../core/concurrency/semaphore';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { absent, type Evidence, seen, unknown } from '../../model/evidence';
import { type CounterReader, type DiskCounters, type Plug, parseDiskStat } from '../disk-counters';
import { readNumber, readSmall } from './kernel-files';

interface SysfsCountersOptions {
  /** `/sys/block` */
  readonly sysBlockDir: string;
  readonly clock: Clock;
  /** Writes to the disk what the page cache holds for it. */
  readonly sync?: (path: string) => Promise<void>;
}

/**
 * The counters of `/sys/block/<disk>/stat`, read synchronously like the rest of sysfs: it touches no disk.
 */
export function createSysfsCounters({
  sysBlockDir,
  clock,
  sync = syncToDisk,
}: SysfsCountersOptions): CounterReader {
  /**
   * Asked for and not begun: whoever asks meanwhile shares it. One that has begun may have passed
   * what was written since.
   */
  const waiting = new Map<string, Promise<void>>();
  /** One flush a plug at a time. */
  const flushes = new KeyedMutex();
  /** Of those whose turn has come (monotonic ms). */
  const begunAt = new Map<string, number>();
  /** When any flush has ended last (monotonic ms). */
  let lastEnd = Number.NEGATIVE_INFINITY;
  // One that never ends holds one of the threads that Node has for files: a storage that hangs has many
  // disks.
  const turns = new Semaphore(LIMITS.DISK_FLUSHES_AT_ONCE);

  const flushInTurn = (key: string, path: string) =>
    flushes.run(key, () =>
      turns.use(async () => {
        waiting.delete(key);
        begunAt.set(key, clock.monotonic());
        try {
          await sync(path);
        } finally {
          lastEnd = clock.monotonic();
          begunAt.delete(key);
        }
      }),
    );

  /** Throws when the flush of this disk lasts too long, or when it has no turn and none before it ends. */
  const giveUpLate = async (key: string, path: string, signal: AbortSignal) => {
    const asked = clock.monotonic();
    for (;;) {
      const since = Math.max(asked, begunAt.get(key) ?? lastEnd);
      const leftMs = since + LIMITS.DISK_FLUSH_MS - clock.monotonic();
      if (leftMs <= 0) throw new Error(`${path} was not flushed in ${LIMITS.DISK_FLUSH_MS} ms`);
      await clock.sleep(leftMs, signal);
      if (signal.aborted) return;
    }
  };

  return {
    read(plug) {
      const at = clock.now();
      try {
        return readPlug(join(sysBlockDir, plug.name), plug, at);
      } catch (error) {
        return unknown(`the counters of ${plug.path} cannot be read: ${messageOf(error)}`, at, 'guest');
      }
    },
    async flush({ path, diskseq }) {
      // By the plug: the flush of a disk that has left may hang, and does nothing for the next one of its
      // name.
      const key = `${path}#${diskseq}`;
      const asked = waiting.get(key) ?? flushInTurn(key, path);
      waiting.set(key, asked);
      const over = new AbortController();
      try {
        await Promise.race([asked, giveUpLate(key, path, over.signal)]);
      } finally {
        over.abort();
      }
    },
  };
}

/** Read between two readings of diskseq, so that no answer mixes two disks. */
function readPlug(dir: string, { path, diskseq }: Plug, at: number): Evidence<DiskCounters> {
  if (diskseq === null)
    return unknown(
      `the kernel does not number the plugs of ${path} (before 5.15), so its counters may be another disk's`,
      at,
      'guest',
    );
  const isStillThere = () => readNumber(join(dir, 'diskseq')) === diskseq;
  const gone = () => absent(`the disk that was ${path} (diskseq ${diskseq}) has left`, at, 'guest');
  if (!isStillThere()) return gone();
  const text = readSmall(join(dir, 'stat'));
  if (!isStillThere()) return gone();
  const counters = text === null ? null : parseDiskStat(text);
  if (counters === null) return unknown(`the kernel shows no counters of ${path}`, at, 'guest');
  return seen(counters, at, 'guest');
}

/** Opened for reading: closing a descriptor that could write makes udev look at the disk anew. */
async function syncToDisk(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
