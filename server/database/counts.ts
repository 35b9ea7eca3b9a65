import { sql } from 'kysely';
import {
  OPERATION_STATUSES,
  OPERATION_TYPES,
  type OperationStatus,
  type OperationType,
} from '../operations/model';
import type { OperationCounts } from './ledger';
import type { Database } from './pool';

interface Group {
  readonly type: string;
  readonly status: string;
  readonly n: number;
  readonly us: number | null;
  readonly oldest: Date | null;
}

/** One pass over a covering index. */
export async function countOperations(
  database: Database,
  applianceId: string | undefined,
): Promise<OperationCounts> {
  const where = applianceId === undefined ? sql`` : sql`WHERE appliance_id IN (${applianceId}, '')`;
  const [groups, mappings] = await Promise.all([
    database.query((db) =>
      sql<Group>`SELECT type, status, COUNT(*) AS n, SUM(TIMESTAMPDIFF(MICROSECOND, created_at, completed_at)) AS us, MIN(created_at) AS oldest
        FROM volume_operations ${where} GROUP BY type, status`.execute(db),
    ),
    database.query((db) =>
      db
        .selectFrom('device_mappings')
        .select((eb) => eb.fn.countAll<number>().as('n'))
        .where('cloudstack_state', '=', 'attached')
        .executeTakeFirstOrThrow(),
    ),
  ]);
  const byType = zeroes<OperationType>(OPERATION_TYPES);
  const byStatus = zeroes<OperationStatus>(OPERATION_STATUSES);
  let totalUs = 0;
  const oldest: { pending: number | null; executing: number | null } = { pending: null, executing: null };
  for (const group of groups.rows) {
    const count = Number(group.n);
    const type = OPERATION_TYPES.find((candidate) => candidate === group.type);
    const status = OPERATION_STATUSES.find((candidate) => candidate === group.status);
    if (!type || !status) continue;
    byType[type] += count;
    byStatus[status] += count;
    if (status === 'completed') totalUs += Number(group.us ?? 0);
    if (status === 'pending' || status === 'executing')
      oldest[status] = Math.min(
        oldest[status] ?? Number.POSITIVE_INFINITY,
        group.oldest?.getTime() ?? Number.POSITIVE_INFINITY,
      );
  }
  return {
    byType,
    byStatus,
    averageResponseMs: byStatus.completed === 0 ? 0 : Math.round(totalUs / byStatus.completed / 10) / 100,
    activeMappings: Number(mappings.n),
    oldestPendingAt: oldest.pending,
    oldestExecutingAt: oldest.executing,
  };
}

function zeroes<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
