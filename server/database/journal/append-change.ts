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
import { assertEpoch, leaseLost } from './fencing';
import { rememberOpenJobs } from './open-jobs';
import { entriesAfter, insertEntries, sameEntries } from './write-journal';

/** Journal entries, row and effects in one transaction (see Ledger.append). */
export async function appendChange(
  database: Database,
  epoch: Epoch,
  operationId: string,
  change: OperationChange,
  parts: Neighbourhood,
): Promise<JournalEntry[]> {
  const entries = [...change.entries, ...endEntry(change)];
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    const updated = await patch(tx, epoch, operationId, change);
    // An end looks at the whole journal: a job in it may still be running.
    const journal = await entriesAfter(tx, operationId, change.end ? 0 : change.after);
    const there = journal.filter(({ sequence }) => sequence > change.after);
    if (there.length > 0) {
      // An earlier try of the same change was committed and its answer was lost.
      if (sameEntries(there, entries)) return there;
      throw leaseLost();
    }
    if (!updated) throw leaseLost();
    await applyEffects(tx, change.effects ?? [], change.at, parts);
    const where = { applianceId: epoch.applianceId, operationId, after: change.after, at: change.at };
    const written = await insertEntries(tx, where, entries);
    if (change.end) {
      await addToTotals(tx, operationId);
      await rememberOpenJobs(tx, operationId, [...journal, ...written]);
    }
    return written;
  });
}

/** The row lock of this update serialises writers; its WHERE proves the ownership. */
async function patch(
  tx: Transaction<Tables>,
  epoch: Epoch,
  operationId: string,
  change: OperationChange,
): Promise<boolean> {
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
