import type { Connection, RowDataPacket } from 'mysql2/promise';
import { EXECUTING_VOLUME } from './001-operations';
import { adoptMappings } from './002-mappings';
import { adoptExports } from './003-exports';
import { alter, columnsOf, hasForeignKey, indexNames, isReal } from './schema';

const ASIDE = 'nbd_exports_set_aside';

/**
 * Databases that an earlier build of this daemon has adopted by renaming columns and moving rows: gives the
 * programs of the old family their columns and rows back. Nothing to do in any other database.
 */
export async function giveBack(connection: Connection): Promise<void> {
  await countOursOnly(connection);
  const mappings = await columnsOf(connection, 'device_mappings');
  if (!mappings.has('volume_id_numeric')) return;
  if (await hasForeignKey(connection, 'nbd_exports', 'fk_exports_mapping'))
    await alter(connection, 'nbd_exports', ['DROP FOREIGN KEY fk_exports_mapping']);
  if ((await indexNames(connection, 'nbd_exports')).has('unique_export_volume'))
    await alter(connection, 'nbd_exports', [
      'ADD INDEX idx_nbd_exports_of_volume (volume_id)',
      'DROP INDEX unique_export_volume',
    ]);
  await renameBack(connection, 'device_mappings');
  if ((await indexNames(connection, 'nbd_exports')).has('idx_nbd_exports_volume_uuid'))
    await renameBack(connection, 'nbd_exports');
  await returnRows(connection);
  await adoptMappings(connection);
  await adoptExports(connection);
}

/** See EXECUTING_VOLUME; an earlier build counted the old daemon's operations as well. */
async function countOursOnly(connection: Connection): Promise<void> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT generation_expression AS expression FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'volume_operations' AND column_name = 'executing_volume'`,
  );
  if (String(rows[0]?.expression).includes('appliance_id')) return;
  const there = rows.length > 0 ? ['DROP INDEX unique_executing_volume', 'DROP COLUMN executing_volume'] : [];
  await alter(connection, 'volume_operations', there);
  await alter(connection, 'volume_operations', [
    `ADD COLUMN executing_volume ${EXECUTING_VOLUME}`,
    'ADD UNIQUE INDEX unique_executing_volume (executing_volume)',
  ]);
}

/** Dropping a column drops its indexes; renaming keeps the indexes and the foreign keys that point here. */
async function renameBack(connection: Connection, table: string): Promise<void> {
  const columns = await columnsOf(connection, table);
  if (!isReal(columns, 'volume_id')) return;
  if (columns.has('volume_uuid')) await alter(connection, table, ['DROP COLUMN volume_uuid']);
  await alter(connection, table, ['RENAME COLUMN volume_id TO volume_uuid']);
}

async function returnRows(connection: Connection): Promise<void> {
  const aside = await columnsOf(connection, ASIDE);
  if (aside.size === 0) return;
  const columns = await columnsOf(connection, 'nbd_exports');
  const real = isReal(columns, 'volume_id') ? 'volume_id' : 'volume_uuid';
  const kept = [...aside.keys()].filter((name) => isReal(aside, name) && !name.startsWith('volume_u'));
  const names = kept.filter((name) => name !== 'volume_id' && columns.has(name)).map((name) => `\`${name}\``);
  await connection.query(
    `INSERT IGNORE INTO nbd_exports (${real}, ${names.join(', ')}) SELECT volume_id, ${names.join(', ')} FROM ${ASIDE}`,
  );
  await connection.query(`DROP TABLE ${ASIDE}`);
}
