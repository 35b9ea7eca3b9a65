import { sql, type Transaction } from 'kysely';
import type { JournalEntry, NewJournalEntry, Operation, OperationType } from '../operations/model';
import { DaemonError } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import { requireEpoch } from './epoch';
import { isDuplicate } from './faults';
import type { Accepted, Epoch, NewOperation } from './ledger';
import type { Database } from './pool';
import { toOperation } from './rows';
import type { Tables } from './tables';
import type { Turns } from './turns';
import { entriesAfter, insertEntries } from './write-journal';

export interface AcceptParts {
  readonly database: Database;
  /**
   * Requests that might be identical take turns, so that a doubled request finds the first one committed. In memory is enough:
   * the epoch makes this process the only one that accepts for the appliance.
   */
  readonly turns: Turns;
  readonly pendingMax: number;
}

/** Stores a request, or finds the operation it repeats (see Ledger.accept). */
export function accept<T extends OperationType>(
  parts: AcceptParts,
  epoch: Epoch,
  input: NewOperation<T>,
): Promise<Accepted> {
  const once = () => parts.database.transaction((tx) => acceptIn(tx, epoch, input, parts.pendingMax));
  return parts.turns.take(input.volumeId === '' ? input.requestHash : input.volumeId, async () => {
    try {
      return await once();
    } catch (error) {
      // Our own row, when the COMMIT had gone unanswered (the insert waited for it), or a request that took the same
      // Idempotency-Key a moment ago: either is found now.
      if (isDuplicate(error)) return once();
      throw error;
    }
  });
}

async function acceptIn<T extends OperationType>(
  tx: Transaction<Tables>,
  epoch: Epoch,
  input: NewOperation<T>,
  pendingMax: number,
): Promise<Accepted> {
  await requireEpoch(tx, epoch);
  const repeated = (await byIdempotencyKey(tx, epoch, input)) ?? (await identicalLast(tx, epoch, input));
  if (repeated) return repeated.operation.id === input.id ? itself(tx, repeated.operation) : repeated;
  await refuseWhenFull(tx, epoch, pendingMax);
  const at = new Date(input.at);
  const inserted = await tx
    .insertInto('volume_operations')
    .values({
      id: input.id,
      appliance_id: epoch.applianceId,
      type: input.type,
      status: 'pending',
      volume_id: input.volumeId,
      vm_id: input.vmId,
      request: JSON.stringify(input.request),
      idempotency_key: input.idempotencyKey,
      request_hash: input.requestHash,
      created_at: at,
      updated_at: at,
    })
    .executeTakeFirstOrThrow();
  const [entry] = await insertEntries(
    tx,
    { applianceId: epoch.applianceId, operationId: input.id, after: 0, at: input.at },
    [firstEntry(input)],
  );
  const operation = toOperation({
    ...emptyRow(input, at),
    appliance_id: epoch.applianceId,
    sequence: Number(inserted.insertId),
  });
  return accepted(operation, entry);
}

/** What the journal of an operation begins with. */
export function firstEntry(input: NewOperation): NewJournalEntry {
  return {
    step: 'operation',
    state: 'pending',
    data: { type: input.type, volume_id: input.volumeId, vm_id: input.vmId },
  };
}

/** An earlier run of this very acceptance had been committed. */
async function itself(tx: Transaction<Tables>, operation: Operation): Promise<Accepted> {
  const [entry] = await entriesAfter(tx, operation.id, 0);
  return accepted(operation, entry);
}

function accepted(operation: Operation, entry: JournalEntry | undefined): Accepted {
  return { operation, outcome: 'accepted', ...(entry ? { entry } : {}) };
}

async function byIdempotencyKey(
  tx: Transaction<Tables>,
  epoch: Epoch,
  input: NewOperation,
): Promise<Accepted | null> {
  if (input.idempotencyKey === null) return null;
  const row = await tx
    .selectFrom('volume_operations')
    .selectAll()
    .where('appliance_id', '=', epoch.applianceId)
    .where('idempotency_key', '=', input.idempotencyKey)
    .forUpdate()
    .executeTakeFirst();
  if (!row) return null;
  const operation = toOperation(row);
  if (operation.createdAt <= input.at - LIMITS.IDEMPOTENCY_TTL) {
    await tx
      .updateTable('volume_operations')
      .set({ idempotency_key: null })
      .where('id', '=', row.id)
      .execute();
    return null;
  }
  if (row.request_hash === input.requestHash) return { operation, outcome: 'replayed' };
  throw keyReused(operation.id);
}

export function keyReused(operationId: string): DaemonError {
  return new DaemonError(
    'IDEMPOTENCY_KEY_REUSED',
    `The Idempotency-Key was used for another request: operation ${operationId}`,
    { details: { operation_id: operationId } },
  );
}

/**
 * Joins only the *last* operation not ended on the volume: detach → attach → detach must stay three. A create has no volume yet
 * and joins a create with the same body.
 */
async function identicalLast(
  tx: Transaction<Tables>,
  epoch: Epoch,
  input: NewOperation,
): Promise<Accepted | null> {
  const unfinished = tx
    .selectFrom('volume_operations')
    .selectAll()
    .where('appliance_id', '=', epoch.applianceId)
    .where('status', 'in', ['pending', 'executing'])
    .orderBy('sequence', 'desc')
    .limit(1);
  const row =
    input.volumeId === ''
      ? await unfinished.where('request_hash', '=', input.requestHash).executeTakeFirst()
      : await unfinished.where('volume_id', '=', input.volumeId).executeTakeFirst();
  if (!row) return null;
  const last = toOperation(row);
  return mayJoin(last, row.request_hash, input) ? { operation: last, outcome: 'joined' } : null;
}

/** Is the last unfinished operation what is asked for? One that is being cancelled will not do it. */
export function mayJoin(last: Operation, lastHash: string | null, input: NewOperation): boolean {
  return (
    last.type === input.type &&
    last.vmId === input.vmId &&
    lastHash === input.requestHash &&
    !last.cancelRequested
  );
}

async function refuseWhenFull(tx: Transaction<Tables>, epoch: Epoch, pendingMax: number): Promise<void> {
  // The inner LIMIT keeps the count as cheap as the queue is short.
  const { rows } = await sql<{ n: number }>`SELECT COUNT(*) AS n FROM (SELECT 1 FROM volume_operations
    WHERE appliance_id = ${epoch.applianceId} AND status = 'pending' LIMIT ${pendingMax}) AS waiting`.execute(
    tx,
  );
  if (Number(rows[0]?.n ?? 0) >= pendingMax) throw queueFull(pendingMax);
}

export function queueFull(pendingMax: number): DaemonError {
  return new DaemonError('QUEUE_FULL', `${pendingMax} operations are waiting already`, {
    details: { pending: pendingMax },
    retryAfterSeconds: 30,
  });
}

function emptyRow(input: NewOperation, at: Date) {
  return {
    id: input.id,
    type: input.type,
    status: 'pending',
    volume_id: input.volumeId,
    vm_id: input.vmId,
    request: JSON.stringify(input.request),
    response: null,
    error: null,
    error_code: null,
    attempt: 0,
    next_attempt_at: null,
    wait_reason: null,
    idempotency_key: input.idempotencyKey,
    cancel_requested: 0,
    created_at: at,
    updated_at: at,
    completed_at: null,
  };
}
