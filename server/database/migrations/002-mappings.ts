import type { Connection } from 'mysql2/promise';
import { addColumns, addIndex, columnsOf, dropUnique } from './schema';

/**
 * device_mappings: a path is unique within one VM only (letters repeat across VMs), wide enough for remote placeholders, with the
 * identity of the disk. The live shape of the existing system names the volume `volume_uuid`; whichever name a table has, the
 * other is added as a generated alias, because programs read both.
 */
export async function adoptMappings(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS device_mappings (
    id VARCHAR(64) PRIMARY KEY,
    volume_id VARCHAR(64) NOT NULL,
    vm_id VARCHAR(64) NOT NULL,
    device_path VARCHAR(255) NOT NULL,
    cloudstack_state VARCHAR(32) NOT NULL,
    linux_state VARCHAR(32) NOT NULL,
    size BIGINT NOT NULL,
    last_sync TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    UNIQUE KEY unique_volume_id (volume_id)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const columns = await columnsOf(connection, 'device_mappings');
  if (!columns.has('volume_id') && columns.has('volume_uuid')) {
    // Renaming keeps the foreign keys that point here.
    await connection.query('ALTER TABLE device_mappings CHANGE COLUMN volume_uuid volume_id VARCHAR(64) NOT NULL');
  }
  await addColumns(connection, 'device_mappings', {
    controller: 'VARCHAR(32) NULL',
    serial: 'VARCHAR(64) NULL',
    diskseq: 'BIGINT NULL',
    boot_id: 'VARCHAR(64) NULL',
    matched_by: 'VARCHAR(16) NULL',
    cloudstack_device_id: 'INT NULL',
    operation_mode: "VARCHAR(16) NOT NULL DEFAULT 'oma'",
    requires_device_correlation: 'TINYINT(1) NOT NULL DEFAULT 1',
    vm_context_id: 'VARCHAR(64) NULL',
    volume_uuid: 'VARCHAR(64) GENERATED ALWAYS AS (volume_id) VIRTUAL',
  });
  await addIndex(connection, 'device_mappings', 'unique_volume_id', ['volume_id'], true);
  await addIndex(connection, 'device_mappings', 'unique_vm_device_path', ['vm_id', 'device_path'], true);
  await addIndex(connection, 'device_mappings', 'idx_device_mappings_vm_id', ['vm_id']);
  await addIndex(connection, 'device_mappings', 'idx_device_mappings_device_path', ['device_path']);
  await dropUnique(connection, 'device_mappings', ['device_path']);
  await widen(connection);
}

async function widen(connection: Connection): Promise<void> {
  const columns = await columnsOf(connection, 'device_mappings');
  const changes: string[] = [];
  if (columns.get('device_path')?.type !== 'varchar(255)') changes.push('MODIFY COLUMN device_path VARCHAR(255) NOT NULL');
  for (const name of ['last_sync', 'created_at', 'updated_at']) {
    if (columns.get(name)?.type.includes('(3)')) continue;
    const onUpdate = name === 'updated_at' ? ' ON UPDATE CURRENT_TIMESTAMP(3)' : '';
    await connection.query(`UPDATE device_mappings SET ${name} = CURRENT_TIMESTAMP WHERE ${name} IS NULL`);
    changes.push(`MODIFY COLUMN ${name} TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)${onUpdate}`);
  }
  if (changes.length > 0) await connection.query(`ALTER TABLE device_mappings ${changes.join(', ')}`);
}
