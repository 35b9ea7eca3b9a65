import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Refusals } from '../model/ledger-writes';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';
import { writeRows } from './journal/write-rows';
import { correctTotals } from './operation-totals';
import { settleReturn } from './return-from-old';

/**
 * Ends what the old daemon left unfinished as failed, with a note of what it was (docs/decisions/0002):
 * nobody knows what it has done of it. At every take-over, because somebody may have gone back to the
 * old daemon for a while. Returns those whose rows the database does not take: it has to be done anew.
 *
 * @param at wall clock ms
 */
export async function endForeignOperations(database: Database, epoch: Epoch, at: number): Promise<Refusals> {
  return database.transaction(async (tx) => {
    const refused: Refusals = new Map();
    await assertEpoch(tx, epoch);
    await settleReturn(tx, epoch, at, refused);
    let ended = 0n;
    for (const status of ['pending', 'executing']) {
      const note = { reason: 'abandoned by the previous daemon', previous_status: status };
      const error = `abandoned by the previous daemon: it was ${status} when this daemon took the database over; look at the volume in CloudStack and repeat the request if it is still wanted`;
      // Rows of the old daemon belong to no appliance.
      await writeRows(
        tx,
        sql`appliance_id = '' AND status = ${status}`,
        async (which) => {
          await sql`INSERT IGNORE INTO volume_operation_steps (appliance_id, operation_id, sequence, step, state, data)
            SELECT '', id, 1, 'operation', 'note', ${JSON.stringify(note)} FROM volume_operations WHERE ${which}`.execute(
            tx,
          );
          const { numAffectedRows } =
            await sql`UPDATE volume_operations SET status = 'failed', completed_at = CURRENT_TIMESTAMP(3),
              updated_at = CURRENT_TIMESTAMP(3), error_code = 'CLOUDSTACK_OUTCOME_UNKNOWN', error = ${error}
            WHERE ${which}`.execute(tx);
          ended += numAffectedRows ?? 0n;
        },
        refused,
      );
    }
    if (ended > 0n) await correctTotals(tx, '');
    return refused;
  });
}
