import type { Connection } from 'mysql2/promise';
import { addColumns, addIndex, collationOf, columnsOf } from './schema';

/** nbd_exports: one per mapping, gone with it. Columns that the hub updates (vm_disk_id, vm_context_id) exist and are left alone. */
export async function adoptExports(connection: Connection): Promise<void> {
  const collation = await collationOf(connection, 'device_mappings', 'volume_id');
  await connection.query(`CREATE TABLE IF NOT EXISTS nbd_exports (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    volume_id VARCHAR(64) ${collation} NOT NULL,
    vm_context_id VARCHAR(64) NULL,
    vm_disk_id BIGINT NULL,
    export_name VARCHAR(191) NOT NULL,
    device_path VARCHAR(255) NOT NULL,
    port INT NOT NULL DEFAULT 10809,
    status ENUM('pending', 'active', 'failed') NOT NULL DEFAULT 'pending',
    metadata JSON NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    UNIQUE KEY unique_export_volume (volume_id),
    UNIQUE KEY unique_export_name (export_name),
    CONSTRAINT fk_exports_mapping FOREIGN KEY (volume_id) REFERENCES device_mappings (volume_id) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const columns = await columnsOf(connection, 'nbd_exports');
  if (!columns.has('volume_id') && columns.has('volume_uuid')) {
    await connection.query('ALTER TABLE nbd_exports CHANGE COLUMN volume_uuid volume_id VARCHAR(64) NOT NULL');
  }
  await addColumns(connection, 'nbd_exports', { metadata: 'JSON NULL', vm_disk_id: 'BIGINT NULL', vm_context_id: 'VARCHAR(64) NULL' });
  await addIndex(connection, 'nbd_exports', 'idx_nbd_exports_volume_id', ['volume_id']);
}
