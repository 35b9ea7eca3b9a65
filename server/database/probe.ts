import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Database } from './connection/pool';
import { databaseNow } from './prune';

/**
 * See Ledger.probe. A server may answer SELECT 1 and refuse every table, or every write: so this asks for what
 * operations need, of the tables they use, and as owner really writes one row. Whether the epoch is still
 * ours is not its business: a database that says no to an old epoch works. Each statement is its own transaction.
 */
export async function probe(database: Database, epoch: Epoch | null): Promise<number> {
  for (const statement of [writeOwn(epoch), ...WRITE_NOTHING])
    await database.query((db) => statement.execute(db));
  return database.query(databaseNow);
}

function writeOwn(epoch: Epoch | null) {
  if (epoch === null) return sql`UPDATE appliances SET owner = owner WHERE id = ''`;
  const { applianceId, number } = epoch;
  return sql`UPDATE appliances SET probed_at = CURRENT_TIMESTAMP(3) WHERE id = ${applianceId} AND epoch = ${number}`;
}

/** These match nothing; the server checks rights and modes all the same. */
const WRITE_NOTHING = [
  sql`UPDATE volume_operations SET updated_at = updated_at WHERE id = ''`,
  sql`INSERT INTO volume_operation_steps (appliance_id, sequence, step, state, data)
    SELECT '', 0, '', '', '{}' FROM appliances WHERE id = ''`,
  sql`UPDATE device_mappings SET updated_at = updated_at WHERE volume_id = ''`,
];
