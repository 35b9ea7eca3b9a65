import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Database } from './connection/pool';
import { databaseNow } from './prune';

/**
 * See Ledger.probe. A server may answer SELECT 1 and refuse every table, or every write: so this asks for what
 * operations need, of the tables they use, and as owner really writes one row. Whether the epoch is still
 * ours is not its business: a database that says no to an old epoch works.
 */
export async function probe(database: Database, epoch: Epoch | null): Promise<number> {
  return database.transaction(async (tx) => {
    if (epoch !== null)
      await sql`UPDATE appliances SET probed_at = CURRENT_TIMESTAMP(3)
        WHERE id = ${epoch.applianceId} AND epoch = ${epoch.number}`.execute(tx);
    // These match nothing; the server checks rights and modes all the same.
    await sql`UPDATE appliances SET owner = owner WHERE id = ''`.execute(tx);
    await sql`UPDATE volume_operations SET updated_at = updated_at WHERE id = ''`.execute(tx);
    await sql`INSERT INTO volume_operation_steps (appliance_id, sequence, step, state, data)
      SELECT '', 0, '', '', '{}' FROM appliances WHERE id = ''`.execute(tx);
    await sql`UPDATE device_mappings SET updated_at = updated_at WHERE volume_id = ''`.execute(tx);
    return databaseNow(tx);
  });
}
