import type { Connection } from 'mysql2/promise';
import { alter, charsetClause, columnsOf } from './schema';

const TABLE = 'volume_operations';

/**
 * The operation type `recover`, as the last of the ENUM, so that no row is written again. The old daemon
 * never writes it.
 */
export async function adoptRecover(connection: Connection): Promise<void> {
  const column = (await columnsOf(connection, TABLE)).get('type');
  if (!column?.type.startsWith('enum(') || column.type.includes("'recover'")) return;
  const types = `${column.type.slice(0, -1)},'recover')`;
  await alter(connection, TABLE, [`MODIFY COLUMN type ${types} ${charsetClause(column)} NOT NULL`]);
}
