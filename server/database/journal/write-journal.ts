import { isDeepStrictEqual } from 'node:util';
import { type Insertable, sql, type Transaction } from 'kysely';
import type { Epoch } from '../../model/ledger';
import type { JournalEntry, NewJournalEntry } from '../../model/operation';
import type { Database } from '../connection/pool';
import { toEntry } from '../rows';
import type { Tables } from '../tables';
import { ownOperation } from './fencing';

/** The row of an entry. */
export function entryRow(
  where: { applianceId: string; operationId: string | null; sequence: number; at: number },
  { step, state, data }: NewJournalEntry,
): Insertable<Tables['volume_operation_steps']> {
  return {
    appliance_id: where.applianceId,
    operation_id: where.operationId,
    sequence: where.sequence,
    step,
    state,
    data: JSON.stringify(data),
    created_at: new Date(where.at),
  };
}

/** Appends entries to one operation's journal with the sequences that follow `after`. */
export async function insertEntries(
  tx: Transaction<Tables>,
  where: { applianceId: string; operationId: string; after: number; at: number },
  entries: readonly NewJournalEntry[],
): Promise<JournalEntry[]> {
  if (entries.length === 0) return [];
  const result: JournalEntry[] = [];
  // One statement each: generated ids of a multi-row insert need not be consecutive.
  for (const [index, entry] of entries.entries()) {
    const sequence = where.after + index + 1;
    const inserted = await tx
      .insertInto('volume_operation_steps')
      .values(entryRow({ ...where, sequence }, entry))
      .executeTakeFirstOrThrow();
    result.push({
      id: Number(inserted.insertId),
      operationId: where.operationId,
      sequence,
      at: where.at,
      ...entry,
    });
  }
  return result;
}

/**
 * One entry of an operation that is executed under this epoch, in a statement that commits by itself and holds
 * the locks of `assertEpoch` until then. Null when nothing is certain: it was left out, or its answer was lost.
 */
export async function insertOwnEntry(
  database: Database,
  epoch: Epoch,
  where: { applianceId: string; operationId: string; after: number; at: number },
  entry: NewJournalEntry,
): Promise<JournalEntry | null> {
  const { operationId, at } = where;
  const sequence = where.after + 1;
  const row = entryRow({ ...where, sequence }, entry);
  const inserted = await database.once(
    sql`INSERT INTO volume_operation_steps (${sql.join(Object.keys(row).map((name) => sql.ref(name)))})
      SELECT ${sql.join(Object.values(row))} FROM appliances a JOIN volume_operations o
        ON ${ownOperation(epoch, operationId)}
      WHERE a.id = ${epoch.applianceId} AND a.epoch = ${epoch.number} LOCK IN SHARE MODE`,
  );
  return inserted?.rows === 1 ? { id: inserted.id, operationId, sequence, at, ...entry } : null;
}

/** Entries after a sequence, in order. */
export async function entriesAfter(
  tx: Transaction<Tables>,
  operationId: string,
  after: number,
): Promise<JournalEntry[]> {
  const rows = await tx
    .selectFrom('volume_operation_steps')
    .selectAll()
    .where('operation_id', '=', operationId)
    .where('sequence', '>', after)
    .orderBy('sequence')
    .execute();
  return rows.map(toEntry);
}

/** Is exactly this journaled already? Then an earlier try of the same writer was committed. */
export function sameEntries(found: readonly JournalEntry[], wanted: readonly NewJournalEntry[]): boolean {
  const written = ({ step, state, data }: Pick<JournalEntry, 'step' | 'state' | 'data'>) => ({
    step,
    state,
    data,
  });
  // As the database would return them: the order of keys does not count, and absent values are gone.
  const stored: unknown = JSON.parse(JSON.stringify(wanted.map(written)));
  return found.length > 0 && isDeepStrictEqual(found.map(written), stored);
}
