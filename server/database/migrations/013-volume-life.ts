import type { Connection } from 'mysql2/promise';
import { alter, charsetClause, columnsOf } from './schema';

const TABLE = 'volume_operations';
const TYPES = ['resize', 'snapshot', 'delete-snapshot', 'revert', 'snapshot-group'] as const;

/**
 * Operation types, as the last of the ENUM, so that no row is written again. The old daemon never writes
 * them.
 */
export async function addVolumeLife(connection: Connection): Promise<void> {
  const column = (await columnsOf(connection, TABLE)).get('type');
  if (!column?.type.startsWith('enum(')) return;
  const missing = TYPES.map((type) => `'${type}'`).filter((type) => !column.type.includes(type));
  if (missing.length === 0) return;
  const types = `${column.type.slice(0, -1)},${missing.join(',')})`;
  await alter(connection, TABLE, [`MODIFY COLUMN type ${types} ${charsetClause(column)} NOT NULL`]);
}
