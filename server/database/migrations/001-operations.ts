import type { Connection } from 'mysql2/promise';
import {
  addColumns,
  addIndex,
  addUnique,
  alter,
  charsetClause,
  columnsOf,
  preciseTimes,
  takeAnyLanguage,
} from './schema';

const TABLE = 'volume_operations';
/** Quoted, as SQL has them. */
export const TYPES_OF_OLD = "'create', 'attach', 'detach', 'delete', 'cleanup'";
const TYPES = `ENUM(${TYPES_OF_OLD}) NOT NULL`;

/** Of rows of ours only: the old daemon executes several operations of one volume side by side. */
export const EXECUTING_VOLUME =
  "VARCHAR(64) GENERATED ALWAYS AS (CASE WHEN status = 'executing' AND volume_id <> '' AND appliance_id <> '' THEN volume_id END) STORED";

/**
 * volume_operations as the specification writes it, plus what the engine needs; and the step journal. An
 * existing table keeps every row: columns are added or widened, never removed. Operations that the Go daemon
 * left unfinished are ended by the next owner of the appliance (../end-foreign-operations.ts).
 */
export async function adoptOperations(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS ${TABLE} (
    id VARCHAR(64) PRIMARY KEY,
    type ${TYPES},
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
  await widen(connection);
  await numberByTime(connection);
  await addColumns(connection, TABLE, {
    appliance_id: "VARCHAR(64) NOT NULL DEFAULT ''",
    epoch: 'BIGINT NOT NULL DEFAULT 0',
    error_code: 'VARCHAR(64) NULL',
    attempt: 'INT NOT NULL DEFAULT 0',
    next_attempt_at: 'TIMESTAMP(3) NULL',
    wait_reason: 'TEXT CHARACTER SET utf8mb4 NULL',
    idempotency_key: 'VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL',
    request_hash: 'CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL',
    cancel_requested: 'TINYINT(1) NOT NULL DEFAULT 0',
  });
  await createJournal(connection);
  await addColumns(connection, TABLE, { executing_volume: EXECUTING_VOLUME });
  await addIndexes(connection);
  await createTotals(connection);
}

async function widen(connection: Connection): Promise<void> {
  const columns = await columnsOf(connection, TABLE);
  const changes = await preciseTimes(connection, TABLE, ['created_at', 'updated_at']);
  if (!columns.get('type')?.type.includes("'cleanup'")) changes.push(`MODIFY COLUMN type ${TYPES}`);
  if (!columns.get('completed_at')?.type.includes('(3)'))
    changes.push('MODIFY COLUMN completed_at TIMESTAMP(3) NULL');
  changes.push(...takeAnyLanguage(columns, { request: 'LONGTEXT', response: 'LONGTEXT', error: 'TEXT' }));
  await alter(connection, TABLE, changes);
}

/** Existing rows are numbered by time; a plain AUTO_INCREMENT would number them by id. */
async function numberByTime(connection: Connection): Promise<void> {
  const sequence = (await columnsOf(connection, TABLE)).get('sequence');
  if (sequence?.extra.includes('auto_increment')) return;
  await addColumns(connection, TABLE, { sequence: 'BIGINT NULL' });
  await connection.query(`UPDATE ${TABLE} o JOIN (SELECT id, ROW_NUMBER() OVER (ORDER BY created_at, id) AS n FROM ${TABLE}) t ON t.id = o.id
    SET o.sequence = t.n, o.updated_at = o.updated_at`);
  await alter(connection, TABLE, [
    'MODIFY COLUMN sequence BIGINT NOT NULL AUTO_INCREMENT',
    'ADD UNIQUE INDEX unique_sequence (sequence)',
  ]);
}

async function createJournal(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS appliances (
    id VARCHAR(64) PRIMARY KEY,
    epoch BIGINT NOT NULL,
    owner VARCHAR(255) NOT NULL,
    since TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  const collation = charsetClause((await columnsOf(connection, TABLE)).get('id'));
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
    CONSTRAINT fk_steps_operation FOREIGN KEY (operation_id) REFERENCES ${TABLE} (id) ON DELETE CASCADE
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
}

async function addIndexes(connection: Connection): Promise<void> {
  // The specification's index names may be taken by its single-column indexes.
  await addUnique(connection, TABLE, 'unique_executing_volume', ['executing_volume']);
  await addUnique(connection, TABLE, 'unique_idempotency_key', ['appliance_id', 'idempotency_key']);
  const add = (name: string, columns: string[]) => addIndex(connection, TABLE, name, columns);
  // Claims, re-leases and the queue of a volume
  await add('operations_owner', ['appliance_id', 'status', 'sequence']);
  await add('operations_volume_queue', ['volume_id', 'status', 'sequence']);
  // Lists, newest first, by each filter (../list-operations.ts)
  await add('operations_by_volume', ['volume_id', 'sequence']);
  // One VM, the appliance, has most of the rows, so its other filters are in the index too.
  await add('operations_by_vm', ['vm_id', 'sequence', 'type', 'status']);
  await add('operations_by_type_status', ['type', 'status', 'sequence']);
  await add('operations_by_status', ['status', 'sequence']);
  await add('operations_by_type', ['type', 'sequence']);
  await add('operations_by_time', ['created_at']);
  // Joins of creates; pruning
  await add('operations_by_body', ['request_hash']);
  await add('operations_ended', ['appliance_id', 'completed_at']);
}

/** Running totals of ended operations: counting a million rows takes seconds (../operation-totals.ts). */
async function createTotals(connection: Connection): Promise<void> {
  await connection.query(`CREATE TABLE IF NOT EXISTS volume_operation_totals (
    appliance_id VARCHAR(64) NOT NULL,
    type VARCHAR(16) NOT NULL,
    status VARCHAR(16) NOT NULL,
    operations BIGINT NOT NULL,
    response_us BIGINT NOT NULL,
    PRIMARY KEY (appliance_id, type, status)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`);
  await connection.query(`REPLACE INTO volume_operation_totals
    SELECT appliance_id, type, status, COUNT(*), COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, created_at, completed_at)), 0)
    FROM ${TABLE} WHERE status IN ('completed', 'failed', 'cancelled') GROUP BY appliance_id, type, status`);
}
