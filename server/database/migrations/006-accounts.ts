import type { Connection } from 'mysql2/promise';
import { addColumns, columnsOf } from './schema';

/**
 * ossea_configs gets the owner of new volumes. Columns that may be empty change nothing for the hub, which
 * names the columns that it writes; a hub that has dropped its table makes it anew, and then its
 * administrator adds them or uses the environment.
 */
export async function addOwnerColumns(connection: Connection): Promise<void> {
  if ((await columnsOf(connection, 'ossea_configs')).size === 0) return;
  await addColumns(connection, 'ossea_configs', {
    project_id: 'VARCHAR(255) NULL',
    account: 'VARCHAR(255) NULL',
    domain_id: 'VARCHAR(255) NULL',
  });
}
