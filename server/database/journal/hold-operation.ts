import { sql, type Transaction } from 'kysely';
import { LIMITS } from '../../core/limits';
import { storedText } from '../../model/changed-operation';
import { type Crash, crashText, type Epoch, type Release } from '../../model/ledger';
import { type Caller, callerNames, type JournalEntry } from '../../model/operation';
import type { Attempt, Database } from '../connection/pool';
import { addToTotals } from '../operation-totals';
import type { Tables } from '../tables';
import { assertEpoch } from './fencing';
import { rememberOpenJobs } from './open-jobs';
import { whatIsLeft } from './what-is-left';
import { entriesAfter, insertEntries } from './write-journal';

/** See Ledger.hold. */
export async function holdOperation(
  database: Database,
  epoch: Epoch,
  operationId: string,
  reason: string,
): Promise<void> {
  await database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    await sql`UPDATE volume_operations SET held_reason = ${storedText(reason)}, held_at = CURRENT_TIMESTAMP(3)
      WHERE id = ${operationId} AND appliance_id = ${epoch.applianceId} AND status = 'executing'
        AND held_reason IS NULL`.execute(tx);
  });
}

/** See Ledger.noteCrash. */
export async function noteCrash(
  database: Database,
  epoch: Epoch,
  operationId: string,
  { progress, error }: Crash,
): Promise<void> {
  await database.transaction(async (tx) => {
    await assertEpoch(tx, epoch);
    const row = await tx
      .selectFrom('volume_operations')
      .select(['crashes', 'crash_sequence'])
      .where('id', '=', operationId)
      .where('status', '=', 'executing')
      .where('epoch', '=', epoch.number)
      .forUpdate()
      .executeTakeFirst();
    if (!row) return;
    const crashes = Number(row.crash_sequence) === progress ? Number(row.crashes) + 1 : 1;
    const held = crashes >= LIMITS.CRASHES_UNTIL_HELD;
    await tx
      .updateTable('volume_operations')
      .set({
        crashes,
        crash_sequence: progress,
        ...(held
          ? { held_reason: storedText(crashText(crashes, error)), held_at: sql<Date>`CURRENT_TIMESTAMP(3)` }
          : {}),
      })
      .where('id', '=', operationId)
      .execute();
  });
}

/** See Ledger.retryHeld. */
export async function retryHeld(
  database: Database,
  epoch: Epoch,
  operationId: string,
  { caller, at: now }: { readonly caller: Caller | null; readonly at: number },
): Promise<Release> {
  return database.transaction(async (tx, attempt) => {
    const held = await lockHeld(tx, epoch, operationId, { attempt, because: null });
    if (typeof held === 'string') return held;
    await tx
      .updateTable('volume_operations')
      .set({ held_reason: null, held_at: null, crashes: 0 })
      .where('id', '=', operationId)
      .execute();
    await insertEntries(tx, { ...held, operationId, at: now }, [
      {
        step: 'operation',
        state: 'note',
        data: { released: 'retry', held: held.reason, ...callerNames(caller) },
      },
    ]);
    return 'released';
  });
}

/** See Ledger.abandonHeld. */
export async function abandonHeld(
  database: Database,
  epoch: Epoch,
  operationId: string,
  {
    caller,
    at: now,
    because,
  }: { readonly caller: Caller | null; readonly at: number; readonly because: string | null },
): Promise<Release> {
  return database.transaction(async (tx, attempt) => {
    const held = await lockHeld(tx, epoch, operationId, { attempt, because });
    if (typeof held === 'string') return held;
    const at = new Date(now);
    const error = abandonedText(held.reason, held.journal);
    await tx
      .updateTable('volume_operations')
      .set({
        status: 'failed',
        error,
        error_code: 'OPERATION_ABANDONED',
        updated_at: at,
        completed_at: at,
        next_attempt_at: null,
        wait_reason: null,
        held_reason: null,
        held_at: null,
      })
      .where('id', '=', operationId)
      .execute();
    await insertEntries(tx, { ...held, operationId, at: now }, [
      {
        step: 'operation',
        state: 'failed',
        data: { error, error_code: 'OPERATION_ABANDONED', ...callerNames(caller) },
      },
    ]);
    await addToTotals(tx, operationId);
    await rememberOpenJobs(tx, operationId, held.journal);
    return 'released';
  });
}

/**
 * The error of an operation that was abandoned: why it was held, or ended unheld, and what of it may be left.
 */
export function abandonedText(reason: string, journal: readonly JournalEntry[]): string {
  return storedText(
    `Abandoned while it was held (${reason}). What it has left: ${whatIsLeft(journal)}. Look at the volume before it is used.`,
  );
}

interface Held {
  readonly applianceId: string;
  readonly reason: string;
  readonly journal: readonly JournalEntry[];
  /** Sequence of the last entry. */
  readonly after: number;
}

async function lockHeld(
  tx: Transaction<Tables>,
  epoch: Epoch,
  operationId: string,
  { attempt, because }: { readonly attempt: Attempt; readonly because: string | null },
): Promise<Held | Release> {
  await assertEpoch(tx, epoch);
  const { applianceId } = epoch;
  const row = await tx
    .selectFrom('volume_operations')
    .select(['status', 'held_reason'])
    .where('id', '=', operationId)
    .where('appliance_id', '=', applianceId)
    .forUpdate()
    .executeTakeFirst();
  if (!row) return 'missing';
  // An earlier run of this very call was committed, and its answer was lost.
  const isOpen = row.status === 'executing' || (because !== null && row.status === 'pending');
  const reason = row.held_reason ?? because;
  if (reason === null || !isOpen) return attempt.inDoubt ? 'released' : 'not-held';
  const journal = await entriesAfter(tx, operationId, 0);
  return { applianceId, reason, journal, after: journal.at(-1)?.sequence ?? 0 };
}
