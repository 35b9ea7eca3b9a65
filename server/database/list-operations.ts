import { type RawBuilder, sql } from 'kysely';
import { isUuid } from '../core/is-uuid';
import { LIMITS } from '../core/limits';
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
  const find = filter.find?.toLowerCase();
  const id = find !== undefined && isUuid(find) ? find : null;
  if (find !== undefined && id === null) conditions.push(holds(find));
  if (filter.since !== undefined) conditions.push(sql`created_at >= ${new Date(filter.since)}`);
  if (filter.before !== undefined) conditions.push(sql`sequence < ${filter.before}`);
  const where = sql.join(conditions, sql` AND `);
  if (id !== null) return listOfId(database, id, filter.limit, where);
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
 * The operations of this id, as operation, volume or VM: a page of each, from its index, and
 * of these the newest.
 */
async function listOfId(
  database: Database,
  id: string,
  limit: number,
  where: RawBuilder<unknown>,
): Promise<Operation[]> {
  const page = (index: string, column: string) =>
    sql`(SELECT sequence FROM volume_operations FORCE INDEX (${sql.ref(index)})
      WHERE ${sql.ref(column)} = ${id} AND ${where} ORDER BY sequence DESC LIMIT ${limit})`;
  const { rows } = await database.query((db) =>
    sql`SELECT o.* FROM (${page('PRIMARY', 'id')} UNION ${page('operations_by_volume', 'volume_id')}
        UNION ${page('operations_by_vm', 'vm_id')}) AS found
      JOIN volume_operations o ON o.sequence = found.sequence ORDER BY o.sequence DESC LIMIT ${limit}`.execute(
      db,
    ),
  );
  return rows.map(toOperation);
}

/**
 * Does an operation hold the text (in lower case), or belong to a volume that was created with such a name?
 * See OperationFilter.find.
 */
function holds(text: string): RawBuilder<unknown> {
  const like = `%${text.replace(/[\\%_]/g, '\\$&')}%`;
  const newest = sql`sequence > (SELECT MAX(m.sequence) FROM volume_operations m) - ${LIMITS.SEARCH_OPERATIONS}`;
  const named = sql`(type = 'create' AND LOWER(CASE WHEN JSON_VALID(request)
    THEN JSON_UNQUOTE(JSON_EXTRACT(request, '$.name')) END) LIKE ${like})`;
  const columns = ['id', 'volume_id', 'vm_id', 'error', 'error_code', 'actor', 'request_id'];
  // Columns of ids are ASCII, and the database refuses to compare these with a text that is not.
  const any = columns.map((column) => sql`LOWER(CONVERT(${sql.ref(column)} USING utf8mb4)) LIKE ${like}`);
  return sql`${newest} AND (${sql.join([...any, named], sql` OR `)} OR volume_id IN (
    SELECT c.volume_id FROM (SELECT volume_id FROM volume_operations WHERE ${newest} AND volume_id <> '' AND ${named}) AS c))`;
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
