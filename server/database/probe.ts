import { type CompiledQuery, type Kysely, sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import { statementOnce } from './compiled-once';
import type { Database } from './connection/pool';
import type { Tables } from './tables';

/**
 * See Ledger.probe. A server may answer SELECT 1 and refuse every table, or every write: so this asks for what
 * operations need, of the tables they use, and as owner really writes one row. Whether the epoch is still
 * ours is not its business: a database that says no to an old epoch works. In one round trip, because it is
 * asked every few seconds; one by one where that fails, which meets the reason.
 */
export async function probe(database: Database, epoch: Epoch | null): Promise<number> {
  const statements = statementsOf(database.kysely, epoch);
  const asked = await database.packet('effects', statements);
  if (asked) return timeIn(asked.at(-1)?.found);
  return database.transaction(async (tx) => {
    let found: readonly unknown[] = [];
    for (const statement of statements) found = (await tx.executeQuery(statement)).rows;
    return timeIn(found);
  });
}

function statementsOf(db: Kysely<Tables>, epoch: Epoch | null): CompiledQuery[] {
  const written = epoch === null ? [] : [writeProbedAt(db, [epoch.applianceId, epoch.number])];
  return [...written, ...WITHOUT_EFFECT.map((statement) => statement(db, [])), readTime(db, [])];
}

const writeProbedAt = statementOnce((db) =>
  sql`UPDATE appliances SET probed_at = CURRENT_TIMESTAMP(3) WHERE id = ${''} AND epoch = ${0}`.compile(db),
);

/** These match nothing; the server checks rights and modes all the same. */
const WITHOUT_EFFECT = [
  sql`UPDATE appliances SET owner = owner WHERE id = ''`,
  sql`UPDATE volume_operations SET updated_at = updated_at WHERE id = ''`,
  sql`INSERT INTO volume_operation_steps (appliance_id, sequence, step, state, data)
    SELECT '', 0, '', '', '{}' FROM appliances WHERE id = ''`,
  sql`UPDATE device_mappings SET updated_at = updated_at WHERE volume_id = ''`,
].map((statement) => statementOnce((db) => statement.compile(db)));

const readTime = statementOnce((db) => sql`SELECT CURRENT_TIMESTAMP(3) AS now`.compile(db));

/** Wall clock ms of the database server. */
function timeIn(rows: readonly unknown[] = []): number {
  const [row] = rows;
  const now: unknown = typeof row === 'object' && row !== null && 'now' in row ? row.now : null;
  return now instanceof Date ? now.getTime() : Number.NaN;
}
