import type { Traffic } from '../devices/disk-traffic';
import type { Evidence } from '../model/evidence';
import { expectedBytesOf } from '../model/export-metadata';
import type { ExportRecord } from '../model/operation';

/** How far the copy into an export is, as far as the bytes written to its disk tell. */
export interface CopyProgress {
  /** Bytes to be copied: of the attach request, else the size of the volume; null: neither is known. */
  readonly expectedBytes: number | null;
  readonly expectedFrom: 'request' | 'volume' | null;
  /** 0 to 1: more may be written than was expected. */
  readonly shareWritten: number | null;
  /** Seconds at the present rate; null when nothing is being written, or all is. */
  readonly secondsLeft: number | null;
}

/** Pure. */
export function progressOf(
  record: Pick<ExportRecord, 'metadata'>,
  volumeBytes: number | null,
  traffic: Evidence<Traffic>,
): CopyProgress {
  const asked = expectedBytesOf(record);
  const expectedBytes = asked ?? volumeBytes;
  const expectedFrom = asked !== null ? 'request' : volumeBytes === null ? null : 'volume';
  if (traffic.kind !== 'seen' || expectedBytes === null || expectedBytes === 0)
    return { expectedBytes, expectedFrom, shareWritten: null, secondsLeft: null };
  const { writtenBytes, writeRate } = traffic.value;
  const left = Math.max(0, expectedBytes - writtenBytes);
  return {
    expectedBytes,
    expectedFrom,
    shareWritten: Math.min(1, writtenBytes / expectedBytes),
    secondsLeft: left > 0 && writeRate !== null && writeRate > 0 ? Math.ceil(left / writeRate) : null,
  };
}
