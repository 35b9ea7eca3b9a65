import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';
import { correctTotals } from './operation-totals';

/**
 * See Ledger.prune; deletes up to `limit` entries of the appliance itself, too. Rows of the previous daemon
 * belong to no appliance and are pruned by every owner. The last batch corrects the totals.
 */
export async function prune(
  database: Database,
  epoch: Epoch,
  olderThanMs: number,
  limit: number,
): Promise<number> {
  const before = new Date(olderThanMs);
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    let deleted = 0;
    for (const appliance of [epoch.applianceId, '']) {
      const { numAffectedRows } = await sql`DELETE FROM volume_operations
        WHERE appliance_id = ${appliance} AND completed_at < ${before}
          AND status IN ('completed', 'failed', 'cancelled')
        ORDER BY completed_at LIMIT ${limit - deleted}`.execute(tx);
      deleted += Number(numAffectedRows ?? 0n);
    }
    await sql`DELETE FROM volume_operation_steps WHERE appliance_id = ${epoch.applianceId} AND operation_id IS NULL
      AND created_at < ${before} ORDER BY id LIMIT ${limit}`.execute(tx);
    if (deleted < limit) {
      for (const appliance of [epoch.applianceId, '']) await correctTotals(tx, appliance);
    }
    return deleted;
  });
}
