import type { Connection } from 'mysql2/promise';
import {
  addColumns,
  addIndex,
  addUnique,
  addVolumeAlias,
  alter,
  charsetClause,
  columnsOf,
  dropUnique,
  giveIds,
  isReal,
  preciseTimes,
  relax,
} from './schema';

const TABLE = 'device_mappings';

/**
 * device_mappings: a path is unique within one VM only (letters repeat across VMs), wide enough for remote
 * placeholders, with the identity of the disk. In an existing table columns and indexes are added, and the
 * global uniqueness of paths goes; nothing that another program writes or reads is renamed.
 */
export async function adoptMappings(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS ${TABLE} (
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
  ) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4`);
  await addColumns(connection, TABLE, {
    controller: 'VARCHAR(32) NULL',
    serial: 'VARCHAR(64) NULL',
    diskseq: 'BIGINT NULL',
    boot_id: 'VARCHAR(64) NULL',
    matched_by: 'VARCHAR(16) NULL',
    cloudstack_device_id: 'INT NULL',
    operation_mode: "ENUM('oma', 'failover') NULL DEFAULT 'oma'",
    requires_device_correlation: 'TINYINT(1) NULL DEFAULT 1',
    vm_context_id: 'VARCHAR(64) NULL',
  });
  await widen(connection);
  await relax(connection, TABLE, OURS);
  await dropUnique(connection, TABLE, ['device_path']);
  await addVolumeAlias(connection, TABLE);
  const real = isReal(await columnsOf(connection, TABLE), 'volume_id') ? 'volume_id' : 'volume_uuid';
  await addUnique(connection, TABLE, 'unique_volume_id', [real]);
  await addUnique(connection, TABLE, 'unique_vm_device_path', ['vm_id', 'device_path']);
  await addIndex(connection, TABLE, 'idx_device_mappings_vm_id', ['vm_id']);
  await addIndex(connection, TABLE, 'idx_device_mappings_device_path', ['device_path']);
}

/** What our inserts always give. */
const OURS = new Set([
  'id',
  'volume_id',
  'volume_uuid',
  'vm_id',
  'device_path',
  'cloudstack_state',
  'linux_state',
  'size',
  'last_sync',
  'created_at',
  'updated_at',
]);

async function widen(connection: Connection): Promise<void> {
  const changes = await preciseTimes(connection, TABLE, ['last_sync', 'created_at', 'updated_at']);
  const path = (await columnsOf(connection, TABLE)).get('device_path');
  // The other formats of InnoDB, which a server may have as its default, take no index on so wide a column.
  if (path?.type !== 'varchar(255)')
    changes.push(
      `MODIFY COLUMN device_path VARCHAR(255) ${charsetClause(path)} NOT NULL`,
      'ROW_FORMAT=DYNAMIC',
    );
  changes.push(...(await giveIds(connection, TABLE)));
  await alter(connection, TABLE, changes);
}
