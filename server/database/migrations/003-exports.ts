import type { Connection } from 'mysql2/promise';
import {
  addColumns,
  addIndex,
  alter,
  charsetClause,
  columnsOf,
  hasForeignKey,
  preciseTimes,
  relax,
} from './schema';

const TABLE = 'nbd_exports';
const ASIDE = 'nbd_exports_set_aside';

/**
 * nbd_exports: one per mapping, gone with it. Columns that the hub updates (vm_disk_id, vm_context_id) exist
 * and are left alone. In an existing table, rows of volumes without a mapping and second rows of one volume
 * would contradict that: they are kept in nbd_exports_set_aside.
 */
export async function adoptExports(connection: Connection): Promise<void> {
  const parent = (await columnsOf(connection, 'device_mappings')).get('volume_id');
  await connection.query(`CREATE TABLE IF NOT EXISTS ${TABLE} (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    volume_id VARCHAR(64) ${charsetClause(parent)} NOT NULL,
    vm_context_id VARCHAR(64) NULL,
    vm_disk_id BIGINT NULL,
    export_name VARCHAR(191) NOT NULL,
    device_path VARCHAR(255) NOT NULL,
    port INT NOT NULL DEFAULT 10809,
    status ENUM('pending', 'active', 'failed') NOT NULL DEFAULT 'pending',
    metadata JSON NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const columns = await columnsOf(connection, TABLE);
  if (!columns.has('volume_id')) await alter(connection, TABLE, ['RENAME COLUMN volume_uuid TO volume_id']);
  const linked = await hasForeignKey(connection, TABLE, 'volume_id');
  if (!linked)
    await alter(connection, TABLE, [`MODIFY COLUMN volume_id VARCHAR(64) ${charsetClause(parent)} NOT NULL`]);
  await setAside(connection);
  await addColumns(connection, TABLE, {
    metadata: 'JSON NULL',
    vm_disk_id: 'BIGINT NULL',
    vm_context_id: 'VARCHAR(64) NULL',
  });
  const changes = await preciseTimes(connection, TABLE, ['created_at', 'updated_at']);
  // A table whose ids are texts had them made by its program; from now on the database makes them.
  if (columns.get('id')?.type.startsWith('varchar') && !columns.get('id')?.hasDefault)
    changes.push('MODIFY COLUMN id VARCHAR(64) NOT NULL DEFAULT (uuid())');
  await alter(connection, TABLE, changes);
  await relax(connection, TABLE, OURS);
  await addIndex(connection, TABLE, 'unique_export_volume', ['volume_id'], true);
  await addIndex(connection, TABLE, 'unique_export_name', ['export_name'], true);
  if (!linked)
    await alter(connection, TABLE, [
      'ADD CONSTRAINT fk_exports_mapping FOREIGN KEY (volume_id) REFERENCES device_mappings (volume_id) ON DELETE CASCADE',
    ]);
}

/** What our inserts always give, and the key. */
const OURS = new Set([
  'id',
  'volume_id',
  'export_name',
  'device_path',
  'port',
  'status',
  'created_at',
  'updated_at',
]);

async function setAside(connection: Connection): Promise<void> {
  const wrong = `volume_id NOT IN (SELECT volume_id FROM device_mappings)
    OR id NOT IN (SELECT keep FROM (SELECT SUBSTRING_INDEX(GROUP_CONCAT(id ORDER BY status = 'active' DESC, updated_at DESC, id DESC), ',', 1) AS keep
      FROM ${TABLE} GROUP BY volume_id) AS kept)`;
  const [found] = await connection.query(`SELECT 1 FROM ${TABLE} WHERE ${wrong} LIMIT 1`);
  if (Array.isArray(found) && found.length === 0) return;
  await connection.query(`CREATE TABLE IF NOT EXISTS ${ASIDE} LIKE ${TABLE}`);
  // After a crash in the middle the copy may have fewer columns than the table has now.
  const names = [...(await columnsOf(connection, ASIDE)).values()]
    .filter(({ extra }) => !extra.includes('generated'))
    .map(({ name }) => `\`${name}\``);
  await connection.query('START TRANSACTION');
  await connection.query(
    `INSERT IGNORE INTO ${ASIDE} (${names.join(', ')}) SELECT ${names.join(', ')} FROM ${TABLE} WHERE ${wrong}`,
  );
  await connection.query(`DELETE FROM ${TABLE} WHERE ${wrong}`);
  await connection.query('COMMIT');
}
