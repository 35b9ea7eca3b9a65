import type { Transaction, Updateable } from 'kysely';
import type { CancelOutcome, Epoch } from '../../model/ledger';
import { CANCELLED_UNCHANGED, type Caller, callerNames } from '../../model/operation';
import type { Database } from '../connection/pool';
import { addToTotals } from '../operation-totals';
import type { Tables } from '../tables';
import { assertEpoch } from './fencing';
import { insertEntries } from './write-journal';

/** Who asks, and the wall clock ms of it. */
interface Asked {
  readonly caller: Caller | null;
  readonly at: number;
}

/** See Ledger.requestCancel. */
export async function requestCancel(
  database: Database,
  epoch: Epoch,
  operationId: string,
  asked: Asked,
): Promise<CancelOutcome> {
  return database.transaction(async (tx, attempt) => {
    await assertEpoch(tx, epoch);
    const row = await tx
      .selectFrom('volume_operations')
      .select(['status', 'epoch', 'cancel_requested'])
      .where('id', '=', operationId)
      .where('appliance_id', '=', epoch.applianceId)
      .forUpdate()
      .executeTakeFirst();
    if (!row) return 'missing';
    if (row.status === 'pending') return cancelPending(tx, epoch, operationId, asked);
    if (row.status !== 'executing')
      return attempt.inDoubt && row.status === 'cancelled' ? 'cancelled' : 'ended';
    await tx
      .updateTable('volume_operations')
      .set({
        ...(Number(row.cancel_requested) === 0 && callerColumns(asked.caller)),
        cancel_requested: 1,
        updated_at: new Date(asked.at),
      })
      .where('id', '=', operationId)
      .execute();
    return 'requested';
  });
}

async function cancelPending(
  tx: Transaction<Tables>,
  epoch: Epoch,
  operationId: string,
  asked: Asked,
): Promise<'cancelled'> {
  const at = new Date(asked.at);
  await tx
    .updateTable('volume_operations')
    .set({
      ...callerColumns(asked.caller),
      status: 'cancelled',
      error: CANCELLED_UNCHANGED,
      cancel_requested: 1,
      updated_at: at,
      completed_at: at,
      // Somebody may have had it held by hand, after a restore: nothing waits for a decision about it any
      // more.
      held_reason: null,
      held_at: null,
    })
    .where('id', '=', operationId)
    .execute();
  await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after: 1, at: asked.at }, [
    { step: 'operation', state: 'cancelled', data: callerNames(asked.caller) },
  ]);
  await addToTotals(tx, operationId);
  return 'cancelled';
}

function callerColumns(caller: Caller | null): Updateable<Tables['volume_operations']> {
  return {
    cancel_actor: caller?.actor ?? null,
    cancel_request_id: caller?.requestId ?? null,
    cancel_traceparent: caller?.traceparent ?? null,
  };
}
