import type { Connection } from 'mysql2/promise';
import { addColumns, addIndex, collationOf, columnsOf } from './schema';

/**
 * volume_operations as the specification writes it, plus what the engine needs; and the step journal. An existing table keeps
 * every row: columns are added or widened, never removed. Operations that the Go daemon left unfinished belong to nobody: they
 * end as failed (docs/decisions/0002), because repeating what another program may have half done could do it twice.
 */
export async function adoptOperations(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS volume_operations (
    id VARCHAR(64) PRIMARY KEY,
    type ENUM('create', 'attach', 'detach', 'delete', 'cleanup') NOT NULL,
    status ENUM('pending', 'executing', 'completed', 'failed', 'cancelled') NOT NULL DEFAULT 'pending',
    volume_id VARCHAR(64) NOT NULL,
    vm_id VARCHAR(64) NULL,
    request JSON NOT NULL,
    response JSON NULL,
    error TEXT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    completed_at TIMESTAMP(3) NULL
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const adopted = !(await columnsOf(connection, 'volume_operations')).has('appliance_id');
  await addColumns(connection, 'volume_operations', {
    sequence: 'BIGINT NOT NULL AUTO_INCREMENT UNIQUE',
    appliance_id: "VARCHAR(64) NOT NULL DEFAULT ''",
    epoch: 'BIGINT NOT NULL DEFAULT 0',
    error_code: 'VARCHAR(64) NULL',
    attempt: 'INT NOT NULL DEFAULT 0',
    next_attempt_at: 'TIMESTAMP(3) NULL',
    wait_reason: 'TEXT NULL',
    idempotency_key: 'VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL',
    request_hash: 'CHAR(64) NULL',
    cancel_requested: 'TINYINT(1) NOT NULL DEFAULT 0',
  });
  await widen(connection);
  if (adopted) await abandonUnfinished(connection);
  await addColumns(connection, 'volume_operations', {
    executing_volume: "VARCHAR(64) GENERATED ALWAYS AS (CASE WHEN status = 'executing' AND volume_id <> '' THEN volume_id END) STORED UNIQUE",
  });
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_volume_id', ['volume_id', 'status', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_status', ['status', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_created_at', ['created_at']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_vm_id', ['vm_id', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_owner', ['appliance_id', 'status', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_volume_seq', ['volume_id', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_type_seq', ['type', 'sequence']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_counts', ['appliance_id', 'type', 'status', 'created_at', 'completed_at']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_hash', ['request_hash', 'status']);
  await addIndex(connection, 'volume_operations', 'idx_volume_operations_ended', ['appliance_id', 'completed_at']);
  await addIndex(connection, 'volume_operations', 'unique_idempotency_key', ['appliance_id', 'idempotency_key'], true);
  await createJournal(connection);
}

async function widen(connection: Connection): Promise<void> {
  const columns = await columnsOf(connection, 'volume_operations');
  const changes: string[] = [];
  if (!columns.get('type')?.type.includes("'cleanup'")) changes.push("MODIFY COLUMN type ENUM('create', 'attach', 'detach', 'delete', 'cleanup') NOT NULL");
  if (!columns.get('created_at')?.type.includes('(3)')) changes.push('MODIFY COLUMN created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)');
  if (!columns.get('updated_at')?.type.includes('(3)')) changes.push('MODIFY COLUMN updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)');
  if (!columns.get('completed_at')?.type.includes('(3)')) changes.push('MODIFY COLUMN completed_at TIMESTAMP(3) NULL');
  // NULL times of a loosely declared table would be refused by NOT NULL.
  if (changes.length > 0) {
    await connection.query('UPDATE volume_operations SET created_at = COALESCE(created_at, updated_at, CURRENT_TIMESTAMP), updated_at = COALESCE(updated_at, created_at, CURRENT_TIMESTAMP) WHERE created_at IS NULL OR updated_at IS NULL');
    await connection.query(`ALTER TABLE volume_operations ${changes.join(', ')}`);
  }
}

async function abandonUnfinished(connection: Connection): Promise<void> {
  await connection.query(
    `UPDATE volume_operations SET status = 'failed', completed_at = CURRENT_TIMESTAMP(3), error_code = 'CLOUDSTACK_OUTCOME_UNKNOWN',
       error = 'abandoned by the previous daemon before it ended; check the volume in CloudStack' WHERE status IN ('pending', 'executing') AND appliance_id = ''`,
  );
}

async function createJournal(connection: Connection): Promise<void> {
  const collation = await collationOf(connection, 'volume_operations', 'id');
  await connection.query(`CREATE TABLE IF NOT EXISTS appliances (
    id VARCHAR(64) PRIMARY KEY,
    epoch BIGINT NOT NULL,
    owner VARCHAR(255) NOT NULL,
    since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  await connection.query(`CREATE TABLE IF NOT EXISTS volume_operation_steps (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    appliance_id VARCHAR(64) NOT NULL,
    operation_id VARCHAR(64) ${collation} NULL,
    sequence INT NOT NULL,
    step VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    data JSON NOT NULL,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    UNIQUE KEY unique_operation_sequence (operation_id, sequence),
    KEY idx_steps_feed (appliance_id, id),
    CONSTRAINT fk_steps_operation FOREIGN KEY (operation_id) REFERENCES volume_operations (id) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
}
