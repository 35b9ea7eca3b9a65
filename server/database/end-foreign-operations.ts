import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';
import { correctTotals } from './operation-totals';
import { settleReturn } from './return-from-old';

/** Rows of the old daemon belong to no appliance. */
const UNFINISHED = sql`appliance_id = '' AND status IN ('pending', 'executing')`;

/**
 * Ends what the old daemon left unfinished as failed, with a note of what it was (docs/decisions/0002):
 * nobody knows what it has done of it. At every take-over, because somebody may have gone back to the
 * old daemon for a while.
 *
 * @param at wall clock ms
 */
export async function endForeignOperations(database: Database, epoch: Epoch, at: number): Promise<void> {
  await database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await settleReturn(tx, epoch, at);
    const { rows } = await sql<{ id: string; status: string }>`SELECT id, status FROM volume_operations
      WHERE ${UNFINISHED} FOR UPDATE`.execute(tx);
    for (const { id, status } of rows) {
      await sql`INSERT IGNORE INTO volume_operation_steps (appliance_id, operation_id, sequence, step, state, data)
        VALUES ('', ${id}, 1, 'operation', 'note',
          ${JSON.stringify({ reason: 'abandoned by the previous daemon', previous_status: status })})`.execute(
        tx,
      );
      const error = `abandoned by the previous daemon: it was ${status} when this daemon took the database over; look at the volume in CloudStack and repeat the request if it is still wanted`;
      await sql`UPDATE volume_operations SET status = 'failed', completed_at = CURRENT_TIMESTAMP(3),
          updated_at = CURRENT_TIMESTAMP(3), error_code = 'CLOUDSTACK_OUTCOME_UNKNOWN', error = ${error}
        WHERE id = ${id} AND ${UNFINISHED}`.execute(tx);
    }
    if (rows.length > 0) await correctTotals(tx, '');
  });
}
