import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { messageOf } from '../../core/errors';
import type { Epoch } from '../../model/ledger';
import type { Claimed, Refusals } from '../../model/ledger-writes';
import { type JournalEntry, OPERATION_STATUSES, type Operation } from '../../model/operation';
import { isDuplicate, isOfRow } from '../connection/faults';
import type { Database } from '../connection/pool';
import { insertSelect } from '../insert-select';
import { toEntry, toOperation } from '../rows';
import type { Tables } from '../tables';
import { appliance, assertEpoch, lockAppliance } from './fencing';
import { entryRow } from './write-journal';
import { writeRows } from './write-rows';

interface Claim {
  readonly limit: number;
  /** Wall clock ms. */
  readonly at: number;
  /** A fresh value, by which a claim whose COMMIT was never answered recognises its own work. */
  readonly token: string;
  /** See Ledger.claim. */
  readonly refused: Refusals;
}

/**
 * Per volume the first unfinished operation, if it is pending (see Ledger.claim). The indexes are named,
 * because statistics lag behind a queue that fills quickly, and the wrong index makes this quadratic.
 */
export async function claimOperations(database: Database, epoch: Epoch, parts: Claim): Promise<Claimed[]> {
  const { rows } = await database.query((db) =>
    sql<Candidate>`
      SELECT o.* FROM volume_operations o FORCE INDEX (operations_owner)
      WHERE o.appliance_id = ${epoch.applianceId} AND o.status = 'pending' ${butThose(epoch, parts.refused)}
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
  const entries =
    (await claimAtOnce(database, epoch, ids, parts)) ?? (await claimInSteps(database, epoch, rows, parts));
  const journals = new Map<string, JournalEntry[]>(ids.map((id) => [id, []]));
  for (const entry of entries) journals.get(entry.operationId)?.push(entry);
  return rows.flatMap((row) => {
    const journal = journals.get(row.id) ?? [];
    if (!journal.some(({ state, data }) => state === 'executing' && data.claim === parts.token)) return [];
    // Of a row that is still pending nothing else changes.
    const operation = toOperation({ ...row, status: 'executing', updated_at: new Date(parts.at) });
    return [{ operation, journal }];
  });
}

interface Candidate {
  readonly id: string;
}

/** Nor what waits behind one that has begun: no row of it may say so. */
function butThose({ applianceId }: Epoch, refused: Refusals): RawBuilder<unknown> {
  if (refused.size === 0) return sql``;
  const begun = [...refused.values()].filter(
    ({ operation }) => operation.status === 'executing' && operation.applianceId === applianceId,
  );
  const volumes = ['', ...begun.map(({ operation }) => operation.volumeId)];
  return sql`AND o.id NOT IN (${sql.join([...refused.keys()])})
    AND (o.volume_id = '' OR o.volume_id NOT IN (${sql.join(volumes)}))`;
}

/**
 * Claims them in one packet, which nearly always works, and reads their journals. Null when not all are
 * certain: one was cancelled meanwhile, a volume of theirs is executing already, another owner has taken
 * over, or the answer was lost.
 */
async function claimAtOnce(
  database: Database,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<readonly JournalEntry[] | null> {
  const { kysely } = database;
  const written = await database.packet('journal', [
    lockAppliance(epoch).compile(kysely),
    setExecuting(kysely, epoch, ids, parts)
      .where(sql<boolean>`EXISTS (${appliance(epoch)} AND epoch = ${epoch.number})`)
      .compile(),
    journalClaims(epoch, ids, parts).compile(kysely),
    journalsOf(kysely, ids).compile(),
  ]);
  const [, moved, journaled, journals] = written ?? [];
  const isAll = moved?.rows === ids.length && journaled?.rows === ids.length;
  return isAll && journals ? journals.found.map(toEntry) : null;
}

/**
 * Claims the rest of them; the journals also tell what the packet has claimed. One whose row is refused keeps
 * no other from being claimed.
 */
async function claimInSteps(
  database: Database,
  epoch: Epoch,
  rows: readonly Candidate[],
  parts: Claim,
): Promise<readonly JournalEntry[]> {
  const ids = rows.map(({ id }) => id);
  try {
    return await claimTogether(database, epoch, ids, parts);
  } catch (error) {
    if (!isOfRow(error)) throw error;
    const claimed: JournalEntry[] = [];
    for (const row of rows)
      if (rows.length === 1)
        parts.refused.set(row.id, { operation: toOperation(row), reason: messageOf(error) });
      else claimed.push(...(await claimInSteps(database, epoch, [row], parts)));
    return claimed;
  }
}

function claimTogether(
  database: Database,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<readonly JournalEntry[]> {
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await claimAll(tx, epoch, ids, parts);
    await journalClaims(epoch, ids, parts).execute(tx);
    return (await journalsOf(tx, ids).execute()).map(toEntry);
  });
}

/** All at once; one by one when a volume of theirs is executing already, by its unique key. */
async function claimAll(
  tx: Transaction<Tables>,
  epoch: Epoch,
  ids: readonly string[],
  parts: Claim,
): Promise<void> {
  try {
    await setExecuting(tx, epoch, ids, parts).execute();
  } catch (error) {
    if (!isDuplicate(error, 'unique_executing_volume')) throw error;
    // Only that statement is undone; the transaction goes on.
    if (ids.length > 1) for (const id of ids) await claimAll(tx, epoch, [id], parts);
  }
}

function setExecuting(db: Kysely<Tables>, epoch: Epoch, ids: readonly string[], parts: Claim) {
  return db
    .updateTable('volume_operations')
    .set({ status: 'executing', epoch: epoch.number, updated_at: new Date(parts.at) })
    .where('id', 'in', ids)
    .where('status', '=', 'pending');
}

/**
 * The second entry of every journal, for those that this epoch executes and that nobody has journaled yet.
 */
function journalClaims(epoch: Epoch, ids: readonly string[], parts: Claim): RawBuilder<unknown> {
  const { applianceId } = epoch;
  const data = { epoch: epoch.number, claim: parts.token };
  const entry = { step: 'operation', state: 'executing', data } as const;
  return insertSelect(
    'volume_operation_steps',
    {
      ...entryRow({ applianceId, operationId: '', sequence: 2, at: parts.at }, entry),
      operation_id: sql`o.id`,
    },
    sql`volume_operations o
      WHERE o.id IN (${sql.join(ids)}) AND o.status = 'executing' AND o.epoch = ${epoch.number} AND NOT EXISTS (
        SELECT 1 FROM volume_operation_steps s WHERE s.operation_id = o.id AND s.sequence = 2)
      ORDER BY o.sequence`,
  );
}

function journalsOf(db: Kysely<Tables>, ids: readonly string[]) {
  return db
    .selectFrom('volume_operation_steps')
    .selectAll()
    .where('operation_id', 'in', ids)
    .orderBy('operation_id')
    .orderBy('sequence');
}

/** Everything of this appliance that is executing, re-leased to this epoch (see Ledger.resumable). */
export async function resumableOperations(
  database: Database,
  epoch: Epoch,
  refused: Refusals,
): Promise<Operation[]> {
  return database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await holdUnknownStatuses(tx, epoch, refused);
    await leaseAgain(tx, epoch, refused);
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

async function leaseAgain(
  tx: Transaction<Tables>,
  { applianceId, number }: Epoch,
  refused: Refusals,
): Promise<void> {
  const others = sql`appliance_id = ${applianceId} AND status = 'executing' AND epoch <> ${number}`;
  const lease = (which: RawBuilder<unknown>) =>
    sql`UPDATE volume_operations SET epoch = ${number} WHERE ${which}`.execute(tx);
  await writeRows(tx, others, lease, refused);
}

/**
 * An unfinished operation whose status this version does not know (another version or another program wrote
 * it; '' is what a lax session makes of a wrong word) is claimed by nobody and blocks nobody: nobody would
 * hear of it. It is held like any other row that is not understood. Those that have ended are not looked at.
 * IGNORE: while another operation executes on its volume it has to wait for that one's end.
 */
async function holdUnknownStatuses(
  tx: Transaction<Tables>,
  { applianceId }: Epoch,
  refused: Refusals,
): Promise<void> {
  const { rows } = await sql<{ status: string }>`SELECT DISTINCT status
    FROM volume_operations FORCE INDEX (operations_ended)
    WHERE appliance_id = ${applianceId} AND completed_at IS NULL`.execute(tx);
  const known: readonly string[] = OPERATION_STATUSES;
  const unknown = rows.map(({ status }) => status).filter((status) => !known.includes(status));
  if (unknown.length === 0) return;
  const theirs = sql`appliance_id = ${applianceId} AND status IN (${sql.join(unknown)}) AND completed_at IS NULL`;
  const hold = (which: RawBuilder<unknown>) =>
    sql`UPDATE IGNORE volume_operations SET held_at = CURRENT_TIMESTAMP(3),
        held_reason = COALESCE(held_reason, CONCAT('its status "', status, '" is not known to this version')),
        status = 'executing'
      WHERE ${which}`.execute(tx);
  await writeRows(tx, theirs, hold, refused);
}
