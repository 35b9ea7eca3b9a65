import { sql, type Transaction } from 'kysely';
import { type Epoch, type Pruned, type Pruning, whyClocksDiffer } from '../model/ledger';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';
import { correctTotals } from './operation-totals';
import type { Tables } from './tables';

/**
 * See Ledger.prune; deletes up to `limit` entries of the appliance itself, too. Rows of the previous daemon
 * belong to no appliance and are pruned by every owner. The last batch corrects the totals.
 */
export async function prune(database: Database, epoch: Epoch, pruning: Pruning): Promise<Pruned> {
  const { ageMs, localNowMs, keepNewest, limit } = pruning;
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    const nowMs = await databaseNow(tx);
    const refused = whyClocksDiffer(nowMs, localNowMs);
    if (refused !== null) return { deleted: 0, refused };
    const before = new Date(nowMs - ageMs);
    let deleted = 0;
    const { rows: newest } = await sql<{ sequence: number }>`SELECT sequence FROM volume_operations
      ORDER BY sequence DESC LIMIT 1 OFFSET ${keepNewest}`.execute(tx);
    for (const appliance of newest[0] ? [epoch.applianceId, ''] : []) {
      const { numAffectedRows } = await sql`DELETE FROM volume_operations
        WHERE appliance_id = ${appliance} AND completed_at < ${before} AND sequence <= ${newest[0]?.sequence}
          AND status IN ('completed', 'failed', 'cancelled')
        ORDER BY completed_at LIMIT ${limit - deleted}`.execute(tx);
      deleted += Number(numAffectedRows ?? 0n);
    }
    await pruneEntries(tx, epoch, before, pruning);
    if (deleted < limit) {
      for (const appliance of [epoch.applianceId, '']) await correctTotals(tx, appliance);
    }
    return { deleted, refused: null };
  });
}

/** Entries of no operation (sync, exports API). */
async function pruneEntries(
  tx: Transaction<Tables>,
  { applianceId }: Epoch,
  before: Date,
  { keepNewest, limit }: Pruning,
): Promise<void> {
  const { rows } = await sql<{ id: number }>`SELECT id FROM volume_operation_steps
    WHERE appliance_id = ${applianceId} ORDER BY id DESC LIMIT 1 OFFSET ${keepNewest}`.execute(tx);
  const [last] = rows;
  if (!last) return;
  await sql`DELETE FROM volume_operation_steps WHERE appliance_id = ${applianceId} AND operation_id IS NULL
    AND created_at < ${before} AND id <= ${last.id} ORDER BY id LIMIT ${limit}`.execute(tx);
}

/** Wall clock ms of the database server. */
export async function databaseNow(tx: Transaction<Tables>): Promise<number> {
  const { rows } = await sql<{ now: Date }>`SELECT CURRENT_TIMESTAMP(3) AS now`.execute(tx);
  return rows[0]?.now.getTime() ?? Number.NaN;
}
