import { type CompiledQuery, sql } from 'kysely';
import type { Accepted, Epoch, NewOperation } from '../../model/ledger';
import type { Database } from '../connection/pool';
import { insertSelect } from '../insert-select';
import { entryRow } from '../journal/write-journal';
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
  const rows = inputs.map((input) => ({ input, row: newOperationRow(epoch.applianceId, input) }));
  const statements = rows.flatMap(({ input, row }) => [
    insertOperation(database, epoch, row),
    insertFirstEntry(database, epoch, input),
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

/**
 * Writes only under the epoch, whose row it locks: a take-over waits until the packet has ended, and after it
 * finds another epoch. The index is named for the same reason as in the look: statistics lag behind
 * a queue that fills quickly.
 */
function insertOperation(
  { kysely }: Database,
  epoch: Epoch,
  row: ReturnType<typeof newOperationRow>,
): CompiledQuery {
  const [index, column, value] =
    row.volume_id === ''
      ? ['operations_by_body', 'request_hash', row.request_hash]
      : ['operations_volume_queue', 'volume_id', row.volume_id];
  return insertSelect(
    'volume_operations',
    row,
    sql`appliances a WHERE a.id = ${epoch.applianceId} AND a.epoch = ${epoch.number} AND NOT EXISTS (
      SELECT 1 FROM volume_operations o FORCE INDEX (${sql.raw(index)})
      WHERE o.${sql.raw(column)} = ${value} AND o.appliance_id = ${epoch.applianceId}
        AND o.status IN ('pending', 'executing'))
    LOCK IN SHARE MODE`,
  ).compile(kysely);
}

/** Only after its operation, which may have been left out. */
function insertFirstEntry({ kysely }: Database, { applianceId }: Epoch, input: NewOperation): CompiledQuery {
  const row = entryRow({ applianceId, operationId: input.id, sequence: 1, at: input.at }, firstEntry(input));
  return insertSelect(
    'volume_operation_steps',
    row,
    sql`volume_operations o WHERE o.id = ${input.id}`,
  ).compile(kysely);
}
