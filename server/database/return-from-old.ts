import { sql, type Transaction } from 'kysely';
import { OPERATION_STATUSES } from '../model/operation';
import type { Tables } from './tables';

/**
 * Somebody may have gone back to the old daemon for a while: what it has written since is adopted anew, so that sync
 * deletes none of it before somebody has seen which (./adoption.ts).
 */
export async function noteReturn(tx: Transaction<Tables>): Promise<void> {
  if ((await newestOfOld(tx)) === null) return;
  await sql`INSERT INTO volume_daemon_adoption (id, adopted_at, shown_at) VALUES (1, CURRENT_TIMESTAMP(3), NULL)
    ON DUPLICATE KEY UPDATE adopted_at = CURRENT_TIMESTAMP(3), shown_at = NULL`.execute(tx);
}

/**
 * The sequence of the newest operation that the old daemon has accepted since the adoption; null: none. Both times are
 * the database's own. By status, as the index has them: there may be a million rows.
 */
async function newestOfOld(tx: Transaction<Tables>): Promise<number | null> {
  const newest = OPERATION_STATUSES.map(
    (status) => sql`(SELECT sequence, accepted_at FROM volume_operations FORCE INDEX (operations_owner)
      WHERE appliance_id = '' AND status = ${status} ORDER BY sequence DESC LIMIT 1)`,
  );
  const { rows } = await sql<{
    sequence: number;
  }>`SELECT f.sequence FROM (${sql.join(newest, sql` UNION ALL `)}) f
    WHERE f.accepted_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM volume_daemon_adoption a WHERE a.adopted_at >= f.accepted_at)
    ORDER BY f.sequence DESC LIMIT 1`.execute(tx);
  const [row] = rows;
  return row ? Number(row.sequence) : null;
}
