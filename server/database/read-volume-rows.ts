import { sql } from 'kysely';
import type { VolumeRows } from '../model/ledger';
import type { Database } from './connection/pool';
import { toExport, toLastOperation, toMapping } from './rows';

/**
 * See Ledger.readVolumeRows: three statements for a whole page. The exports are read first, for a mapping is
 * written before its export; one without a mapping is another program's, as in ./read-exports.ts.
 */
export async function readVolumeRows(
  database: Database,
  volumeIds: readonly string[],
): Promise<Map<string, VolumeRows>> {
  const found = new Map<string, VolumeRows>();
  if (volumeIds.length === 0) return found;
  const ids = [...volumeIds];
  const { exports, mappings, operations } = await database.query(async (db) => ({
    exports: await db.selectFrom('nbd_exports').selectAll().where('volume_id', 'in', ids).execute(),
    mappings: await db.selectFrom('device_mappings').selectAll().where('volume_id', 'in', ids).execute(),
    operations: await sql`SELECT o.id, o.volume_id, o.type, o.status, o.updated_at, o.completed_at FROM
        (SELECT MAX(sequence) AS sequence FROM volume_operations FORCE INDEX (operations_by_volume)
         WHERE volume_id IN (${sql.join(ids)}) GROUP BY volume_id) AS last
      JOIN volume_operations o ON o.sequence = last.sequence`.execute(db),
  }));
  const put = (id: string, rows: Partial<VolumeRows>) => {
    const before = found.get(id) ?? { mapping: null, export: null, lastOperation: null };
    found.set(id, { ...before, ...rows });
  };
  for (const mapping of mappings.map(toMapping)) put(mapping.volumeId, { mapping });
  for (const record of exports.map(toExport))
    if (record !== null && found.get(record.volumeId)?.mapping) put(record.volumeId, { export: record });
  for (const { volumeId, ...lastOperation } of operations.rows.map(toLastOperation))
    put(volumeId, { lastOperation });
  return found;
}
