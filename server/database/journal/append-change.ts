import type { Kysely, RawBuilder, Transaction, Updateable } from 'kysely';
import { changesRow, storedText } from '../../model/changed-operation';
import { type Epoch, volumeBusy } from '../../model/ledger';
import type { OperationChange } from '../../model/ledger-writes';
import type { JournalEntry, NewJournalEntry } from '../../model/operation';
import { isDuplicate } from '../connection/faults';
import type { Database } from '../connection/pool';
import type { Neighbourhood } from '../neighbours';
import { addToTotals, totalsStatement } from '../operation-totals';
import { storedTime } from '../stored-time';
import type { Tables } from '../tables';
import { applyEffects } from './apply-effects';
import { effectStatements, needsMapping } from './effect-statements';
import { assertEpoch, leaseLost, lockOwn } from './fencing';
import type { JournalWriter, PlannedWrite } from './journal-writer';
import { openJobStatements, rememberOpenJobs } from './open-jobs';
import { entriesAfter, fencedEntry, insertEntries, sameEntries } from './write-journal';

/**
 * Journal entries, row and effects together (see Ledger.append), in one packet that others may share.
 * Whatever that leaves out (another owner, an entry that is there already, a lost answer, a refused effect)
 * goes as a transaction, which looks and decides.
 */
export async function appendChange(
  { database, writer }: { readonly database: Database; readonly writer: JournalWriter },
  epoch: Epoch,
  operationId: string,
  change: OperationChange,
  parts: Neighbourhood,
): Promise<JournalEntry[]> {
  const entries = [...change.entries, ...endEntry(change)];
  const planned = await planWrite(database, { epoch, operationId, change, entries }, parts);
  const written = planned && (await writer.write(planned));
  if (written)
    return entries.map((entry, index) => ({
      id: written[index]?.id ?? 0,
      operationId,
      sequence: change.after + index + 1,
      at: change.at,
      ...entry,
    }));
  return database.transaction(async (tx) => {
    const owned = changesRow(change)
      ? await patch(tx, epoch, operationId, change)
      : await lockOwn(tx, epoch, operationId);
    const where = { applianceId: epoch.applianceId, operationId, after: change.after, at: change.at };
    const inserted = owned ? await insertUnlessThere(tx, where, entries) : null;
    if (!inserted) return writtenBefore(tx, operationId, change.after, entries);
    await applyEffects(tx, change.effects ?? [], change.at, parts);
    if (change.end) {
      await addToTotals(tx, operationId);
      // A job anywhere in its journal may still be running.
      await rememberOpenJobs(tx, operationId, await entriesAfter(tx, operationId, 0));
    }
    return inserted;
  });
}

interface OwnedChange {
  readonly epoch: Epoch;
  readonly operationId: string;
  readonly change: OperationChange;
  /** Those of the change, and the one that its end writes. */
  readonly entries: readonly NewJournalEntry[];
}

/** The entries first: they fail where nothing of it may be written. Null for a change that has none. */
async function planWrite(
  { kysely, query }: Database,
  { epoch, operationId, change, entries }: OwnedChange,
  parts: Neighbourhood,
): Promise<PlannedWrite | null> {
  const effects = change.effects ?? [];
  const [mapped = null, ...others] = effects.map(needsMapping).filter((id) => id !== null);
  if (entries.length === 0 || others.length > 0) return null;
  const at = { operationId, at: change.at };
  const inserts = entries.map((entry, index) =>
    fencedEntry(kysely, epoch, { ...at, sequence: change.after + index + 1 }, entry, mapped),
  );
  const row = changesRow(change) ? [rowUpdate(kysely, epoch, operationId, change).compile()] : [];
  const effected = effects.flatMap((effect) => effectStatements(kysely, effect, new Date(change.at), parts));
  let ended: readonly RawBuilder<unknown>[] = [];
  if (change.end) {
    // A job anywhere in its journal may still be running. An entry that is not among these has the sequence
    // of ours, which then fails.
    const before = isWhole(change) ? change.journal : await query((db) => entriesAfter(db, operationId, 0));
    const journal = [...before, ...entries.map((entry) => ({ operationId, ...entry }))];
    ended = [totalsStatement(operationId), ...openJobStatements(operationId, journal)];
  }
  const statements = [
    ...inserts,
    ...row,
    ...effected,
    ...ended.map((statement) => statement.compile(kysely)),
  ];
  return { epoch, operationId, statements, alone: effects.length > 0 };
}

/**
 * Does the writer know every entry up to the last it has seen? Sequences are unique, so there are no others.
 */
function isWhole(change: OperationChange): change is OperationChange & { journal: readonly JournalEntry[] } {
  const { journal, after } = change;
  return journal?.length === after && journal.every(({ sequence }, index) => sequence === index + 1);
}

/** An earlier try of the same change was committed and its answer was lost; otherwise LEASE_LOST. */
async function writtenBefore(
  tx: Transaction<Tables>,
  operationId: string,
  after: number,
  entries: readonly NewJournalEntry[],
): Promise<JournalEntry[]> {
  const there = await entriesAfter(tx, operationId, after);
  if (sameEntries(there, entries)) return there;
  throw leaseLost();
}

/** Null when there are entries with these sequences; only the statement that met them is undone. */
async function insertUnlessThere(
  tx: Transaction<Tables>,
  where: Parameters<typeof insertEntries>[1],
  entries: readonly NewJournalEntry[],
): Promise<JournalEntry[] | null> {
  try {
    return await insertEntries(tx, where, entries);
  } catch (error) {
    if (isDuplicate(error, 'unique_operation_sequence')) return null;
    throw error;
  }
}

/** The row lock of this update serialises writers; its WHERE proves the ownership. */
async function patch(
  tx: Transaction<Tables>,
  epoch: Epoch,
  operationId: string,
  change: OperationChange,
): Promise<boolean> {
  await assertEpoch(tx, epoch);
  try {
    const updated = await rowUpdate(tx, epoch, operationId, change).executeTakeFirstOrThrow();
    return updated.numUpdatedRows > 0n;
  } catch (error) {
    const isBusy = isDuplicate(error, 'unique_executing_volume');
    if (isBusy && change.volumeId !== undefined) throw volumeBusy(change.volumeId, error);
    throw error;
  }
}

function rowUpdate(db: Kysely<Tables>, epoch: Epoch, operationId: string, change: OperationChange) {
  return db
    .updateTable('volume_operations')
    .set(rowPatch(change))
    .where('id', '=', operationId)
    .where('status', '=', 'executing')
    .where('epoch', '=', epoch.number)
    .where('appliance_id', '=', epoch.applianceId);
}

/** The journal entry that an end writes by itself. */
export function endEntry({ end }: OperationChange): NewJournalEntry[] {
  if (!end) return [];
  const data = end.error === null ? {} : { error: end.error, error_code: end.errorCode };
  return [{ step: 'operation', state: end.status, data }];
}

function rowPatch(change: OperationChange): Updateable<Tables['volume_operations']> {
  const { end, waiting, volumeId } = change;
  const at = new Date(change.at);
  return {
    updated_at: at,
    ...(volumeId === undefined ? {} : { volume_id: volumeId }),
    ...(waiting === undefined ? {} : waitingColumns(waiting)),
    ...(end
      ? {
          status: end.status,
          response: end.response === null ? null : JSON.stringify(end.response),
          error: storedText(end.error),
          error_code: end.errorCode,
          completed_at: at,
          next_attempt_at: null,
          wait_reason: null,
        }
      : {}),
  };
}

function waitingColumns(
  waiting: NonNullable<OperationChange['waiting']> | null,
): Updateable<Tables['volume_operations']> {
  if (waiting === null) return { attempt: 0, next_attempt_at: null, wait_reason: null };
  return {
    attempt: waiting.attempt,
    next_attempt_at: new Date(storedTime(waiting.nextAttemptAt)),
    wait_reason: storedText(waiting.reason),
  };
}
