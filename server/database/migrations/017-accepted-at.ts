import type { Connection } from 'mysql2/promise';
import { addColumns, alter } from './schema';

/**
 * When the row was inserted, by the clock of the database, which is not the one of `created_at`: an age that
 * both clocks tell is one. NULL in rows from before. The default comes with a change of its own, else it
 * would be their time as well.
 */
export async function addAcceptedAt(connection: Connection): Promise<void> {
  await addColumns(connection, 'volume_operations', { accepted_at: 'TIMESTAMP(3) NULL' });
  await alter(connection, 'volume_operations', [
    'MODIFY COLUMN accepted_at TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3)',
  ]);
}
