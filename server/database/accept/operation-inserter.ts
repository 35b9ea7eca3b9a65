import { type RawBuilder, sql, type Transaction } from 'kysely';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { hasKeyExpired } from '../../model/age';
import type { Epoch } from '../../model/ledger';
import type { Accepted, NewOperation } from '../../model/ledger-writes';
import type { OperationType } from '../../model/operation';
import { isDuplicate } from '../connection/faults';
import type { Database } from '../connection/pool';
import { leaseLost } from '../journal/fencing';
import { entriesAfter, entryRow } from '../journal/write-journal';
import { databaseNow } from '../prune';
import { toOperation } from '../rows';
import type { Tables } from '../tables';
import { keyReused, mayJoin } from './deduplication';
import { type Answer, GroupCommit } from './group-commit';
import { insertFresh } from './insert-fresh';
import { KnownQueue, type UnfinishedRequest } from './known-queue';
import { firstEntry, newOperation, newOperationRow } from './new-operation';

/** Stores requests, or finds the operations they repeat (see Ledger.accept). */
export class OperationInserter {
  /**
   * Requests that might be identical run one after another, so that a doubled request finds the first one
   * committed. In memory is enough: by its epoch this process is the only one that accepts for the appliance.
   */
  private readonly mutex = new KeyedMutex();
  private readonly group: GroupCommit;
  private readonly queue: KnownQueue;

  constructor(
    private readonly database: Database,
    pendingMax: number,
  ) {
    this.queue = new KnownQueue(pendingMax);
    this.group = new GroupCommit((epoch, inputs) => this.acceptGroup(epoch, inputs));
  }

  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
    return this.mutex.run(input.volumeId === '' ? input.requestHash : input.volumeId, async () => {
      try {
        return await this.group.add(epoch, input);
      } catch (error) {
        // The duplicate is our own row (its COMMIT was not answered), or the row of a request that took the
        // same Idempotency-Key a moment ago: the second try finds either.
        if (isDuplicate(error)) return this.group.add(epoch, input);
        throw error;
      }
    });
  }

  /** The end of an operation is durable: a request like its own begins a new one. */
  ended(operationId: string): void {
    this.queue.ended(operationId);
  }

  /** What repeats nothing goes as one packet; for the rest a transaction looks first. */
  private async acceptGroup(epoch: Epoch, inputs: readonly NewOperation[]): Promise<Answer[]> {
    const { database, queue } = this;
    try {
      const answers = new Map<NewOperation, Answer>(await this.insertUnrepeated(epoch, inputs));
      const others = inputs.filter((input) => !answers.has(input));
      if (others.length > 0) {
        const found = await database.transaction((tx) => acceptAll(tx, epoch, others, queue));
        for (const [input, answer] of found) answers.set(input, answer);
      }
      return inputs.map((input) => answers.get(input) ?? leaseLost());
    } catch (error) {
      // What is stored is not known.
      queue.forget();
      throw error;
    }
  }

  /** Those of which it is known that they repeat nothing: none before the first look of an epoch. */
  private async insertUnrepeated(
    epoch: Epoch,
    inputs: readonly NewOperation[],
  ): Promise<ReadonlyMap<NewOperation, Accepted>> {
    const { database, queue } = this;
    if (!queue.isKnown(epoch, inputs.length)) return new Map();
    const fresh = inputs.filter((input) => !queue.mayRepeat(input.requestHash));
    for (const { id, requestHash } of fresh) queue.note(id, requestHash);
    const stored = (await insertFresh(database, epoch, fresh)) ?? new Map<NewOperation, Accepted>();
    queue.taken(stored.size);
    return stored;
  }
}

/** One transaction for all: one query, one insert of the new operations, one of their first entries. */
async function acceptAll(
  tx: Transaction<Tables>,
  epoch: Epoch,
  inputs: readonly NewOperation[],
  queue: KnownQueue,
): Promise<Map<NewOperation, Answer>> {
  const known = queue.isKnown(epoch, inputs.length);
  const seen = await look(tx, epoch, inputs, !known);
  if (seen.waiting !== null) queue.count(epoch, seen.waiting);
  if (!queue.knowsRequests(epoch)) queue.learn(epoch, await readUnfinished(tx, epoch));
  const answers = new Map<NewOperation, Answer>();
  const fresh: NewOperation[] = [];
  for (const input of inputs) {
    const earlier = await repeated(tx, seen.rows, input);
    const isStored = earlier !== null && 'outcome' in earlier && earlier.outcome === 'accepted';
    if (isStored) queue.taken(1);
    else queue.ended(input.id);
    if (earlier) answers.set(input, earlier);
    else if (!queue.take()) answers.set(input, queue.full);
    else {
      queue.note(input.id, input.requestHash);
      fresh.push(input);
    }
  }
  for (const [input, accepted] of await insert(tx, epoch, fresh)) answers.set(input, accepted);
  return answers;
}

/** The requests that an identical one may join. */
async function readUnfinished(tx: Transaction<Tables>, { applianceId }: Epoch): Promise<UnfinishedRequest[]> {
  const { rows } = await sql<UnfinishedRequest>`
    SELECT o.id, o.request_hash AS hash FROM volume_operations o FORCE INDEX (operations_owner)
    WHERE o.appliance_id = ${applianceId} AND o.status IN ('pending', 'executing')`.execute(tx);
  return rows;
}

/** What the look finds about an earlier operation. */
interface Row {
  readonly id: string;
  readonly sequence: number;
  readonly status: string;
  readonly volume_id: string;
  readonly request_hash: string | null;
  readonly idempotency_key: string | null;
}

/**
 * The check of the epoch and everything that decides about the requests, in one round trip, because callers
 * wait for it. The derived table keeps the locking clause from the earlier operations.
 */
async function look(
  tx: Transaction<Tables>,
  epoch: Epoch,
  inputs: readonly NewOperation[],
  count: boolean,
): Promise<{ rows: Row[]; waiting: number | null }> {
  const { applianceId } = epoch;
  const waiting = count
    ? sql`(SELECT COUNT(*) FROM volume_operations w FORCE INDEX (operations_owner)
        WHERE w.appliance_id = ${applianceId} AND w.status = 'pending')`
    : sql`NULL`;
  const { rows } = await sql<{ epoch: number; waiting: number | null } & { [K in keyof Row]: Row[K] | null }>`
    SELECT a.epoch, ${waiting} AS waiting, f.*
    FROM appliances a LEFT JOIN (${sql.join(earlierOperations(applianceId, inputs), sql` UNION ALL `)}) f ON TRUE
    WHERE a.id = ${applianceId} LOCK IN SHARE MODE`.execute(tx);
  const [first] = rows;
  if (!first || Number(first.epoch) !== epoch.number) throw leaseLost();
  return {
    waiting: first.waiting === null ? null : Number(first.waiting),
    rows: rows.flatMap(({ id, sequence, status, volume_id, request_hash, idempotency_key }) =>
      id === null || sequence === null || status === null || volume_id === null
        ? []
        : [{ id, sequence: Number(sequence), status, volume_id, request_hash, idempotency_key }],
    ),
  };
}

const COLUMNS = sql`o.id, o.sequence, o.status, o.volume_id, o.request_hash, o.idempotency_key`;

/** Our own rows (their COMMIT was not answered), unfinished ones on the volume or of the same body, keys. */
function earlierOperations(applianceId: string, inputs: readonly NewOperation[]): RawBuilder<unknown>[] {
  const from = (index: string, column: string, values: readonly (string | null)[]) =>
    values.length === 0
      ? []
      : [
          sql`SELECT ${COLUMNS} FROM volume_operations o FORCE INDEX (${sql.raw(index)})
            WHERE o.${sql.raw(column)} IN (${sql.join(values)}) AND o.appliance_id = ${applianceId}`,
        ];
  const unfinished = sql` AND o.status IN ('pending', 'executing')`;
  const volumes = inputs.filter(({ volumeId }) => volumeId !== '').map(({ volumeId }) => volumeId);
  const bodies = inputs.filter(({ volumeId }) => volumeId === '').map(({ requestHash }) => requestHash);
  const keys = inputs.map(({ idempotencyKey }) => idempotencyKey).filter((key) => key !== null);
  return [
    ...from(
      'PRIMARY',
      'id',
      inputs.map(({ id }) => id),
    ),
    ...from('operations_volume_queue', 'volume_id', volumes).map((part) => sql`${part}${unfinished}`),
    ...from('operations_by_body', 'request_hash', bodies).map((part) => sql`${part}${unfinished}`),
    ...from('unique_idempotency_key', 'idempotency_key', keys),
  ];
}

async function repeated(
  tx: Transaction<Tables>,
  rows: readonly Row[],
  input: NewOperation,
): Promise<Answer | null> {
  if (rows.some(({ id }) => id === input.id)) return itself(tx, input.id);
  const { idempotencyKey } = input;
  // As the database compares them: another program may have written one with blanks at its end.
  const sameKey = rows.find(
    (row) => idempotencyKey !== null && row.idempotency_key?.trimEnd() === idempotencyKey.trimEnd(),
  );
  const replayed = sameKey ? await byIdempotencyKey(tx, sameKey.id, input) : null;
  if (replayed) return replayed;
  const [last] = rows
    .filter(({ status }) => status === 'pending' || status === 'executing')
    .filter((row) =>
      input.volumeId === '' ? row.request_hash === input.requestHash : row.volume_id === input.volumeId,
    )
    .sort((a, b) => b.sequence - a.sequence);
  return last ? identicalLast(tx, last.id, input) : null;
}

async function insert(
  tx: Transaction<Tables>,
  epoch: Epoch,
  inputs: readonly NewOperation[],
): Promise<Map<NewOperation, Accepted>> {
  if (inputs.length === 0) return new Map();
  const { applianceId } = epoch;
  const rows = inputs.map((input) => newOperationRow(applianceId, input));
  const operation = await tx.insertInto('volume_operations').values(rows).executeTakeFirstOrThrow();
  const entries = inputs.map((input) =>
    entryRow({ applianceId, operationId: input.id, sequence: 1, at: input.at }, firstEntry(input)),
  );
  const entry = await tx.insertInto('volume_operation_steps').values(entries).executeTakeFirstOrThrow();
  const [only] = inputs;
  const numbers =
    inputs.length === 1 && only
      ? new Map([[only.id, { sequence: Number(operation.insertId), entryId: Number(entry.insertId) }]])
      : await readNumbers(tx, inputs);
  return new Map(
    inputs.map((input) => {
      const given = numbers.get(input.id);
      if (!given) throw new Error(`operation ${input.id} is gone within its own transaction`);
      return [
        input,
        {
          operation: newOperation(applianceId, input, given.sequence),
          outcome: 'accepted',
          entry: {
            id: given.entryId,
            operationId: input.id,
            sequence: 1,
            at: input.at,
            ...firstEntry(input),
          },
        },
      ] as const;
    }),
  );
}

/** The numbers that the database gave: those of a multi-row insert need not be consecutive. */
async function readNumbers(
  tx: Transaction<Tables>,
  inputs: readonly NewOperation[],
): Promise<Map<string, { sequence: number; entryId: number }>> {
  const rows = await tx
    .selectFrom('volume_operations as o')
    .innerJoin('volume_operation_steps as s', 's.operation_id', 'o.id')
    .select(['o.id', 'o.sequence', 's.id as entry_id'])
    .where(
      'o.id',
      'in',
      inputs.map(({ id }) => id),
    )
    .execute();
  return new Map(
    rows.map(({ id, sequence, entry_id }) => [id, { sequence: Number(sequence), entryId: Number(entry_id) }]),
  );
}

/** An earlier run of the same acceptance was committed. */
async function itself(tx: Transaction<Tables>, id: string): Promise<Accepted | null> {
  const row = await readRow(tx, id);
  const [entry] = await entriesAfter(tx, id, 0);
  return row ? { operation: toOperation(row), outcome: 'accepted', ...(entry ? { entry } : {}) } : null;
}

function readRow(tx: Transaction<Tables>, id: string) {
  return tx.selectFrom('volume_operations').selectAll().where('id', '=', id).executeTakeFirst();
}

async function byIdempotencyKey(
  tx: Transaction<Tables>,
  id: string,
  input: NewOperation,
): Promise<Answer | null> {
  const row = await readRow(tx, id);
  if (!row) return null;
  const operation = toOperation(row);
  const acceptedAt = {
    localMs: operation.createdAt,
    databaseMs: row.accepted_at?.getTime() ?? null,
  };
  if (hasKeyExpired(acceptedAt, await databaseNow(tx), input)) {
    await tx
      .updateTable('volume_operations')
      .set({ idempotency_key: null })
      .where('id', '=', row.id)
      .execute();
    return null;
  }
  if (row.request_hash === input.requestHash) return { operation, outcome: 'replayed' };
  return keyReused(operation.id);
}

async function identicalLast(
  tx: Transaction<Tables>,
  id: string,
  input: NewOperation,
): Promise<Accepted | null> {
  const row = await readRow(tx, id);
  if (!row) return null;
  const last = toOperation(row);
  if (!mayJoin(last, row.request_hash, input)) return null;
  const { idempotencyKey } = input;
  if (idempotencyKey === null) return { operation: last, outcome: 'joined' };
  // The same key must give this operation after its end as well; joined alone, it would begin another one
  // then.
  await tx
    .updateTable('volume_operations')
    .set({ idempotency_key: idempotencyKey, updated_at: row.updated_at })
    .where('id', '=', row.id)
    .execute();
  return { operation: { ...last, idempotencyKey }, outcome: 'joined' };
}
