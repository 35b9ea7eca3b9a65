import type { Connection } from 'mysql2/promise';
import { addColumns, addIndex } from './schema';

const OPERATIONS = 'volume_operations';

/**
 * Operations that nobody may run (../journal/hold-operation.ts), how often each has ended the process, and
 * what the probe writes (../probe.ts).
 */
export async function addHeldColumns(connection: Connection): Promise<void> {
  await addColumns(connection, OPERATIONS, {
    held_reason: 'TEXT CHARACTER SET utf8mb4 NULL',
    held_at: 'TIMESTAMP(3) NULL',
    crashes: 'INT NOT NULL DEFAULT 0',
    crash_sequence: 'INT NOT NULL DEFAULT 0',
  });
  await addIndex(connection, OPERATIONS, 'operations_held', ['appliance_id', 'held_at']);
  await addColumns(connection, 'appliances', { probed_at: 'TIMESTAMP(3) NULL' });
}
