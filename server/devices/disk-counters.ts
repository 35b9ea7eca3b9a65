import type { Evidence } from '../model/evidence';
import type { Device } from './device';

/** What the kernel has counted for one plug of a disk, whoever caused it; partitions included. */
export interface DiskCounters {
  /** Bytes that were read from the disk since it was plugged in. */
  readonly readBytes: number;
  /** Bytes that were written to it. What is still in the page cache has not been written. */
  readonly writtenBytes: number;
  /** Reads, writes and discards that have ended. A flush moves no data and is not counted. */
  readonly requests: number;
  /** Requests that have not ended yet. */
  readonly inFlight: number;
}

/** One plug of a disk: its name alone would also name the next disk that gets the letter. */
export type Plug = Pick<Device, 'name' | 'path' | 'diskseq'>;

/**
 * The port to the kernel's counters. Real: ./sysfs/sysfs-counters.ts; in memory: lab/guest/memory-guest.ts.
 * Both pass test/contract/counter-reader.ts.
 *
 * @example
 * const counters = reader.read(device);
 * if (counters.kind === 'seen') console.log(counters.value.writtenBytes);
 */
export interface CounterReader {
  /**
   * The counters of exactly this plug: `absent` when it has left, `unknown` when they cannot be read or
   * it cannot be told whether they are this disk's (no diskseq: kernels before 5.15). Never throws and
   * never waits for the disk.
   */
  read(plug: Plug): Evidence<DiskCounters>;
  /**
   * Writes to the disk what the page cache holds for it, so that it is counted. Does not tell whose disk it
   * is. Rejects when that fails, or has not ended after LIMITS.DISK_FLUSH_MS.
   */
  flush(plug: Plug): Promise<void>;
}

/** `/sys/block/<disk>/stat` counts in these, whatever the disk's own sector size is. */
const SECTOR_BYTES = 512;
/**
 * reads, merges, sectors, ms; the same of writes; in flight, ms busy, ms in queue. Kernels
 * since 2.6 have these.
 */
const FIELDS = 11;

/**
 * The text of `/sys/block/<disk>/stat`; null when it is not what the kernel writes or too large to be exact.
 */
export function parseDiskStat(text: string): DiskCounters | null {
  const fields = text.trim().split(/\s+/);
  if (fields.length < FIELDS || !fields.every((field) => /^\d+$/.test(field))) return null;
  const field = (index: number) => Number(fields[index] ?? 0);
  const counters = {
    readBytes: field(2) * SECTOR_BYTES,
    writtenBytes: field(6) * SECTOR_BYTES,
    // Discards are fields of their own since kernel 4.18.
    requests: field(0) + field(4) + field(11),
    inFlight: field(8),
  };
  return Object.values(counters).every(Number.isSafeInteger) ? counters : null;
}
