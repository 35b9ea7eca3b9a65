import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Refusals } from '../model/ledger-writes';
import { OPERATION_STATUSES } from '../model/operation';
import { insertSelect } from './insert-select';
import { entryRow } from './journal/write-journal';
import { writeRows } from './journal/write-rows';
import { addGroups } from './operation-totals';
import type { Tables } from './tables';

/**
 * Somebody may have gone back to the old daemon for a while: what it has written since is adopted anew, so
 * that sync deletes none of it before somebody has seen which (./adoption.ts). And what had not ended here by
 * then is not gone on with by itself: the volume may serve something else by now. What the database does not
 * let end is `refused`, and the return is not settled before it does.
 *
 * @param at wall clock ms
 */
export async function settleReturn(
  tx: Transaction<Tables>,
  epoch: Epoch,
  at: number,
  refused: Refusals,
): Promise<void> {
  const sequence = await newestOfOld(tx, epoch);
  if (sequence === null) return;
  const { applianceId } = epoch;
  // Another appliance may have noted it before, and somebody may have been shown it since. Not told by times:
  // the clock of the database may have been set back.
  const { rows: noted } =
    await sql`SELECT 1 FROM volume_daemon_returns WHERE sequence >= ${sequence} LIMIT 1`.execute(tx);
  if (noted.length === 0)
    await sql`INSERT INTO volume_daemon_adoption (id, adopted_at, shown_at) VALUES (1, CURRENT_TIMESTAMP(3), NULL)
      ON DUPLICATE KEY UPDATE shown_at = NULL, adopted_at = CURRENT_TIMESTAMP(3)`.execute(tx);
  const before = sql`appliance_id = ${applianceId} AND sequence < ${sequence}`;
  const waiting = sql`${before} AND status = 'pending'`;
  await writeRows(tx, waiting, (which) => endWaiting(tx, epoch, which, at), refused);
  const executing = sql`${before} AND status = 'executing' AND held_reason IS NULL`;
  const hold = (which: RawBuilder<unknown>) =>
    sql`UPDATE volume_operations SET held_at = CURRENT_TIMESTAMP(3),
        held_reason = 'the previous daemon has worked here since this was accepted, and its volume may serve something else by now'
      WHERE ${which}`.execute(tx);
  await writeRows(tx, executing, hold, refused);
  if (refused.size > 0) return;
  await sql`INSERT INTO volume_daemon_returns (appliance_id, sequence) VALUES (${applianceId}, ${sequence})
    ON DUPLICATE KEY UPDATE sequence = ${sequence}`.execute(tx);
}

/**
 * Nothing was done of these, so each of them ends: one by one they would be claimed behind what is held. A
 * few statements for all of them, because the appliance has no owner that works until they are through.
 */
async function endWaiting(
  tx: Transaction<Tables>,
  { applianceId }: Epoch,
  waiting: RawBuilder<unknown>,
  at: number,
): Promise<void> {
  const now = new Date(at);
  const { rows } = await sql<{ type: string; n: number; us: number }>`SELECT type, COUNT(*) AS n,
      SUM(COALESCE(TIMESTAMPDIFF(MICROSECOND, created_at, ${now}), 0)) AS us
    FROM volume_operations WHERE ${waiting} GROUP BY type FOR UPDATE`.execute(tx);
  if (rows.length === 0) return;
  const error =
    'abandoned: it was waiting when somebody went back to the previous daemon, which has worked here since. Nothing was done of it; repeat the request if it is still wanted';
  const ended = { error, error_code: 'OPERATION_ABANDONED' };
  const entry = { step: 'operation', state: 'failed', data: ended } as const;
  await insertSelect(
    'volume_operation_steps',
    { ...entryRow({ applianceId, operationId: '', sequence: 2, at }, entry), operation_id: sql`id` },
    sql`volume_operations WHERE ${waiting} ORDER BY sequence`,
  ).execute(tx);
  await sql`UPDATE volume_operations SET status = 'failed', error = ${error}, error_code = ${ended.error_code},
      updated_at = ${now}, completed_at = ${now}
    WHERE ${waiting}`.execute(tx);
  const groups = rows.map((group) => ({ ...group, status: 'failed' }));
  await addGroups(tx, applianceId, groups);
}

/**
 * The newest operation that the old daemon has accepted since the adoption; null: none, or this appliance has
 * settled that. By status, as the index has them: there may be a million rows.
 */
async function newestOfOld(tx: Transaction<Tables>, { applianceId }: Epoch): Promise<number | null> {
  const newest = OPERATION_STATUSES.map(
    (status) => sql`(SELECT sequence, accepted_at FROM volume_operations FORCE INDEX (operations_owner)
      WHERE appliance_id = '' AND status = ${status} ORDER BY sequence DESC LIMIT 1)`,
  );
  // Rows of before the adoption have no time of that kind.
  const { rows } = await sql<{ sequence: number }>`SELECT f.sequence
    FROM (${sql.join(newest, sql` UNION ALL `)}) f
    WHERE f.accepted_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM volume_daemon_returns r
      WHERE r.appliance_id = ${applianceId} AND r.sequence >= f.sequence)
    ORDER BY f.sequence DESC LIMIT 1`.execute(tx);
  const [found] = rows;
  return found === undefined ? null : Number(found.sequence);
}
