import type { Transaction, Updateable } from 'kysely';
import { LIMITS } from '../../core/limits';
import { type Epoch, type OperationChange, volumeBusy } from '../../model/ledger';
import type { JournalEntry, NewJournalEntry } from '../../model/operation';
import { isDuplicate } from '../connection/faults';
import type { Database } from '../connection/pool';
import type { Neighbourhood } from '../neighbours';
import { addToTotals } from '../operation-totals';
import type { Tables } from '../tables';
import { applyEffects } from './apply-effects';
import { assertEpoch, leaseLost, lockOwn } from './fencing';
import { rememberOpenJobs } from './open-jobs';
import { entriesAfter, insertEntries, insertOwnEntry, sameEntries } from './write-journal';

/**
 * Journal entries, row and effects together (see Ledger.append). A single entry that changes nothing else,
 * which most steps are, is one statement that commits by itself. Whatever that leaves out (another owner, an
 * entry that is there already, a lost answer) goes as a transaction, which looks and decides.
 */
export async function appendChange(
  database: Database,
  epoch: Epoch,
  operationId: string,
  change: OperationChange,
  parts: Neighbourhood,
): Promise<JournalEntry[]> {
  const entries = [...change.entries, ...endEntry(change)];
  const where = { applianceId: epoch.applianceId, operationId, after: change.after, at: change.at };
  const [only, ...others] = entries;
  if (only && others.length === 0 && !changesRow(change) && (change.effects ?? []).length === 0) {
    const entry = await insertOwnEntry(database, epoch, where, only);
    if (entry) return [entry];
  }
  return database.transaction(async (tx) => {
    const owned = changesRow(change)
      ? await patch(tx, epoch, operationId, change)
      : await lockOwn(tx, epoch, operationId);
    const written = owned ? await insertUnlessThere(tx, where, entries) : null;
    if (!written) return writtenBefore(tx, operationId, change.after, entries);
    await applyEffects(tx, change.effects ?? [], change.at, parts);
    if (change.end) {
      await addToTotals(tx, operationId);
      // A job anywhere in its journal may still be running.
      await rememberOpenJobs(tx, operationId, await entriesAfter(tx, operationId, 0));
    }
    return written;
  });
}

/** Does the row change, too? A journal entry by itself leaves it as it is. */
export function changesRow({ volumeId, waiting, end }: OperationChange): boolean {
  return volumeId !== undefined || waiting !== undefined || end !== undefined;
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
    if (isDuplicate(error)) return null;
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
    const updated = await tx
      .updateTable('volume_operations')
      .set(rowPatch(change))
      .where('id', '=', operationId)
      .where('status', '=', 'executing')
      .where('epoch', '=', epoch.number)
      .where('appliance_id', '=', epoch.applianceId)
      .executeTakeFirstOrThrow();
    return updated.numUpdatedRows > 0n;
  } catch (error) {
    if (isDuplicate(error) && change.volumeId !== undefined) throw volumeBusy(change.volumeId, error);
    throw error;
  }
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
          error: cut(end.error),
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
    next_attempt_at: new Date(waiting.nextAttemptAt),
    wait_reason: cut(waiting.reason),
  };
}

/** TEXT columns hold 64 KiB; a text that does not fit must not keep an operation from ending. */
function cut<T extends string | null>(text: T): T | string {
  return text !== null && text.length > LIMITS.TEXT_CHARACTERS
    ? `${text.slice(0, LIMITS.TEXT_CHARACTERS)}…`
    : text;
}
