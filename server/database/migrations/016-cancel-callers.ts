import type { Connection } from 'mysql2/promise';
import { addColumns } from './schema';

/** Who asked for the cancel of an operation, and by which request; NULL while nobody has. */
export async function addCancelCallers(connection: Connection): Promise<void> {
  await addColumns(connection, 'volume_operations', {
    cancel_actor: 'VARCHAR(64) CHARACTER SET ascii NULL',
    cancel_request_id: 'VARCHAR(64) CHARACTER SET ascii NULL',
    cancel_traceparent: 'VARCHAR(64) CHARACTER SET ascii NULL',
  });
}
