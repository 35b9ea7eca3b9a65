import { sql, type Transaction } from 'kysely';
import type { JournalEntry, NewJournalEntry, Operation, OperationType } from '../operations/model';
import { DaemonError } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import { leaseLost } from './epoch';
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
  readonly room: Room;
}

/**
 * How many more operations may wait. Nobody else accepts for the appliance in this epoch, so after one count the queue can only
 * have grown by what was taken here: it is counted again when that is used up, not for every request.
 */
export class Room {
  private epoch = 0;
  private left = 0;

  constructor(private readonly max: number) {}

  isKnown(epoch: Epoch): boolean {
    return this.epoch === epoch.number && this.left > 0;
  }

  /** Takes a place; `waiting` is a fresh count, or null when `isKnown` was true. Throws QUEUE_FULL. */
  take(epoch: Epoch, waiting: number | null): void {
    if (waiting !== null) {
      this.epoch = epoch.number;
      this.left = Math.max(0, this.max - waiting);
    }
    if (this.left === 0) throw queueFull(this.max);
    this.left -= 1;
  }
}

/** Stores a request, or finds the operation it repeats (see Ledger.accept). */
export function accept<T extends OperationType>(
  parts: AcceptParts,
  epoch: Epoch,
  input: NewOperation<T>,
): Promise<Accepted> {
  const once = () => parts.database.transaction((tx) => acceptIn(tx, epoch, input, parts.room));
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
  room: Room,
): Promise<Accepted> {
  const seen = await look(tx, epoch, input, room);
  const repeated =
    (await byIdempotencyKey(tx, seen.sameKey, input)) ?? (await identicalLast(tx, seen.last, input));
  if (repeated) return repeated.operation.id === input.id ? itself(tx, repeated.operation) : repeated;
  room.take(epoch, seen.waiting);
  const at = new Date(input.at);
  const row = {
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
  };
  const inserted = await tx.insertInto('volume_operations').values(row).executeTakeFirstOrThrow();
  const [entry] = await insertEntries(
    tx,
    { applianceId: epoch.applianceId, operationId: input.id, after: 0, at: input.at },
    [firstEntry(input)],
  );
  return accepted(toOperation({ ...UNTOUCHED, ...row, sequence: Number(inserted.insertId) }), entry);
}

interface Seen {
  readonly sameKey: string | null;
  readonly last: string | null;
  /** null: not counted, there is room. */
  readonly waiting: number | null;
}

/**
 * The proof of ownership (as ./epoch.ts takes it) and everything that decides about the request, in one round trip: accepting is
 * what callers wait for.
 */
async function look(tx: Transaction<Tables>, epoch: Epoch, input: NewOperation, room: Room): Promise<Seen> {
  const same =
    input.volumeId === ''
      ? sql`FORCE INDEX (operations_by_body) WHERE o.request_hash = ${input.requestHash}`
      : sql`FORCE INDEX (operations_volume_queue) WHERE o.volume_id = ${input.volumeId}`;
  const count = room.isKnown(epoch)
    ? sql`NULL`
    : sql`(SELECT COUNT(*) FROM volume_operations w FORCE INDEX (operations_owner)
        WHERE w.appliance_id = ${epoch.applianceId} AND w.status = 'pending')`;
  const { rows } = await sql<{
    epoch: number;
    same_key: string | null;
    last: string | null;
    waiting: number | null;
  }>`
    SELECT a.epoch,
      (SELECT o.id FROM volume_operations o FORCE INDEX (unique_idempotency_key) WHERE o.appliance_id = ${epoch.applianceId} AND o.idempotency_key = ${input.idempotencyKey}) AS same_key,
      (SELECT o.id FROM volume_operations o ${same} AND o.appliance_id = a.id AND o.status IN ('pending', 'executing')
        ORDER BY o.sequence DESC LIMIT 1) AS last,
      ${count} AS waiting
    FROM appliances a WHERE a.id = ${epoch.applianceId} LOCK IN SHARE MODE`.execute(tx);
  const [row] = rows;
  if (!row || Number(row.epoch) !== epoch.number) throw leaseLost();
  return {
    sameKey: row.same_key,
    last: row.last,
    waiting: row.waiting === null ? null : Number(row.waiting),
  };
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

async function readRow(tx: Transaction<Tables>, id: string | null) {
  if (id === null) return null;
  return (
    (await tx.selectFrom('volume_operations').selectAll().where('id', '=', id).executeTakeFirst()) ?? null
  );
}

async function byIdempotencyKey(
  tx: Transaction<Tables>,
  id: string | null,
  input: NewOperation,
): Promise<Accepted | null> {
  const row = await readRow(tx, id);
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
  id: string | null,
  input: NewOperation,
): Promise<Accepted | null> {
  const row = await readRow(tx, id);
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

export function queueFull(pendingMax: number): DaemonError {
  return new DaemonError('QUEUE_FULL', `${pendingMax} operations are waiting already`, {
    details: { pending: pendingMax },
    retryAfterSeconds: 30,
  });
}

/** The columns of a row that nobody has worked on yet. */
const UNTOUCHED = {
  response: null,
  error: null,
  error_code: null,
  attempt: 0,
  next_attempt_at: null,
  wait_reason: null,
  cancel_requested: 0,
  completed_at: null,
};
