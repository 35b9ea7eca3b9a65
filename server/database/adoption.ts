import { sql } from 'kysely';
import type { Adoption, Epoch } from '../model/ledger';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';

/** See Ledger.readAdoption. */
export async function readAdoption(database: Database): Promise<Adoption | null> {
  const { rows } = await database.query((db) =>
    sql<{
      adopted_at: Date;
      shown_at: Date | null;
    }>`SELECT adopted_at, shown_at FROM volume_daemon_adoption`.execute(db),
  );
  const [row] = rows;
  return row ? { adoptedAt: row.adopted_at.getTime(), shownAt: row.shown_at?.getTime() ?? null } : null;
}

/** See Ledger.noteAdoptionShown. */
export async function noteAdoptionShown(database: Database, epoch: Epoch): Promise<void> {
  await database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await sql`UPDATE volume_daemon_adoption SET shown_at = CURRENT_TIMESTAMP(3) WHERE shown_at IS NULL`.execute(
      tx,
    );
  });
}
