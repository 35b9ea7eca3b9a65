import type { Transaction } from 'kysely';
import type { JournalEntry, NewJournalEntry } from '../operations/model';
import { applyEffects } from './effects';
import { leaseLost } from './epoch';
import type { Epoch, OperationChange } from './ledger';
import type { Database } from './pool';
import type { Tables } from './tables';
import { entriesAfter, insertEntries, sameEntries } from './write-journal';

/** Journal entries, row and effects in one transaction (see Ledger.append). */
export async function append(database: Database, epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]> {
  const entries = [...change.entries, ...endEntry(change)];
  return database.transaction(async (tx) => {
    // The row lock of this update is what serialises writers; its WHERE is the proof of ownership.
    const updated = await tx
      .updateTable('volume_operations')
      .set(rowPatch(change))
      .where('id', '=', operationId)
      .where('status', '=', 'executing')
      .where('epoch', '=', epoch.number)
      .where('appliance_id', '=', epoch.applianceId)
      .executeTakeFirstOrThrow();
    const there = await entriesAfter(tx, operationId, change.after);
    if (there.length > 0) {
      // An earlier try of this very change was committed and its answer was lost.
      if (sameEntries(there, entries)) return there;
      throw leaseLost();
    }
    if (updated.numUpdatedRows === 0n) throw leaseLost();
    const written = await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after: change.after, at: change.at }, entries);
    await applyEffects(tx, change.effects ?? [], change.at);
    return written;
  });
}

function endEntry({ end }: OperationChange): NewJournalEntry[] {
  if (!end) return [];
  const data = end.error === null ? {} : { error: end.error, error_code: end.errorCode };
  return [{ step: 'operation', state: end.status, data }];
}

function rowPatch(change: OperationChange): Partial<Pick<Tables['volume_operations'], never>> & Record<string, unknown> {
  const { end, waiting, volumeId, at } = change;
  return {
    updated_at: new Date(at),
    ...(volumeId === undefined ? {} : { volume_id: volumeId }),
    ...(waiting === undefined ? {} : waiting === null ? { attempt: 0, next_attempt_at: null, wait_reason: null } : { attempt: waiting.attempt, next_attempt_at: new Date(waiting.nextAttemptAt), wait_reason: waiting.reason }),
    ...(end ? { status: end.status, response: end.response === null ? null : JSON.stringify(end.response), error: end.error, error_code: end.errorCode, completed_at: new Date(at) } : {}),
  };
}

/** Marks or makes a cancel (see Ledger.requestCancel). */
export async function requestCancel(database: Database, epoch: Epoch, operationId: string, now: number): Promise<'cancelled' | 'requested' | 'ended' | 'missing'> {
  return database.transaction(async (tx) => {
    const row = await tx.selectFrom('volume_operations').select(['status', 'epoch']).where('id', '=', operationId).where('appliance_id', '=', epoch.applianceId).forUpdate().executeTakeFirst();
    if (!row) return 'missing';
    if (row.status === 'pending') return cancelPending(tx, epoch, operationId, now);
    if (row.status !== 'executing') return 'ended';
    if (Number(row.epoch) !== epoch.number) throw leaseLost();
    await tx.updateTable('volume_operations').set({ cancel_requested: 1 }).where('id', '=', operationId).execute();
    return 'requested';
  });
}

async function cancelPending(tx: Transaction<Tables>, epoch: Epoch, operationId: string, now: number): Promise<'cancelled'> {
  const at = new Date(now);
  await tx.updateTable('volume_operations').set({ status: 'cancelled', cancel_requested: 1, updated_at: at, completed_at: at }).where('id', '=', operationId).execute();
  await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after: 1, at: now }, [{ step: 'operation', state: 'cancelled', data: {} }]);
  return 'cancelled';
}
