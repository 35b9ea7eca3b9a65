import { sql, type Transaction } from 'kysely';
import type { Operation } from '../operations/model';
import { requireEpoch } from './epoch';
import { isDuplicate } from './faults';
import type { Epoch } from './ledger';
import type { Database } from './pool';
import { toOperation } from './rows';
import type { Tables } from './tables';
import { entriesAfter, insertEntries } from './write-journal';

export interface Claim {
  readonly limit: number;
  /** Wall clock ms. */
  readonly at: number;
  /** A fresh value, by which a claim whose COMMIT was never answered recognises its own work. */
  readonly token: string;
}

/** Per volume the first operation that has not ended, when it is pending; in order of acceptance. */
export async function claim(database: Database, epoch: Epoch, parts: Claim): Promise<Operation[]> {
  const { rows } = await database.query((db) =>
    sql<{ id: string }>`
      SELECT o.id FROM volume_operations o
      WHERE o.appliance_id = ${epoch.applianceId} AND o.status = 'pending'
        AND (o.volume_id = '' OR (
          NOT EXISTS (SELECT 1 FROM volume_operations x WHERE x.executing_volume = o.volume_id)
          AND NOT EXISTS (SELECT 1 FROM volume_operations p
            WHERE p.volume_id = o.volume_id AND p.status = 'pending' AND p.appliance_id = o.appliance_id AND p.sequence < o.sequence)))
      ORDER BY o.sequence LIMIT ${parts.limit}`.execute(db),
  );
  const claimed: Operation[] = [];
  for (const { id } of rows) {
    const operation = await claimOne(database, epoch, id, parts);
    if (operation) claimed.push(operation);
  }
  return claimed;
}

/** null when somebody was faster, or the volume is executing already: the database decides, not the query above. */
async function claimOne(
  database: Database,
  epoch: Epoch,
  id: string,
  parts: Claim,
): Promise<Operation | null> {
  try {
    return await database.transaction(async (tx, attempt) => {
      await requireEpoch(tx, epoch);
      const updated = await tx
        .updateTable('volume_operations')
        .set({ status: 'executing', epoch: epoch.number, updated_at: new Date(parts.at) })
        .where('id', '=', id)
        .where('status', '=', 'pending')
        .executeTakeFirstOrThrow();
      if (updated.numUpdatedRows === 0n) {
        if (!attempt.inDoubt || !(await isMine(tx, id, parts.token))) return null;
      } else {
        const entry = {
          step: 'operation',
          state: 'executing' as const,
          data: { epoch: epoch.number, claim: parts.token },
        };
        await insertEntries(tx, { applianceId: epoch.applianceId, operationId: id, after: 1, at: parts.at }, [
          entry,
        ]);
      }
      return toOperation(
        await tx.selectFrom('volume_operations').selectAll().where('id', '=', id).executeTakeFirstOrThrow(),
      );
    });
  } catch (error) {
    if (isDuplicate(error)) return null;
    throw error;
  }
}

async function isMine(tx: Transaction<Tables>, id: string, token: string): Promise<boolean> {
  const [entry] = await entriesAfter(tx, id, 1);
  return entry?.state === 'executing' && entry.data.claim === token;
}

/** Everything of this appliance that is executing, re-leased to this epoch. */
export async function resumable(database: Database, epoch: Epoch): Promise<Operation[]> {
  return database.transaction(async (tx) => {
    await requireEpoch(tx, epoch);
    await tx
      .updateTable('volume_operations')
      .set({ epoch: epoch.number })
      .where('appliance_id', '=', epoch.applianceId)
      .where('status', '=', 'executing')
      .where('epoch', '<>', epoch.number)
      .execute();
    const rows = await tx
      .selectFrom('volume_operations')
      .selectAll()
      .where('appliance_id', '=', epoch.applianceId)
      .where('status', '=', 'executing')
      .orderBy('sequence')
      .execute();
    return rows.map(toOperation);
  });
}
