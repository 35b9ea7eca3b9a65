import { sql } from 'kysely';
import type { JournalEntry, JsonObject } from '../operations/model';
import { requireEpoch } from './epoch';
import type { Epoch } from './ledger';
import type { Database } from './pool';
import { toEntry } from './rows';
import { DETACHING_STEPS, findStragglers, type Straggler } from './stragglers';
import { entriesAfter, insertEntries } from './write-journal';

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
 * Entries of the appliance with id > `after`. Ids are given out before their transactions commit, so a plain read could show 12
 * before 11 and a reader that goes on from 12 would never see 11. Every writer shares the lock on the appliance's row
 * (./epoch.ts): taking it alone for a moment means that nobody is between an id and its COMMIT, and all ids up to now count.
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

export async function readStragglers(database: Database, volumeId: string): Promise<Straggler[]> {
  const rows = await database.query((db) =>
    db
      .selectFrom('volume_operations as o')
      .innerJoin('volume_operation_steps as s', 's.operation_id', 'o.id')
      .selectAll('s')
      .where('o.volume_id', '=', volumeId)
      .where('o.status', 'in', ['completed', 'failed', 'cancelled'])
      .where('s.step', 'in', DETACHING_STEPS)
      .orderBy('s.id')
      .execute(),
  );
  return findStragglers(rows.map(toEntry));
}

export async function settleStraggler(
  database: Database,
  epoch: Epoch,
  parts: { operationId: string; step: string; data: JsonObject; at: number },
): Promise<void> {
  const { operationId, step, data, at } = parts;
  await database.transaction(async (tx) => {
    await requireEpoch(tx, epoch);
    // The lock makes concurrent settlers, and an earlier run of this one, visible before the next sequence is chosen.
    await sql`SELECT id FROM volume_operations WHERE id = ${operationId} FOR UPDATE`.execute(tx);
    const journal = await entriesAfter(tx, operationId, 0);
    const open = findStragglers(journal).some(
      (straggler) =>
        straggler.step === step && (data.job_id === undefined || straggler.jobId === data.job_id),
    );
    if (!open) return;
    const after = journal.at(-1)?.sequence ?? 0;
    await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after, at }, [
      { step, state: 'finished', data },
    ]);
  });
}
