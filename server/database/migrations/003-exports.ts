import type { Connection } from 'mysql2/promise';
import {
  addColumns,
  addIndex,
  addUnique,
  addVolumeAlias,
  alter,
  charsetClause,
  columnsOf,
  giveIds,
  isReal,
  preciseTimes,
  relax,
  takeAnyLanguage,
} from './schema';

const TABLE = 'nbd_exports';

/**
 * nbd_exports: one per mapping, known by its name, `migration-vol-<volume id>`. Other programs have rows of
 * their own in an existing table (second exports of one volume, exports without a mapping): they stay and are
 * never read as ours (../read-exports.ts).
 */
export async function adoptExports(connection: Connection): Promise<void> {
  const mappings = await columnsOf(connection, 'device_mappings');
  const parent = mappings.get(isReal(mappings, 'volume_id') ? 'volume_id' : 'volume_uuid');
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
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    CONSTRAINT fk_exports_mapping FOREIGN KEY (volume_id) REFERENCES device_mappings (${parent?.name}) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  await addColumns(connection, TABLE, {
    metadata: 'JSON NULL',
    vm_disk_id: 'BIGINT NULL',
    vm_context_id: 'VARCHAR(64) NULL',
  });
  const changes = await preciseTimes(connection, TABLE, ['created_at', 'updated_at']);
  changes.push(...takeAnyLanguage(await columnsOf(connection, TABLE), { metadata: 'LONGTEXT' }));
  await alter(connection, TABLE, [...changes, ...(await giveIds(connection, TABLE))]);
  await relax(connection, TABLE, OURS);
  await addVolumeAlias(connection, TABLE);
  await addIndex(connection, TABLE, 'idx_nbd_exports_volume_id', ['volume_id']);
  await addUnique(connection, TABLE, 'unique_export_name', ['export_name']);
}

/** What our inserts always give, and the key. */
const OURS = new Set([
  'id',
  'volume_id',
  'volume_uuid',
  'export_name',
  'device_path',
  'port',
  'status',
  'created_at',
  'updated_at',
]);
