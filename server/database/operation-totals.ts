import { type RawBuilder, sql, type Transaction } from 'kysely';
import type { OperationCounts } from '../model/ledger';
import { OPERATION_STATUSES, OPERATION_TYPES } from '../model/operation';
import { plain } from './collation';
import type { Database } from './connection/pool';
import type { Tables } from './tables';

interface Group {
  readonly type: string;
  readonly status: string;
  readonly n: number;
  readonly us: number;
  readonly oldest: Date | null;
}

/** The words by which operations are counted, of whichever table. */
const WORDS = sql`${plain(sql`type`)} AS type, ${plain(sql`status`)} AS status`;

/** Ended operations are summed up in a table. Rows of the previous daemon count for every appliance. */
export async function countOperations(
  database: Database,
  applianceId: string | undefined,
): Promise<OperationCounts> {
  const whose = applianceId === undefined ? sql`TRUE` : sql`appliance_id IN (${applianceId}, '')`;
  const [groups, mappings] = await Promise.all([
    database.query((db) =>
      sql<Group>`SELECT ${WORDS}, SUM(operations) AS n, SUM(response_us) AS us, NULL AS oldest
        FROM volume_operation_totals WHERE ${whose} GROUP BY type, status
        UNION ALL SELECT ${WORDS}, COUNT(*), 0, MIN(created_at)
        FROM volume_operations WHERE ${whose} AND status IN ('pending', 'executing') GROUP BY type, status`.execute(
        db,
      ),
    ),
    database.query((db) =>
      db
        .selectFrom('device_mappings')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .where('cloudstack_state', '=', 'attached')
        .executeTakeFirstOrThrow(),
    ),
  ]);
  return summary(groups.rows, Number(mappings.n));
}

function summary(groups: readonly Group[], activeMappings: number): OperationCounts {
  const byType = zeros(OPERATION_TYPES);
  const byStatus = zeros(OPERATION_STATUSES);
  const oldest: { pending: number | null; executing: number | null } = { pending: null, executing: null };
  let completedUs = 0;
  for (const group of groups) {
    const type = OPERATION_TYPES.find((candidate) => candidate === group.type);
    const status = OPERATION_STATUSES.find((candidate) => candidate === group.status);
    if (!type || !status) continue;
    byType[type] += Number(group.n);
    byStatus[status] += Number(group.n);
    if (status === 'completed') completedUs += Number(group.us);
    if ((status === 'pending' || status === 'executing') && group.oldest) {
      oldest[status] = Math.min(oldest[status] ?? Number.POSITIVE_INFINITY, group.oldest.getTime());
    }
  }
  return {
    byType,
    byStatus,
    averageResponseMs: byStatus.completed === 0 ? 0 : Math.round(completedUs / byStatus.completed / 10) / 100,
    activeMappings,
    oldestPendingAt: oldest.pending,
    oldestExecutingAt: oldest.executing,
  };
}

/** A counter for each key. */
export function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}

/** Counts an operation that ends in this transaction. */
export async function addToTotals(tx: Transaction<Tables>, operationId: string): Promise<void> {
  await totalsStatement(operationId).execute(tx);
}

/**
 * What `addToTotals` sends, after the operation's row. Somebody may have taken the time of its acceptance
 * away; it counts all the same, as in `correctTotals`.
 */
export function totalsStatement(operationId: string): RawBuilder<unknown> {
  const responseUs = sql`COALESCE(TIMESTAMPDIFF(MICROSECOND, o.created_at, o.completed_at), 0)`;
  return sql`INSERT INTO volume_operation_totals (appliance_id, type, status, operations, response_us)
    SELECT o.appliance_id, o.type, o.status, 1, ${responseUs} FROM volume_operations o WHERE o.id = ${operationId}
    ON DUPLICATE KEY UPDATE operations = operations + 1, response_us = response_us + ${responseUs}`;
}

/**
 * Corrects the totals of the appliance after pruning, and after somebody deleted rows by hand. One statement
 * reads rows and totals at the same moment, so operations may end meanwhile.
 */
export async function correctTotals(tx: Transaction<Tables>, applianceId: string): Promise<void> {
  const { rows } = await sql<Omit<Group, 'oldest'>>`SELECT type, status, SUM(n) AS n, SUM(us) AS us FROM (
      SELECT ${WORDS}, COUNT(*) AS n,
        COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, created_at, completed_at)), 0) AS us
      FROM volume_operations
      WHERE appliance_id = ${applianceId} AND status IN ('completed', 'failed', 'cancelled') GROUP BY type, status
      UNION ALL SELECT ${WORDS}, -operations, -response_us
      FROM volume_operation_totals WHERE appliance_id = ${applianceId}
    ) AS difference GROUP BY type, status HAVING SUM(n) <> 0 OR SUM(us) <> 0`.execute(tx);
  await addGroups(tx, applianceId, rows);
}

/** Counts operations of the appliance that end in this transaction, by type and status. */
export async function addGroups(
  tx: Transaction<Tables>,
  applianceId: string,
  groups: readonly Omit<Group, 'oldest'>[],
): Promise<void> {
  for (const { type, status, n, us } of groups) {
    const [added, addedUs] = [Number(n), Number(us)];
    await sql`INSERT INTO volume_operation_totals VALUES (${applianceId}, ${type}, ${status}, ${added}, ${addedUs})
      ON DUPLICATE KEY UPDATE operations = operations + ${added}, response_us = response_us + ${addedUs}`.execute(
      tx,
    );
  }
}
