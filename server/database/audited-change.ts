import { sql } from 'kysely';
import type { Epoch } from '../model/ledger';
import type { MappingEffect } from '../model/ledger-writes';
import type { JournalEntry, NewJournalEntry } from '../model/operation';
import type { Database } from './connection/pool';
import { applyEffects } from './journal/apply-effects';
import { assertEpoch } from './journal/fencing';
import { entryRow } from './journal/write-journal';
import type { Neighbourhood } from './neighbours';

/** See Ledger.auditedChange. */
export async function auditedChange(
  database: Database,
  epoch: Epoch,
  { effects, audit, at }: { effects: readonly MappingEffect[]; audit: NewJournalEntry; at: number },
  parts: Neighbourhood,
): Promise<JournalEntry> {
  let written = 0;
  await database.transaction(async (tx, attempt) => {
    await assertEpoch(tx, epoch);
    if (attempt.inDoubt) {
      // This locking read waits until the server has decided about the unanswered COMMIT.
      const { rows } = await sql`SELECT id FROM volume_operation_steps WHERE id = ${written}
        AND appliance_id = ${epoch.applianceId} AND operation_id IS NULL AND step = ${audit.step} FOR UPDATE`.execute(
        tx,
      );
      if (rows.length > 0) return;
    }
    await applyEffects(tx, effects, at, parts);
    const inserted = await tx
      .insertInto('volume_operation_steps')
      .values(entryRow({ applianceId: epoch.applianceId, operationId: null, sequence: 0, at }, audit))
      .executeTakeFirstOrThrow();
    written = Number(inserted.insertId);
  });
  return { ...audit, id: written, operationId: '', sequence: 0, at };
}
