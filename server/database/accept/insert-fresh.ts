import { type CompiledQuery, type Kysely, sql } from 'kysely';
import type { Accepted, Epoch, NewOperation } from '../../model/ledger';
import { statementOnce } from '../compiled-once';
import type { Database } from '../connection/pool';
import { insertSelect } from '../insert-select';
import { entryRow } from '../journal/write-journal';
import type { Tables } from '../tables';
import { firstEntry, newOperation, newOperationRow } from './new-operation';

/**
 * Stores those of the requests that repeat nothing, in one round trip: nearly all of them. The others (an
 * operation on the volume is unfinished, the Idempotency-Key is used, another owner has taken over) are not
 * in the answer and have written nothing; neither are those of a packet that failed, which may be stored.
 */
export async function insertFresh(
  database: Database,
  epoch: Epoch,
  inputs: readonly NewOperation[],
): Promise<Map<NewOperation, Accepted>> {
  const { kysely } = database;
  const rows = inputs.map((input) => ({ input, row: newOperationRow(epoch.applianceId, input) }));
  const statements = rows.flatMap(({ input, row }) => [
    insertOperation(kysely, epoch, row),
    insertFirstEntry(kysely, epoch, input),
  ]);
  const inserted = await database.packet('acceptance', statements);
  const accepted = new Map<NewOperation, Accepted>();
  for (const [index, { input, row }] of rows.entries()) {
    const operation = inserted?.[2 * index];
    const entry = inserted?.[2 * index + 1];
    if (operation?.rows !== 1 || entry?.rows !== 1) continue;
    accepted.set(input, {
      operation: newOperation(row, operation.id),
      outcome: 'accepted',
      entry: { id: entry.id, operationId: input.id, sequence: 1, at: input.at, ...firstEntry(input) },
    });
  }
  return accepted;
}

type OperationRow = ReturnType<typeof newOperationRow>;

function insertOperation(
  db: Kysely<Tables>,
  { applianceId, number }: Epoch,
  row: OperationRow,
): CompiledQuery {
  const insert = row.volume_id === '' ? ofBody : ofVolume;
  const same = row.volume_id === '' ? row.request_hash : row.volume_id;
  return insert(db, [...Object.values(row), applianceId, number, same, applianceId]);
}

/** Any request: the texts below are made with it. */
const ANY: NewOperation<'detach'> = {
  id: '',
  type: 'detach',
  volumeId: '',
  vmId: null,
  request: { volume_id: '' },
  idempotencyKey: null,
  requestHash: '',
  at: 0,
};

const ofVolume = insertUnlessUnfinished('operations_volume_queue', 'volume_id');
const ofBody = insertUnlessUnfinished('operations_by_body', 'request_hash');

/**
 * Writes only under the epoch, whose row it locks: a take-over waits until the packet has ended, and after it
 * finds another epoch. The index is named for the same reason as in the look: statistics lag behind
 * a queue that fills quickly.
 */
function insertUnlessUnfinished(index: string, column: 'volume_id' | 'request_hash') {
  return statementOnce((db) =>
    insertSelect(
      'volume_operations',
      newOperationRow('', ANY),
      sql`appliances a WHERE a.id = ${''} AND a.epoch = ${0} AND NOT EXISTS (
        SELECT 1 FROM volume_operations o FORCE INDEX (${sql.raw(index)})
        WHERE o.${sql.raw(column)} = ${''} AND o.appliance_id = ${''}
          AND o.status IN ('pending', 'executing'))
      LOCK IN SHARE MODE`,
    ).compile(db),
  );
}

/** Only after its operation, which may have been left out. */
function insertFirstEntry(db: Kysely<Tables>, { applianceId }: Epoch, input: NewOperation): CompiledQuery {
  const row = entryRow({ applianceId, operationId: input.id, sequence: 1, at: input.at }, firstEntry(input));
  return ofOperation(db, [...Object.values(row), input.id]);
}

const ofOperation = statementOnce((db) =>
  insertSelect(
    'volume_operation_steps',
    entryRow({ applianceId: '', operationId: '', sequence: 1, at: 0 }, firstEntry(ANY)),
    sql`volume_operations o WHERE o.id = ${''}`,
  ).compile(db),
);
