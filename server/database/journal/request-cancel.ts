import type { Transaction } from 'kysely';
import type { CancelOutcome, Epoch } from '../../model/ledger';
import type { Database } from '../connection/pool';
import { addToTotals } from '../operation-totals';
import type { Tables } from '../tables';
import { assertEpoch } from './fencing';
import { insertEntries } from './write-journal';

/** See Ledger.requestCancel. */
export async function requestCancel(
  database: Database,
  epoch: Epoch,
  operationId: string,
  now: number,
): Promise<CancelOutcome> {
  return database.transaction(async (tx, attempt) => {
    await assertEpoch(tx, epoch);
    const row = await tx
      .selectFrom('volume_operations')
      .select(['status', 'epoch'])
      .where('id', '=', operationId)
      .where('appliance_id', '=', epoch.applianceId)
      .forUpdate()
      .executeTakeFirst();
    if (!row) return 'missing';
    if (row.status === 'pending') return cancelPending(tx, epoch, operationId, now);
    if (row.status !== 'executing')
      return attempt.inDoubt && row.status === 'cancelled' ? 'cancelled' : 'ended';
    await tx
      .updateTable('volume_operations')
      .set({ cancel_requested: 1, updated_at: new Date(now) })
      .where('id', '=', operationId)
      .execute();
    return 'requested';
  });
}

async function cancelPending(
  tx: Transaction<Tables>,
  epoch: Epoch,
  operationId: string,
  now: number,
): Promise<'cancelled'> {
  const at = new Date(now);
  await tx
    .updateTable('volume_operations')
    .set({ status: 'cancelled', cancel_requested: 1, updated_at: at, completed_at: at })
    .where('id', '=', operationId)
    .execute();
  await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after: 1, at: now }, [
    { step: 'operation', state: 'cancelled', data: {} },
  ]);
  await addToTotals(tx, operationId);
  return 'cancelled';
}
