import { type CompiledQuery, type Kysely, sql } from 'kysely';
import { z } from 'zod';
import type { Epoch } from '../../model/ledger';
import type { Accepted, NewOperation } from '../../model/ledger-writes';
import { statementOnce } from '../compiled-once';
import type { StatementResult } from '../connection/packet';
import type { Database } from '../connection/pool';
import { entryRow } from '../journal/write-journal';
import type { Tables } from '../tables';
import { firstEntry, newOperation, newOperationRow } from './new-operation';

/**
 * Stores requests of which it is known that they repeat no unfinished one, in one round trip: nearly all
 * requests. Null when none is certain to be stored: another owner has taken over, an Idempotency-Key is used,
 * or the answer was lost, after which they may be there. Whoever asked has to look.
 */
export async function insertFresh(
  { kysely, packet }: Database,
  epoch: Epoch,
  inputs: readonly NewOperation[],
): Promise<Map<NewOperation, Accepted> | null> {
  const [first] = inputs;
  if (!first) return new Map();
  const rows = inputs.map((input) => newOperationRow(epoch.applianceId, input));
  const written = await packet('acceptance', [
    insertOperations(kysely, epoch, rows),
    insertFirstEntries(kysely, epoch, inputs),
    ...(inputs.length === 1 ? [] : [readNumbers(kysely, inputs)]),
  ]);
  if (!written) return null;
  const numbers = numbersOf(written, inputs);
  return new Map(
    inputs.flatMap((input) => {
      const given = numbers.get(input.id);
      if (!given) return [];
      const entry = { id: given.entryId, operationId: input.id, sequence: 1, at: input.at };
      return [
        [
          input,
          {
            operation: newOperation(epoch.applianceId, input, given.sequence),
            outcome: 'accepted',
            entry: { ...entry, ...firstEntry(input) },
          },
        ] as const,
      ];
    }),
  );
}

type OperationRow = ReturnType<typeof newOperationRow>;

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

/**
 * The rows in order of arrival, only under the epoch: otherwise nothing is found for the appliance of the
 * first, which must not be NULL. Until the packet has ended a take-over waits for the lock on that row.
 */
function insertOperations(
  db: Kysely<Tables>,
  { number }: Epoch,
  rows: readonly OperationRow[],
): CompiledQuery {
  const values = rows.flatMap(({ appliance_id, ...others }, index) => [
    ...(index === 0 ? [appliance_id, number] : [appliance_id]),
    ...Object.values(others),
  ]);
  return withRows(firstOperation(db, values), rows.length, OPERATION_COLUMNS);
}

const { appliance_id: _, ...ANY_ROW } = newOperationRow('', ANY);
const OPERATION_COLUMNS = Object.keys(ANY_ROW).length + 1;

const firstOperation = statementOnce((db) => {
  const columns = ['appliance_id', ...Object.keys(ANY_ROW)].map((name) => sql.ref(name));
  const owned = sql`(SELECT a.id FROM appliances a WHERE a.id = ${''} AND a.epoch = ${0} LOCK IN SHARE MODE)`;
  return sql`INSERT INTO volume_operations (${sql.join(columns)})
    VALUES (${sql.join([owned, ...Object.values(ANY_ROW)])})`.compile(db);
});

function insertFirstEntries(
  db: Kysely<Tables>,
  { applianceId }: Epoch,
  inputs: readonly NewOperation[],
): CompiledQuery {
  const values = inputs.flatMap((input) =>
    Object.values(
      entryRow({ applianceId, operationId: input.id, sequence: 1, at: input.at }, firstEntry(input)),
    ),
  );
  return withRows(ofFirstEntry(db, values), inputs.length, values.length / inputs.length);
}

const ofFirstEntry = statementOnce((db) =>
  db
    .insertInto('volume_operation_steps')
    .values(entryRow({ applianceId: '', operationId: '', sequence: 1, at: 0 }, firstEntry(ANY)))
    .compile(),
);

/** The INSERT of one row as one of several, whose values follow those of the first. */
function withRows(insert: CompiledQuery, rows: number, columns: number): CompiledQuery {
  const row = `, (?${', ?'.repeat(columns - 1)})`;
  return { ...insert, sql: insert.sql + row.repeat(rows - 1) };
}

/** The numbers that the database gave: those of an INSERT of several rows need not be consecutive. */
function readNumbers(db: Kysely<Tables>, inputs: readonly NewOperation[]): CompiledQuery {
  const numbers = ofNumbers(
    db,
    inputs.map(({ id }) => id),
  );
  return { ...numbers, sql: numbers.sql.replace('(?)', `(?${', ?'.repeat(inputs.length - 1)})`) };
}

const ofNumbers = statementOnce((db) =>
  sql`SELECT o.id, o.sequence, s.id AS entry FROM volume_operations o
    JOIN volume_operation_steps s ON s.operation_id = o.id WHERE o.id IN (${''})`.compile(db),
);

const NUMBERS = z.array(z.object({ id: z.string(), sequence: z.coerce.number(), entry: z.coerce.number() }));

function numbersOf(
  [operation, entry, numbers]: readonly StatementResult[],
  [first]: readonly NewOperation[],
): Map<string, { sequence: number; entryId: number }> {
  if (!first || !operation || !entry) return new Map();
  if (!numbers) return new Map([[first.id, { sequence: operation.id, entryId: entry.id }]]);
  return new Map(
    NUMBERS.parse(numbers.found).map(({ id, sequence, entry: entryId }) => [id, { sequence, entryId }]),
  );
}
