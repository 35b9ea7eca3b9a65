import { sql } from 'kysely';
import type { Blocker } from '../../model/ledger';
import type { JournalEntry } from '../../model/operation';
import type { Database } from '../connection/pool';
import { toEntry } from '../rows';

export async function readJournal(database: Database, operationId: string): Promise<JournalEntry[]> {
  const rows = await database.query((db) =>
    db
      .selectFrom('volume_operation_steps')
      .selectAll()
      .where('operation_id', '=', operationId)
      .orderBy('sequence')
      .execute(),
  );
  return rows.map(toEntry);
}

/**
 * Entries of the appliance with id > `after`. Ids are given out before their transactions commit, so a plain
 * read could show 12 before 11, and a reader that goes on from 12 would never see 11. Every writer shares the
 * lock on the appliance's row (./fencing.ts): while it is held exclusively nobody is between an id and its
 * COMMIT, so all ids up to then are final.
 */
export async function readFeed(
  database: Database,
  applianceId: string,
  after: number,
  limit: number,
): Promise<JournalEntry[]> {
  const upTo = await database.transaction(async (tx) => {
    await tx.selectFrom('appliances').select('id').where('id', '=', applianceId).forUpdate().execute();
    const newest = await tx
      .selectFrom('volume_operation_steps')
      .select((eb) => eb.fn.max('id').as('id'))
      .where('appliance_id', '=', applianceId)
      .executeTakeFirst();
    return Number(newest?.id ?? 0);
  });
  if (upTo <= after) return [];
  const rows = await database.query((db) =>
    db
      .selectFrom('volume_operation_steps')
      .selectAll()
      .where('appliance_id', '=', applianceId)
      .where('id', '>', after)
      .where('id', '<=', upTo)
      .orderBy('id')
      .limit(limit)
      .execute(),
  );
  return rows.map(toEntry);
}

export async function readNewestEntry(database: Database): Promise<number> {
  const newest = await database.query((db) =>
    db
      .selectFrom('volume_operation_steps')
      .select((eb) => eb.fn.max('id').as('id'))
      .executeTakeFirst(),
  );
  return Number(newest?.id ?? 0);
}

/** See Ledger.executingOn. */
export async function executingOn(
  database: Database,
  volumeIds: readonly string[],
): Promise<Map<string, Blocker>> {
  if (volumeIds.length === 0) return new Map();
  const { rows } = await database.query((db) =>
    sql<{ id: string; appliance_id: string; executing_volume: string }>`
      SELECT id, appliance_id, executing_volume FROM volume_operations FORCE INDEX (unique_executing_volume)
      WHERE executing_volume IN (${sql.join(volumeIds)})`.execute(db),
  );
  return new Map(
    rows.map(({ id, appliance_id, executing_volume }) => [
      executing_volume,
      { id, applianceId: appliance_id },
    ]),
  );
}

/** See Ledger.isWorkedOn. Of the entries only the newest are read, however long the journal is. */
export async function isWorkedOn(database: Database, volumeId: string, sinceEntry: number): Promise<boolean> {
  const { rows } = await database.query((db) =>
    sql`SELECT 1 FROM volume_operations
        WHERE volume_id = ${volumeId} AND status IN ('pending', 'executing')
      UNION ALL SELECT 1 FROM volume_operation_steps s JOIN volume_operations o ON o.id = s.operation_id
        WHERE s.id > ${sinceEntry} AND o.volume_id = ${volumeId}
      LIMIT 1`.execute(db),
  );
  return rows.length > 0;
}
