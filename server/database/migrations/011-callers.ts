import type { Connection } from 'mysql2/promise';
import { addColumns } from './schema';

/** Who asked for an operation, and by which request; NULL for what was accepted before. */
export async function addCallerColumns(connection: Connection): Promise<void> {
  await addColumns(connection, 'volume_operations', {
    actor: 'VARCHAR(64) CHARACTER SET ascii NULL',
    request_id: 'VARCHAR(64) CHARACTER SET ascii NULL',
    traceparent: 'VARCHAR(64) CHARACTER SET ascii NULL',
  });
}
