import { sql } from 'kysely';
import type { Epoch, MappingEffect } from '../model/ledger';
import type { JournalEntry, NewJournalEntry } from '../model/operation';
import type { Database } from './connection/pool';
import { applyEffects, type EffectParts } from './journal/apply-effects';
import { assertEpoch } from './journal/fencing';
import { correctTotals } from './operation-totals';

/** Effects outside an operation, and the entry that tells of them (see Ledger.repair). */
export async function repair(
  database: Database,
  epoch: Epoch,
  { effects, audit, at }: { effects: readonly MappingEffect[]; audit: NewJournalEntry; at: number },
  parts: EffectParts,
): Promise<JournalEntry> {
  const data = JSON.stringify(audit.data);
  let written = 0;
  await database.transaction(async (tx, attempt) => {
    await assertEpoch(tx, epoch);
    if (attempt.inDoubt) {
      // The locking read waits until the server has decided about the transaction whose COMMIT went unanswered.
      const { rows } =
        await sql`SELECT id FROM volume_operation_steps WHERE id = ${written} AND appliance_id = ${epoch.applianceId}
        AND operation_id IS NULL AND step = ${audit.step} FOR UPDATE`.execute(tx);
      if (rows.length > 0) return;
    }
    await applyEffects(tx, effects, at, parts);
    const inserted = await tx
      .insertInto('volume_operation_steps')
      .values({
        appliance_id: epoch.applianceId,
        operation_id: null,
        sequence: 0,
        step: audit.step,
        state: audit.state,
        data,
        created_at: new Date(at),
      })
      .executeTakeFirstOrThrow();
    written = Number(inserted.insertId);
  });
  return { ...audit, id: written, operationId: '', sequence: 0, at };
}

/**
 * Deletes ended operations (their journals go with them) and entries of the appliance itself, both up to `limit`; returns how many
 * operations. Rows of the daemon before this one belong to nobody and are pruned by everybody. The last batch puts the totals right.
 */
export async function prune(
  database: Database,
  epoch: Epoch,
  olderThan: number,
  limit: number,
): Promise<number> {
  const before = new Date(olderThan);
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    let deleted = 0;
    for (const appliance of [epoch.applianceId, '']) {
      const { numAffectedRows } =
        await sql`DELETE FROM volume_operations WHERE appliance_id = ${appliance} AND completed_at < ${before}
        AND status IN ('completed', 'failed', 'cancelled') ORDER BY completed_at LIMIT ${limit - deleted}`.execute(
          tx,
        );
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
