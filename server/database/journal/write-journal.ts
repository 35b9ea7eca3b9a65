import { isDeepStrictEqual } from 'node:util';
import {
  type CompiledQuery,
  type Insertable,
  type Kysely,
  type RawBuilder,
  sql,
  type Transaction,
} from 'kysely';
import type { Epoch } from '../../model/ledger';
import type { JournalEntry, NewJournalEntry } from '../../model/operation';
import { statementOnce } from '../compiled-once';
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
 * The INSERT of an entry that fails unless its operation is executed under this epoch, and with `mapped`
 * unless that volume has a mapping: nothing is found then for a column that must not be NULL. Their rows are
 * locked by whoever sends it.
 */
export function fencedEntry(
  db: Kysely<Tables>,
  epoch: Epoch,
  where: { operationId: string; sequence: number; at: number },
  entry: NewJournalEntry,
  mapped: string | null,
): CompiledQuery {
  const { applianceId, number } = epoch;
  const { appliance_id, ...others } = entryRow({ ...where, applianceId }, entry);
  const owner = [
    where.operationId,
    number,
    applianceId,
    ...(mapped === null ? [] : [mapped]),
    appliance_id,
    number,
  ];
  return (mapped === null ? ofOwner : ofOwnerAndMapping)(db, [...owner, ...Object.values(others)]);
}

const ofOwner = fencedInsert(sql``);
const ofOwnerAndMapping = fencedInsert(sql` JOIN device_mappings m ON m.volume_id = ${''}`);

function fencedInsert(mapping: RawBuilder<unknown>) {
  return statementOnce((db) => {
    const epoch = { applianceId: '', number: 0 };
    const { appliance_id: _, ...others } = entryRow(
      { applianceId: '', operationId: '', sequence: 0, at: 0 },
      { step: '', state: 'note', data: {} },
    );
    const columns = ['appliance_id', ...Object.keys(others)].map((name) => sql.ref(name));
    const owner = sql`(SELECT a.id FROM appliances a JOIN volume_operations o ON ${ownOperation(epoch, '')}${mapping}
      WHERE a.id = ${''} AND a.epoch = ${0})`;
    return sql`INSERT INTO volume_operation_steps (${sql.join(columns)})
      VALUES (${sql.join([owner, ...Object.values(others)])})`.compile(db);
  });
}

/** Entries after a sequence, in order. */
export async function entriesAfter(
  db: Kysely<Tables>,
  operationId: string,
  after: number,
): Promise<JournalEntry[]> {
  const rows = await db
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
