import { type RawBuilder, sql } from 'kysely';
import type { OperationFilter } from '../model/ledger';
import type { Operation } from '../model/operation';
import type { Database } from './connection/pool';
import { toOperation } from './rows';

/** Newest first (see Ledger.listOperations). */
export async function listOperations(database: Database, filter: OperationFilter): Promise<Operation[]> {
  const conditions: RawBuilder<unknown>[] = [sql`TRUE`];
  if (filter.type !== undefined) conditions.push(sql`type = ${filter.type}`);
  if (filter.status !== undefined) conditions.push(sql`status = ${filter.status}`);
  if (filter.volumeId !== undefined) conditions.push(sql`volume_id = ${filter.volumeId}`);
  if (filter.vmId !== undefined) conditions.push(sql`vm_id = ${filter.vmId}`);
  if (filter.since !== undefined) conditions.push(sql`created_at >= ${new Date(filter.since)}`);
  if (filter.before !== undefined) conditions.push(sql`sequence < ${filter.before}`);
  const where = sql.join(conditions, sql` AND `);
  const index = indexFor(filter);
  const { rows } = await database.query((db) =>
    (index === null
      ? sql`SELECT * FROM volume_operations WHERE ${where} ORDER BY sequence DESC LIMIT ${filter.limit}`
      : // First the page, from the index alone; then its rows.
        sql`SELECT o.* FROM (SELECT sequence FROM volume_operations FORCE INDEX (${sql.ref(index)}) WHERE ${where}
            ORDER BY sequence DESC LIMIT ${filter.limit}) AS page
          JOIN volume_operations o ON o.sequence = page.sequence ORDER BY o.sequence DESC`
    ).execute(db),
  );
  return rows.map(toOperation);
}

/**
 * The index that gives the rows in order. Left to itself the optimizer of MariaDB walks a million rows
 * backwards when two filters have nothing in common. With `since` it estimates well.
 */
function indexFor({ type, status, volumeId, vmId, since }: OperationFilter): string | null {
  if (since !== undefined) return null;
  if (volumeId !== undefined) return 'operations_by_volume';
  if (vmId !== undefined) return 'operations_by_vm';
  if (type !== undefined && status !== undefined) return 'operations_by_type_status';
  if (status !== undefined) return 'operations_by_status';
  if (type !== undefined) return 'operations_by_type';
  return 'unique_sequence';
}
