import { sql, type Transaction } from 'kysely';
import type { Epoch } from '../../model/ledger';
import { OPERATION_STATUSES, type Operation } from '../../model/operation';
import { isDuplicate } from '../connection/faults';
import type { Database } from '../connection/pool';
import { toOperation } from '../rows';
import type { Tables } from '../tables';
import { assertEpoch } from './fencing';
import { entriesAfter, entryRow } from './write-journal';

interface Claim {
  readonly limit: number;
  /** Wall clock ms. */
  readonly at: number;
  /** A fresh value, by which a claim whose COMMIT was never answered recognises its own work. */
  readonly token: string;
}

/**
 * Per volume the first unfinished operation, if it is pending (see Ledger.claim). The indexes are named,
 * because statistics lag behind a queue that fills quickly, and the wrong index makes this quadratic.
 */
export async function claimOperations(database: Database, epoch: Epoch, parts: Claim): Promise<Operation[]> {
  const { rows } = await database.query((db) =>
    sql<Candidate>`
      SELECT o.* FROM volume_operations o FORCE INDEX (operations_owner)
      WHERE o.appliance_id = ${epoch.applianceId} AND o.status = 'pending'
        AND (o.volume_id = '' OR (
          NOT EXISTS (SELECT 1 FROM volume_operations x FORCE INDEX (unique_executing_volume)
            WHERE x.executing_volume = o.volume_id)
          AND NOT EXISTS (SELECT 1 FROM volume_operations p FORCE INDEX (operations_volume_queue)
            WHERE p.volume_id = o.volume_id AND p.status = 'pending' AND p.appliance_id = o.appliance_id
              AND p.sequence < o.sequence)))
      ORDER BY o.sequence LIMIT ${parts.limit}`.execute(db),
  );
  if (rows.length === 0) return [];
  const ids = rows.map(({ id }) => id);
  const mine = await database.transaction(async (tx, attempt) => {
    await assertEpoch(tx, epoch);
    const claimed = await claimAll(tx, epoch, ids, parts);
    await journalClaims(tx, epoch, claimed, parts);
    const before = attempt.inDoubt ? ids.filter((id) => !claimed.includes(id)) : [];
    for (const id of before) if (await isMine(tx, id, parts.token)) claimed.push(id);
    return claimed;
  });
  // Of a row that is still pending nothing else changes.
  return rows
    .filter(({ id }) => mine.includes(id))
    .map((row) => toOperation({ ...row, status: 'executing', updated_at: new Date(parts.at) }));
}

interface Candidate {
  readonly id: string;
}

/** All at once, which nearly always works; one by one when a volume of theirs is executing already. */
async function claimAll(
  tx: Transaction<Tables>,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<string[]> {
  const all = await setExecuting(tx, epoch, ids, parts);
  if (all === ids.length) return [...ids];
  if (all === null) {
    const claimed: string[] = [];
    for (const id of ids) if ((await setExecuting(tx, epoch, [id], parts)) === 1) claimed.push(id);
    return claimed;
  }
  // Somebody was faster with some of them, and has journaled it; nobody has journaled ours yet.
  const { rows } = await sql<{ id: string }>`SELECT o.id FROM volume_operations o
    WHERE o.id IN (${sql.join(ids)}) AND o.status = 'executing' AND o.epoch = ${epoch.number} AND NOT EXISTS (
      SELECT 1 FROM volume_operation_steps s WHERE s.operation_id = o.id AND s.sequence = 2)`.execute(tx);
  return rows.map(({ id }) => id);
}

/** How many were pending; null when a volume is executing already, by its unique key: then nothing is changed. */
async function setExecuting(
  tx: Transaction<Tables>,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<number | null> {
  try {
    const updated = await tx
      .updateTable('volume_operations')
      .set({ status: 'executing', epoch: epoch.number, updated_at: new Date(parts.at) })
      .where('id', 'in', ids)
      .where('status', '=', 'pending')
      .executeTakeFirstOrThrow();
    return Number(updated.numUpdatedRows);
  } catch (error) {
    // Only this statement is undone; the transaction goes on.
    if (isDuplicate(error)) return null;
    throw error;
  }
}

/** The second entry of every journal. */
async function journalClaims(
  tx: Transaction<Tables>,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<void> {
  if (ids.length === 0) return;
  const { applianceId } = epoch;
  const data = { epoch: epoch.number, claim: parts.token };
  const rows = ids.map((operationId) =>
    entryRow(
      { applianceId, operationId, sequence: 2, at: parts.at },
      { step: 'operation', state: 'executing', data },
    ),
  );
  await tx.insertInto('volume_operation_steps').values(rows).execute();
}

/** An earlier run of this very claim was committed and its answer was lost. */
async function isMine(tx: Transaction<Tables>, id: string, token: string): Promise<boolean> {
  const [entry] = await entriesAfter(tx, id, 1);
  return entry?.state === 'executing' && entry.data.claim === token;
}

/** Everything of this appliance that is executing, re-leased to this epoch (see Ledger.resumable). */
export async function resumableOperations(database: Database, epoch: Epoch): Promise<Operation[]> {
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await holdUnknownStatuses(tx, epoch);
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

/**
 * An unfinished operation whose status this version does not know (another version or another program wrote it; ''
 * is what a lax session makes of a wrong word) is claimed by nobody and blocks nobody: nobody would hear of it. It
 * is held like any other row that is not understood. The statuses come from the index alone. IGNORE: while another
 * operation executes on its volume it has to wait for that one's end.
 */
async function holdUnknownStatuses(tx: Transaction<Tables>, { applianceId }: Epoch): Promise<void> {
  const { rows } = await sql<{ status: string }>`SELECT DISTINCT status FROM volume_operations
    WHERE appliance_id = ${applianceId}`.execute(tx);
  const known: readonly string[] = OPERATION_STATUSES;
  const unknown = rows.map(({ status }) => status).filter((status) => !known.includes(status));
  if (unknown.length === 0) return;
  await sql`UPDATE IGNORE volume_operations SET held_at = CURRENT_TIMESTAMP(3),
      held_reason = COALESCE(held_reason, CONCAT('its status "', status, '" is not known to this version')),
      status = 'executing'
    WHERE appliance_id = ${applianceId} AND status IN (${sql.join(unknown)}) AND completed_at IS NULL`.execute(
    tx,
  );
}
