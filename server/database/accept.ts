import type { Transaction } from 'kysely';
import { isTerminal, type NewJournalEntry, type Operation, type OperationType } from '../operations/model';
import { DaemonError } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import { requireEpoch } from './epoch';
import { isDuplicate } from './faults';
import type { Accepted, Epoch, NewOperation } from './ledger';
import type { Database } from './pool';
import { toOperation } from './rows';
import type { Tables } from './tables';
import { insertEntries } from './write-journal';

/** Stores a request, or finds the operation it repeats (see Ledger.accept). */
export async function accept<T extends OperationType>(database: Database, epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
  const once = () => database.transaction((tx) => acceptIn(tx, epoch, input));
  try {
    return await once();
  } catch (error) {
    // Two requests with the same Idempotency-Key at the same moment: the second one now finds the first.
    if (isDuplicate(error)) return once();
    if (!(error instanceof DaemonError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
    return settle(database, input, error);
  }
}

/** The connection broke, perhaps inside COMMIT: the row tells, if it can be read. */
async function settle<T extends OperationType>(database: Database, input: NewOperation<T>, error: DaemonError): Promise<Accepted> {
  const row = await database.query((db) => db.selectFrom('volume_operations').selectAll().where('id', '=', input.id).executeTakeFirst()).catch(() => undefined);
  if (row === undefined) throw error;
  return { operation: toOperation(row), outcome: 'accepted' };
}

async function acceptIn<T extends OperationType>(tx: Transaction<Tables>, epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
  await requireEpoch(tx, epoch);
  const repeated = (await byIdempotencyKey(tx, epoch, input)) ?? (await identicalLast(tx, input));
  if (repeated) return repeated;
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
  const entry: NewJournalEntry = { step: 'operation', state: 'pending', data: { type: input.type, volume_id: input.volumeId, vm_id: input.vmId } };
  const [written] = await insertEntries(tx, { applianceId: epoch.applianceId, operationId: input.id, after: 0, at: input.at }, [entry]);
  const operation = toOperation({ ...emptyRow(input, at), appliance_id: epoch.applianceId, sequence: Number(inserted.insertId) });
  return { operation, outcome: 'accepted', ...(written ? { entry: written } : {}) };
}

async function byIdempotencyKey(tx: Transaction<Tables>, epoch: Epoch, input: NewOperation): Promise<Accepted | null> {
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
  if (operation.createdAt < input.at - LIMITS.IDEMPOTENCY_TTL) {
    await tx.updateTable('volume_operations').set({ idempotency_key: null }).where('id', '=', row.id).execute();
    return null;
  }
  if (row.request_hash === input.requestHash) return { operation, outcome: 'replayed' };
  throw new DaemonError('IDEMPOTENCY_KEY_REUSED', `The Idempotency-Key was used for another request: operation ${operation.id}`, { details: { operation_id: operation.id } });
}

/**
 * Joins only the *last* operation waiting on the volume: detach → attach → detach must stay three. A create has no volume yet and
 * joins a create with the same body.
 */
async function identicalLast(tx: Transaction<Tables>, input: NewOperation): Promise<Accepted | null> {
  const unfinished = tx.selectFrom('volume_operations').selectAll().where('status', 'in', ['pending', 'executing']).orderBy('sequence', 'desc').limit(1);
  const row = input.volumeId === '' ? await unfinished.where('request_hash', '=', input.requestHash).executeTakeFirst() : await unfinished.where('volume_id', '=', input.volumeId).executeTakeFirst();
  if (!row) return null;
  const last: Operation = toOperation(row);
  const same = last.type === input.type && last.vmId === input.vmId && row.request_hash === input.requestHash;
  return same && !isTerminal(last.status) && !last.cancelRequested ? { operation: last, outcome: 'joined' } : null;
}

function emptyRow(input: NewOperation, at: Date) {
  return {
    id: input.id,
    type: input.type,
    status: 'pending',
    volume_id: input.volumeId,
    vm_id: input.vmId,
    request: { ...input.request },
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
