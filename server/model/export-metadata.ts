import type { ExportRecord, Mapping } from './operation';
import { missingPath } from './placeholder-path';

/* What the row of an export says in its metadata. Rows may come from other programs. */

type Metadata = ExportRecord['metadata'];
type Described = Pick<ExportRecord, 'metadata'>;

const READ_ONLY = 'read_only';
const EXPECTED = 'expected_bytes';

/** Kept with an export, so that whoever publishes it again does it in the same way. */
export function accessMetadata(readOnly: boolean): Metadata {
  return readOnly ? { [READ_ONLY]: 'true' } : {};
}

/** May nobody write through this export? */
export function isReadOnly({ metadata }: Described): boolean {
  return metadata[READ_ONLY] === 'true';
}

/** Withdrawn on purpose (DELETE /exports/{id}); sync leaves it so until it is published or attached again. */
export function isWithdrawn({ metadata }: Described): boolean {
  return metadata.withdrawn === 'true';
}

/**
 * The export as answers show it, with the mapping of its volume as the guest shows that now. One that was
 * withdrawn on purpose is none, though its row remembers that. One whose disk is not there is closed: its row
 * says so only after the next sync, and its letter may be another volume's by then.
 */
export function shownExport(record: ExportRecord | null, mapping: Mapping | null): ExportRecord | null {
  if (record === null || isWithdrawn(record)) return null;
  if (mapping?.linuxState !== 'missing') return record;
  return { ...record, status: 'failed', devicePath: missingPath(record.volumeId) };
}

/** What an attach request says about the copy, kept with its export. */
export function expectedMetadata(expectedBytes: number | undefined): Metadata {
  return expectedBytes === undefined ? {} : { [EXPECTED]: String(expectedBytes) };
}

/** The same of an export that is published again through the API; only an attach changes it. */
export function keptMetadata(metadata: Metadata): Metadata {
  const expected = metadata[EXPECTED];
  return expected === undefined ? {} : { [EXPECTED]: expected };
}

/** Bytes that the attach request expected to be copied; null: it did not say, or no such number. */
export function expectedBytesOf({ metadata }: Described): number | null {
  const bytes = /^\d{1,16}$/.test(metadata[EXPECTED] ?? '') ? Number(metadata[EXPECTED]) : 0;
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : null;
}
