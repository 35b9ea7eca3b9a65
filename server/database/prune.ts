import { type Kysely, type RawBuilder, sql, type Transaction } from 'kysely';
import { type Pruned, type Pruning, whyClocksDiffer } from '../model/age';
import type { Epoch } from '../model/ledger';
import type { Refusals } from '../model/ledger-writes';
import type { Database } from './connection/pool';
import { assertEpoch } from './journal/fencing';
import { writeRows } from './journal/write-rows';
import { correctTotals } from './operation-totals';
import { BY_VOLUME, PROOFS } from './own-volumes';
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
    const clocksDiffer = whyClocksDiffer(nowMs, localNowMs);
    if (clocksDiffer !== null) return { deleted: 0, refused: clocksDiffer };
    const before = new Date(nowMs - ageMs);
    let deleted = 0;
    const kept: Refusals = new Map();
    const upTo = await lastToPrune(tx, epoch, keepNewest);
    for (const appliance of upTo === null ? [] : [epoch.applianceId, '']) {
      const ids = await needless(tx, { appliance, before, upTo, limit: limit - deleted });
      if (ids.length === 0) continue;
      const keptBefore = kept.size;
      const remove = (which: RawBuilder<unknown>) =>
        sql`DELETE FROM volume_operations WHERE ${which}`.execute(tx);
      await writeRows(tx, sql`id IN (${sql.join(ids)})`, remove, kept);
      deleted += ids.length - (kept.size - keptBefore);
    }
    await pruneEntries(tx, epoch, before, pruning);
    if (deleted < limit) {
      for (const appliance of [epoch.applianceId, '']) await correctTotals(tx, appliance);
    }
    const [first] = kept.values();
    return { deleted, refused: first ? `operation ${first.operation.id} stays: ${first.reason}` : null };
  });
}

/**
 * The sequence up to which operations may be deleted; null: none. What was accepted after an operation that
 * has not ended, held ones included, may be a part of it that it still asks about.
 */
async function lastToPrune(
  tx: Transaction<Tables>,
  { applianceId }: Epoch,
  keepNewest: number,
): Promise<number | null> {
  const { rows } = await sql<{ sequence: number }>`SELECT sequence FROM volume_operations
    ORDER BY sequence DESC LIMIT 1 OFFSET ${keepNewest}`.execute(tx);
  const { rows: open } = await sql<{ sequence: number | null }>`SELECT MIN(sequence) AS sequence
    FROM volume_operations
    WHERE appliance_id = ${applianceId} AND status IN ('pending', 'executing')`.execute(tx);
  const newest = rows[0]?.sequence;
  if (newest === undefined) return null;
  const oldestOpen = open[0]?.sequence ?? null;
  return oldestOpen === null ? Number(newest) : Math.min(Number(newest), Number(oldestOpen) - 1);
}

/**
 * A delete into the trash has not deleted anything yet: the volume may have been recovered, also by others.
 */
const HAS_DELETED = sql`(later.type = 'delete' AND COALESCE(
  CASE WHEN JSON_VALID(later.response) THEN JSON_CONTAINS(later.response, 'true', '$.recoverable') END, 0) = 0)`;

/**
 * Ids of old operations that no guard relies on any more, oldest first. An operation that proves a volume to
 * be ours is needed until another one proves it, or has deleted the volume, and is old as well: a root disk
 * without that proof would go with its VM. Old is what both clocks say is: `completed_at` is of the machine,
 * which may have been years behind, and with the operation its Idempotency-Key is forgotten.
 */
async function needless(
  tx: Transaction<Tables>,
  old: {
    readonly appliance: string;
    readonly before: Date;
    readonly upTo: number | null;
    readonly limit: number;
  },
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`SELECT o.id FROM volume_operations o
    WHERE o.appliance_id = ${old.appliance} AND o.completed_at < ${old.before} AND o.sequence <= ${old.upTo}
      AND (o.accepted_at IS NULL OR o.accepted_at < ${old.before})
      AND o.status IN ('completed', 'failed', 'cancelled')
      AND NOT EXISTS (SELECT 1 FROM straggling_jobs j WHERE j.operation_id = o.id)
      AND (o.status <> 'completed' OR o.type NOT IN ${PROOFS} OR o.volume_id = '' OR EXISTS (
        SELECT 1 FROM volume_operations later ${BY_VOLUME}
        WHERE later.volume_id = o.volume_id AND later.sequence > o.sequence AND later.status = 'completed'
          AND (later.type IN ${PROOFS} OR ${HAS_DELETED}) AND later.completed_at < ${old.before}))
    ORDER BY o.completed_at LIMIT ${old.limit}`.execute(tx);
  return rows.map(({ id }) => id);
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
export async function databaseNow(tx: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ now: Date }>`SELECT CURRENT_TIMESTAMP(3) AS now`.execute(tx);
  return rows[0]?.now.getTime() ?? Number.NaN;
}
