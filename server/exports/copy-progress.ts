import type { Traffic } from '../devices/disk-traffic';
import type { Evidence } from '../model/evidence';
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

const EXPECTED = 'expected_bytes';

/** What an attach request says about the copy, kept with its export. */
export function expectedMetadata(expectedBytes: number | undefined): Record<string, string> {
  return expectedBytes === undefined ? {} : { [EXPECTED]: String(expectedBytes) };
}

/** The same of an export that is published again through the API; only an attach changes it. */
export function keptMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const expected = metadata[EXPECTED];
  return expected === undefined ? {} : { [EXPECTED]: expected };
}

/** Pure. Rows may come from other programs: what is no number of bytes is ignored. */
export function progressOf(
  { metadata }: Pick<ExportRecord, 'metadata'>,
  volumeBytes: number | null,
  traffic: Evidence<Traffic>,
): CopyProgress {
  const asked = /^\d{1,16}$/.test(metadata[EXPECTED] ?? '') ? Number(metadata[EXPECTED]) : null;
  const isAsked = asked !== null && asked > 0 && Number.isSafeInteger(asked);
  const expectedBytes = isAsked ? asked : volumeBytes;
  const expectedFrom = isAsked ? 'request' : volumeBytes === null ? null : 'volume';
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
