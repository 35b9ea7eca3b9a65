import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DaemonError, type ErrorCode } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import type { Epoch, Ledger, NewOperation, OperationChange } from '~/server/model/ledger';
import type {
  JsonObject,
  NewJournalEntry,
  NewMapping,
  Operation,
  OperationType,
  RequestOf,
} from '~/server/model/operation';

/** One database; `open` gives another ledger on it, as another process would have. */
export interface LedgerWorld {
  open(options?: { pendingMax?: number }): Ledger;
  /** Empties every table. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

const APPLIANCE = '11111111-1111-4111-8111-111111111111';
const OTHER_VM = '22222222-2222-4222-8222-222222222222';
const A = 'aaaaaaaa-0000-4000-8000-000000000001';
const B = 'bbbbbbbb-0000-4000-8000-000000000002';
const T0 = Date.UTC(2026, 0, 15, 12, 0, 0, 123);

/** What every Ledger must do. Times are given, never taken from a clock. */
export function describeLedger(name: string, createWorld: () => Promise<LedgerWorld>): void {
  describe(`ledger contract: ${name}`, () => {
    let world: LedgerWorld;
    let ledger: Ledger;
    let epoch: Epoch;

    beforeAll(async () => {
      world = await createWorld();
    });
    beforeEach(async () => {
      await world.reset();
      ledger = world.open();
      epoch = await ledger.takeOver(APPLIANCE, 'first');
    });
    afterAll(() => world.close());

    const ask = async <T extends OperationType>(input: NewOperation<T>): Promise<Operation> =>
      (await ledger.accept(epoch, input)).operation;
    /** Accepts and claims. */
    const executing = async <T extends OperationType>(input: NewOperation<T>): Promise<Operation> => {
      const { id } = await ask(input);
      const claimed = (await ledger.claim(epoch, 100)).find((operation) => operation.id === id);
      if (!claimed) throw new Error('not claimed');
      return claimed;
    };
    const append = async (id: string, change: Partial<OperationChange>): Promise<void> => {
      const journal = await ledger.readJournal(id);
      await ledger.append(epoch, id, {
        after: journal.at(-1)?.sequence ?? 0,
        at: T0 + 1000,
        entries: [],
        ...change,
      });
    };
    const end = (id: string, status: 'completed' | 'failed' | 'cancelled' = 'completed', at = T0 + 1000) =>
      append(id, {
        at,
        end: {
          status,
          response: status === 'completed' ? { message: 'ok' } : null,
          error: status === 'failed' ? 'no' : null,
          errorCode: status === 'failed' ? 'VOLUME_BUSY' : null,
        },
      });

    describe('accepting', () => {
      it('stores the request as pending and tells it back exactly', async () => {
        const input = attach(A, APPLIANCE, { idempotencyKey: 'key-1' });
        const accepted = await ledger.accept(epoch, input);
        expect(accepted.outcome).toBe('accepted');
        const read = await ledger.readOperation(input.id);
        expect(read).toEqual(accepted.operation);
        expect(read).toMatchObject({
          type: 'attach',
          status: 'pending',
          applianceId: APPLIANCE,
          volumeId: A,
          vmId: APPLIANCE,
          request: { volume_id: A, vm_id: APPLIANCE },
          response: null,
          error: null,
          errorCode: null,
        });
        expect(read).toMatchObject({
          attempt: 0,
          nextAttemptAt: null,
          waitReason: null,
          cancelRequested: false,
          createdAt: T0,
          updatedAt: T0,
          completedAt: null,
          idempotencyKey: 'key-1',
        });
      });

      it('journals the acceptance as the first entry', async () => {
        const { operation, entry } = await ledger.accept(epoch, attach(A, APPLIANCE));
        expect(await ledger.readJournal(operation.id)).toEqual([entry]);
        expect(entry).toMatchObject({
          operationId: operation.id,
          sequence: 1,
          step: 'operation',
          state: 'pending',
          at: T0,
        });
      });

      it('keeps whatever a request holds: quotes, other languages, metadata', async () => {
        const request = {
          name: `weird "name" \\ ' ; -- 磁盘 🚀`,
          size: 5 * 1024 ** 3 + 1,
          disk_offering_id: 'o',
          zone_id: 'z',
          metadata: { note: "it's" },
        };
        const operation = await ask(create(request.name, { request }));
        expect((await ledger.readOperation(operation.id))?.request).toEqual(request);
      });

      it('joins a request to the identical one that waits on the volume', async () => {
        const first = await ask(attach(A, APPLIANCE));
        const second = await ledger.accept(epoch, attach(A, APPLIANCE));
        expect(second).toMatchObject({ outcome: 'joined', operation: { id: first.id } });
        expect(second.entry).toBeUndefined();
        expect(await ledger.listOperations({ limit: 10 })).toHaveLength(1);
      });

      it('joins a request to the identical one that executes', async () => {
        const first = await executing(attach(A, APPLIANCE));
        expect(await ledger.accept(epoch, attach(A, APPLIANCE))).toMatchObject({
          outcome: 'joined',
          operation: { id: first.id },
        });
      });

      it('makes one operation of identical requests that arrive together', async () => {
        const outcomes = await Promise.all(
          Array.from({ length: 8 }, () => ledger.accept(epoch, attach(A, APPLIANCE))),
        );
        expect(new Set(outcomes.map(({ operation }) => operation.id)).size).toBe(1);
        expect(outcomes.filter(({ outcome }) => outcome === 'accepted')).toHaveLength(1);
      });

      it('keeps detach → attach → detach as three operations', async () => {
        const ids = [await ask(detach(A)), await ask(attach(A, APPLIANCE)), await ask(detach(A))].map(
          ({ id }) => id,
        );
        expect(new Set(ids).size).toBe(3);
      });

      it('does not join when the VM or the body differs, or when the first one has ended', async () => {
        const first = await executing(attach(A, APPLIANCE));
        expect((await ledger.accept(epoch, attach(A, OTHER_VM))).outcome).toBe('accepted');
        expect((await ledger.accept(epoch, attach(B, APPLIANCE))).outcome).toBe('accepted');
        expect(
          (
            await ledger.accept(
              epoch,
              attach(B, APPLIANCE, {
                request: { volume_id: B, vm_id: APPLIANCE, device_id: 0, attach_as: 'root' },
              }),
            )
          ).outcome,
        ).toBe('accepted');
        await end(first.id);
        await end((await ledger.claim(epoch, 1))[0]?.id ?? '');
        expect((await ledger.accept(epoch, attach(A, APPLIANCE))).outcome).toBe('accepted');
      });

      it('does not join an operation whose cancellation was asked for', async () => {
        const first = await executing(detach(A));
        await ledger.requestCancel(epoch, first.id);
        expect((await ledger.accept(epoch, detach(A))).outcome).toBe('accepted');
      });

      it('joins creates by their body, whatever was created in between', async () => {
        const first = await ask(create('one'));
        await ask(create('two'));
        expect(await ledger.accept(epoch, create('one'))).toMatchObject({
          outcome: 'joined',
          operation: { id: first.id },
        });
      });

      it('replays the answer of an Idempotency-Key, even after the operation has ended', async () => {
        const first = await executing(create('one', { idempotencyKey: 'k' }));
        await end(first.id);
        const again = await ledger.accept(
          epoch,
          create('one', { idempotencyKey: 'k', at: T0 + LIMITS.IDEMPOTENCY_TTL_MS - 1 }),
        );
        expect(again).toMatchObject({
          outcome: 'replayed',
          operation: { id: first.id, status: 'completed' },
        });
      });

      it('refuses an Idempotency-Key that comes with another body', async () => {
        const first = await ask(create('one', { idempotencyKey: 'k' }));
        const error = await refusal(
          ledger.accept(epoch, create('two', { idempotencyKey: 'k' })),
          'IDEMPOTENCY_KEY_REUSED',
        );
        expect(error.details).toMatchObject({ operation_id: first.id });
        expect(await ledger.listOperations({ limit: 10 })).toHaveLength(1);
      });

      it('tells keys apart by case', async () => {
        await ask(create('one', { idempotencyKey: 'Key' }));
        expect((await ledger.accept(epoch, create('two', { idempotencyKey: 'key' }))).outcome).toBe(
          'accepted',
        );
      });

      it('forgets an Idempotency-Key after a day', async () => {
        const first = await executing(create('one', { idempotencyKey: 'k' }));
        await end(first.id);
        const later = await ledger.accept(
          epoch,
          create('two', { idempotencyKey: 'k', at: T0 + LIMITS.IDEMPOTENCY_TTL_MS }),
        );
        expect(later.outcome).toBe('accepted');
        expect((await ledger.readOperation(first.id))?.idempotencyKey).toBeNull();
      });

      it('lets two appliances use the same Idempotency-Key', async () => {
        await ask(create('one', { idempotencyKey: 'k' }));
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        expect((await ledger.accept(theirs, create('two', { idempotencyKey: 'k' }))).outcome).toBe(
          'accepted',
        );
      });

      it('never joins the operation of another appliance', async () => {
        await ask(detach(A));
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        expect((await ledger.accept(theirs, detach(A))).outcome).toBe('accepted');
      });

      it('takes a hundred requests at once: each gets its own operation, numbers, and first entry', async () => {
        const inputs = Array.from({ length: 100 }, (_, n) => create(`volume ${n}`));
        const answers = await Promise.all(inputs.map((input) => ledger.accept(epoch, input)));
        expect(new Set(answers.map(({ operation }) => operation.sequence)).size).toBe(100);
        for (const [n, { outcome, operation, entry }] of answers.entries()) {
          expect([outcome, operation.id]).toEqual(['accepted', inputs[n]?.id]);
          expect(await ledger.readOperation(operation.id)).toEqual(operation);
          expect(await ledger.readJournal(operation.id)).toEqual([entry]);
        }
      });

      it('answers each of many at once for itself: one joins, one replays, one is refused, one uses a key twice', async () => {
        const before = await ask(attach(A, APPLIANCE));
        const keyed = await ask(create('keyed', { idempotencyKey: 'old' }));
        const answers = await Promise.allSettled([
          ledger.accept(epoch, attach(A, APPLIANCE)),
          ledger.accept(epoch, detach(B)),
          ledger.accept(epoch, create('keyed', { idempotencyKey: 'old' })),
          ledger.accept(epoch, create('other', { idempotencyKey: 'old' })),
          ledger.accept(epoch, create('one', { idempotencyKey: 'new' })),
          ledger.accept(epoch, create('two', { idempotencyKey: 'new' })),
        ]);
        const told = answers.map((answer) =>
          answer.status === 'fulfilled' ? answer.value.outcome : errorCode(answer.reason),
        );
        expect(told.slice(0, 4)).toEqual(['joined', 'accepted', 'replayed', 'IDEMPOTENCY_KEY_REUSED']);
        expect(told.slice(4).sort()).toEqual(['IDEMPOTENCY_KEY_REUSED', 'accepted']);
        expect(answers[0]).toMatchObject({ value: { operation: { id: before.id } } });
        expect(answers[2]).toMatchObject({ value: { operation: { id: keyed.id } } });
        expect(await ledger.listOperations({ limit: 10 })).toHaveLength(4);
      });

      it('gives the last places to those who came first', async () => {
        const small = world.open({ pendingMax: 3 });
        const inputs = Array.from({ length: 6 }, (_, n) => create(`volume ${n}`));
        const answers = await Promise.allSettled(inputs.map((input) => small.accept(epoch, input)));
        expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
        for (const answer of answers)
          if (answer.status === 'rejected') expect(errorCode(answer.reason)).toBe('QUEUE_FULL');
        expect(await ledger.listOperations({ limit: 10 })).toHaveLength(3);
      });

      it('refuses a request when too many wait, but still joins', async () => {
        const small = world.open({ pendingMax: 2 });
        const first = attach(A, APPLIANCE);
        await small.accept(epoch, first);
        await small.accept(epoch, detach(B));
        await refusal(small.accept(epoch, create('one')), 'QUEUE_FULL');
        expect((await small.accept(epoch, detach(B))).outcome).toBe('joined');
        await small.claim(epoch, 1);
        expect((await small.accept(epoch, create('one'))).outcome).toBe('accepted');
      });
    });

    describe('claiming', () => {
      it('claims in order of acceptance, one per volume', async () => {
        const inputs = [detach(A), attach(A, APPLIANCE), detach(B), create('one'), create('two')];
        for (const input of inputs) await ask(input);
        const claimed = await ledger.claim(epoch, 100);
        expect(claimed.map(({ id }) => id)).toEqual([
          inputs[0]?.id,
          inputs[2]?.id,
          inputs[3]?.id,
          inputs[4]?.id,
        ]);
        expect(claimed.every(({ status }) => status === 'executing')).toBe(true);
        expect(await ledger.claim(epoch, 100)).toEqual([]);
      });

      it('claims at most as many as asked for', async () => {
        for (const size of [1, 2, 3]) await ask(create(`volume ${size}`));
        expect(await ledger.claim(epoch, 2)).toHaveLength(2);
        expect(await ledger.claim(epoch, 2)).toHaveLength(1);
      });

      it('claims the next one on a volume when the one before has ended', async () => {
        const first = await executing(detach(A));
        const second = await ask(attach(A, APPLIANCE));
        expect(await ledger.claim(epoch, 100)).toEqual([]);
        await end(first.id);
        expect((await ledger.claim(epoch, 100)).map(({ id }) => id)).toEqual([second.id]);
      });

      it('claims the next one when the one before was cancelled while it waited', async () => {
        const first = await ask(detach(A));
        const second = await ask(attach(A, APPLIANCE));
        await ledger.requestCancel(epoch, first.id);
        expect((await ledger.claim(epoch, 100)).map(({ id }) => id)).toEqual([second.id]);
      });

      it('journals the claim', async () => {
        const { id } = await executing(detach(A));
        const journal = await ledger.readJournal(id);
        expect(journal.map(({ sequence, step, state }) => [sequence, step, state])).toEqual([
          [1, 'operation', 'pending'],
          [2, 'operation', 'executing'],
        ]);
      });

      it('gives every operation to exactly one of two claimers', async () => {
        for (let n = 0; n < 12; n += 1) await ask(create(`volume ${n}`));
        await ask(detach(A));
        await ask(attach(A, APPLIANCE));
        const claims = await Promise.all([
          ledger.claim(epoch, 100),
          world.open().claim(epoch, 100),
          ledger.claim(epoch, 100),
        ]);
        const ids = claims.flat().map(({ id }) => id);
        expect(ids).toHaveLength(13);
        expect(new Set(ids).size).toBe(13);
      });

      it('keeps a volume to one executing operation across appliances', async () => {
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        await ask(detach(A));
        await ledger.accept(theirs, detach(A));
        const claimed = await Promise.all([ledger.claim(epoch, 100), world.open().claim(theirs, 100)]);
        expect(claimed.flat()).toHaveLength(1);
      });

      it('claims nothing of another appliance', async () => {
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        await ledger.accept(theirs, detach(A));
        expect(await ledger.claim(epoch, 100)).toEqual([]);
      });
    });

    describe('one writer', () => {
      it('raises the epoch with every take-over and says who owns the appliance', async () => {
        expect(epoch.number).toBe(1);
        expect(await ledger.takeOver(APPLIANCE, 'second')).toEqual({ applianceId: APPLIANCE, number: 2 });
        expect(await ledger.readOwner(APPLIANCE)).toMatchObject({ owner: 'second', epoch: 2 });
        expect(await ledger.readOwner('nobody')).toBeNull();
      });

      it('refuses every write of an old epoch, and writes nothing', async () => {
        const operation = await executing(attach(A, APPLIANCE));
        const waiting = await ask(detach(B));
        const before = await snapshot();
        const successor = await ledger.takeOver(APPLIANCE, 'second');
        const change: OperationChange = {
          after: 2,
          at: T0,
          entries: [note('late')],
          effects: [{ kind: 'put-mapping', mapping: mapping(A) }],
          end: ended(),
        };
        await refusal(ledger.accept(epoch, create('late')), 'LEASE_LOST');
        await refusal(ledger.append(epoch, operation.id, change), 'LEASE_LOST');
        await refusal(ledger.claim(epoch, 10), 'LEASE_LOST');
        await refusal(ledger.resumable(epoch), 'LEASE_LOST');
        await refusal(
          ledger.repair(epoch, [{ kind: 'put-mapping', mapping: mapping(A) }], note('late')),
          'LEASE_LOST',
        );
        await refusal(ledger.requestCancel(epoch, waiting.id), 'LEASE_LOST');
        await refusal(ledger.settleOpenDetachJob(epoch, straggler(operation.id), {}), 'LEASE_LOST');
        await refusal(ledger.prune(epoch, T0 * 2, 10), 'LEASE_LOST');
        expect(await snapshot()).toEqual(before);
        expect((await ledger.resumable(successor)).map(({ id }) => id)).toEqual([operation.id]);
      });

      it('lets the successor write only after it has re-leased the operation', async () => {
        const operation = await executing(attach(A, APPLIANCE));
        const successor = await ledger.takeOver(APPLIANCE, 'second');
        const change: OperationChange = { after: 2, at: T0, entries: [note('mine')] };
        await refusal(ledger.append(successor, operation.id, change), 'LEASE_LOST');
        await ledger.resumable(successor);
        expect(await ledger.append(successor, operation.id, change)).toHaveLength(1);
      });

      it('resumes what is executing, in order of acceptance, and of this appliance only', async () => {
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        await ledger.accept(theirs, create('theirs'));
        await ledger.claim(theirs, 1);
        const first = await executing(create('one'));
        const second = await executing(create('two'));
        await ask(create('three'));
        await end((await executing(create('four'))).id);
        const resumed = (await ledger.resumable(epoch)).map(({ id }) => id);
        expect(resumed.slice(0, 2)).toEqual([first.id, second.id]);
        expect(resumed).toHaveLength(3);
      });

      const snapshot = async () => ({
        operations: await ledger.listOperations({ limit: 100 }),
        entries: await ledger.feed(APPLIANCE, 0, 100),
        mappings: await ledger.listMappings(),
      });
    });

    describe('appending', () => {
      it('numbers the entries and returns them as they are read later', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        const written = await ledger.append(epoch, id, {
          after: 2,
          at: T0 + 5,
          entries: [note('one', { n: 1 }), note('two', { nested: { list: [1, null, 'x'] } })],
        });
        expect(written.map(({ sequence }) => sequence)).toEqual([3, 4]);
        expect((await ledger.readJournal(id)).slice(2)).toEqual(written);
      });

      it('writes entries, row and effects together', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await append(id, {
          at: T0 + 9,
          entries: [note('mapped')],
          waiting: { attempt: 3, nextAttemptAt: T0 + 60_000, reason: 'CloudStack is away' },
          effects: [{ kind: 'put-mapping', mapping: mapping(A) }],
        });
        expect(await ledger.readOperation(id)).toMatchObject({
          attempt: 3,
          nextAttemptAt: T0 + 60_000,
          waitReason: 'CloudStack is away',
          updatedAt: T0 + 9,
        });
        expect(await ledger.readMapping(A)).toMatchObject({
          ...mapping(A),
          lastSync: T0 + 9,
          createdAt: T0 + 9,
          updatedAt: T0 + 9,
        });
        await append(id, { waiting: null });
        expect(await ledger.readOperation(id)).toMatchObject({
          attempt: 0,
          nextAttemptAt: null,
          waitReason: null,
        });
      });

      it('writes nothing at all when an effect is refused', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await ledger.repair(
          epoch,
          [{ kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdb' }) }],
          note('other'),
        );
        const before = await ledger.readOperation(id);
        const effects: OperationChange['effects'] = [
          { kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdc' }) },
          { kind: 'put-mapping', mapping: mapping(A, { devicePath: '/dev/vdc' }) },
        ];
        await refusal(
          append(id, { entries: [note('mapped')], effects, end: ended() }),
          'DEVICE_IDENTITY_MISMATCH',
        );
        expect(await ledger.readJournal(id)).toHaveLength(2);
        expect(await ledger.readOperation(id)).toEqual(before);
        expect((await ledger.readMapping(B))?.devicePath).toBe('/dev/vdb');
        expect(await ledger.readMapping(A)).toBeNull();
      });

      it('ends the operation with its answer and journals the end', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await append(id, {
          at: T0 + 77,
          entries: [note('last')],
          end: {
            status: 'completed',
            response: { volume_id: A, message: 'done' },
            error: null,
            errorCode: null,
          },
        });
        expect(await ledger.readOperation(id)).toMatchObject({
          status: 'completed',
          response: { volume_id: A, message: 'done' },
          completedAt: T0 + 77,
        });
        expect((await ledger.readJournal(id)).at(-1)).toMatchObject({
          step: 'operation',
          state: 'completed',
          sequence: 4,
        });
      });

      it('keeps the code and the text of a failure', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await append(id, {
          end: {
            status: 'failed',
            response: null,
            error: 'CloudStack API error 431: not found',
            errorCode: 'VOLUME_NOT_FOUND',
          },
        });
        expect(await ledger.readOperation(id)).toMatchObject({
          status: 'failed',
          error: 'CloudStack API error 431: not found',
          errorCode: 'VOLUME_NOT_FOUND',
        });
        expect((await ledger.readJournal(id)).at(-1)?.data).toMatchObject({ error_code: 'VOLUME_NOT_FOUND' });
      });

      it('refuses to write to an operation that has ended or was never claimed', async () => {
        const first = await executing(attach(A, APPLIANCE));
        await end(first.id);
        await refusal(append(first.id, { entries: [note('late')] }), 'LEASE_LOST');
        await refusal(append((await ask(detach(B))).id, { entries: [note('early')] }), 'LEASE_LOST');
        await refusal(append(randomUUID(), { entries: [note('nowhere')] }), 'LEASE_LOST');
      });

      it('recognises its own change when it is repeated after a lost answer', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        const change: OperationChange = {
          after: 2,
          at: T0,
          entries: [note('intent', { job_id: 'j', b: 1, a: 2 })],
          end: ended(),
        };
        const written = await ledger.append(epoch, id, change);
        expect(await ledger.append(epoch, id, { ...change, at: T0 + 500 })).toEqual(written);
        expect(await ledger.readJournal(id)).toHaveLength(4);
      });

      it('refuses a writer that has not seen the newest entry', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await append(id, { entries: [note('one')] });
        await refusal(
          ledger.append(epoch, id, { after: 2, at: T0, entries: [note('another')] }),
          'LEASE_LOST',
        );
        expect(await ledger.readJournal(id)).toHaveLength(3);
      });

      it('puts a create into the queue of the volume it has made', async () => {
        const { id } = await executing(create('one'));
        const { id: next } = await ask(attach(A, APPLIANCE));
        await append(id, { entries: [note('created')], volumeId: A });
        expect((await ledger.readOperation(id))?.volumeId).toBe(A);
        expect(await ledger.claim(epoch, 10)).toEqual([]);
        await end(id);
        expect((await ledger.claim(epoch, 10)).map((operation) => operation.id)).toEqual([next]);
      });

      it('makes a create wait for the operation that already executes on its volume', async () => {
        const { id } = await executing(create('one'));
        const conflictingOperation = await executing(attach(A, APPLIANCE));
        await refusal(append(id, { entries: [note('created')], volumeId: A }), 'DATABASE_UNAVAILABLE');
        expect(await ledger.readJournal(id)).toHaveLength(2);
        await end(conflictingOperation.id);
        await append(id, { entries: [note('created')], volumeId: A });
        expect((await ledger.readOperation(id))?.volumeId).toBe(A);
      });

      describe('for many operations at the same time', () => {
        const VOLUMES = Array.from({ length: 12 }, () => randomUUID());
        const many = async () => {
          for (const volumeId of VOLUMES) await ask(detach(volumeId));
          return (await ledger.claim(epoch, 100)).map(({ id }) => id);
        };
        const entriesFor = (id: string) => [note('one', { id }), note('two', { id })];
        const change = (id: string, more: Partial<OperationChange> = {}) => ({
          after: 2,
          at: T0 + 5,
          entries: entriesFor(id),
          ...more,
        });

        it('gives each its own entries, as they are read later', async () => {
          const ids = await many();
          const written = await Promise.all(ids.map((id) => ledger.append(epoch, id, change(id))));
          for (const [index, id] of ids.entries()) {
            expect(written[index]).toMatchObject(entriesFor(id).map((one) => ({ ...one, operationId: id })));
            expect((await ledger.readJournal(id)).slice(2)).toEqual(written[index]);
            expect(await ledger.readOperation(id)).toMatchObject({ status: 'executing', updatedAt: T0 + 5 });
          }
        });

        it('ends all, counts all, and remembers the open detach job of the one that has it', async () => {
          const ids = await many();
          const [lost = ''] = ids;
          await append(lost, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
          const stop = { status: 'failed', response: null, error: 'no', errorCode: 'VOLUME_BUSY' } as const;
          await Promise.all(
            ids.map((id) => ledger.append(epoch, id, change(id, { after: id === lost ? 3 : 2, end: stop }))),
          );
          for (const [index, id] of ids.entries()) {
            expect(await ledger.readOperation(id)).toMatchObject({ status: 'failed', error: 'no' });
            const open = await ledger.openDetachJobs(VOLUMES[index] ?? '');
            expect(open).toEqual(id === lost ? [straggler(id)] : []);
          }
          expect((await ledger.counts(APPLIANCE)).byStatus.failed).toBe(ids.length);
        });

        it('writes the others when one has been written before, one has ended, and one comes too late', async () => {
          const ids = await many();
          const [again = '', gone = '', late = '', ...others] = ids;
          const before = await ledger.append(epoch, again, change(again));
          await end(gone);
          await append(late, { entries: [note('somebody else')] });
          const results = await Promise.allSettled(ids.map((id) => ledger.append(epoch, id, change(id))));
          const of = (id: string) => results[ids.indexOf(id)];
          expect(of(again)).toEqual({ status: 'fulfilled', value: before });
          for (const id of [gone, late])
            expect(of(id)).toMatchObject({ status: 'rejected', reason: { code: 'LEASE_LOST' } });
          for (const id of others) {
            expect(of(id)).toMatchObject({ status: 'fulfilled' });
            expect(await ledger.readJournal(id)).toHaveLength(4);
          }
        });

        it('refuses all of them after a take-over', async () => {
          const ids = await many();
          await ledger.takeOver(APPLIANCE, 'second');
          const results = await Promise.allSettled(ids.map((id) => ledger.append(epoch, id, change(id))));
          for (const result of results)
            expect(result).toMatchObject({ status: 'rejected', reason: { code: 'LEASE_LOST' } });
          for (const id of ids) expect(await ledger.readJournal(id)).toHaveLength(2);
        });
      });
    });

    describe('cancelling', () => {
      it('cancels at once what waits', async () => {
        const { id } = await ask(attach(A, APPLIANCE));
        expect(await ledger.requestCancel(epoch, id)).toBe('cancelled');
        const read = await ledger.readOperation(id);
        expect(read?.status).toBe('cancelled');
        expect(read?.completedAt).not.toBeNull();
        expect((await ledger.readJournal(id)).at(-1)).toMatchObject({
          step: 'operation',
          state: 'cancelled',
        });
      });

      it('notes the wish while the operation executes', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        expect(await ledger.requestCancel(epoch, id)).toBe('requested');
        expect(await ledger.readOperation(id)).toMatchObject({ status: 'executing', cancelRequested: true });
      });

      it('says when it is too late or there is nothing', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        await end(id);
        expect(await ledger.requestCancel(epoch, id)).toBe('ended');
        expect(await ledger.requestCancel(epoch, randomUUID())).toBe('missing');
      });
    });

    const straggler = (operationId: string) => ({ operationId, step: 'detach-volume', jobId: 'job-1' });

    describe('straggling jobs', () => {
      it('remembers a detach job whose end was never journaled', async () => {
        const { id } = await executing(detach(A));
        await append(id, {
          entries: [
            entry('detach-volume', 'intent', { job_id: 'job-1' }),
            entry('detach-volume', 'accepted', { job_id: 'job-1' }),
          ],
        });
        expect(await ledger.openDetachJobs(A)).toEqual([]);
        await end(id, 'failed');
        expect(await ledger.openDetachJobs(A)).toEqual([
          { operationId: id, step: 'detach-volume', jobId: 'job-1' },
        ]);
        expect(await ledger.openDetachJobs(B)).toEqual([]);
      });

      it('forgets it once it has been settled, and settles only once', async () => {
        const { id } = await executing(detach(A));
        await append(id, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
        await end(id, 'failed');
        await ledger.settleOpenDetachJob(epoch, straggler(id), { outcome: 'ok' });
        await ledger.settleOpenDetachJob(epoch, straggler(id), { outcome: 'ok' });
        expect(await ledger.openDetachJobs(A)).toEqual([]);
        expect((await ledger.readJournal(id)).filter(({ state }) => state === 'finished')).toMatchObject([
          { step: 'detach-volume', data: { job_id: 'job-1', outcome: 'ok' } },
        ]);
      });

      it('forgets only the one that was settled', async () => {
        const { id } = await executing(detach(A));
        await append(id, {
          entries: ['job-1', 'job-2'].map((job_id) => entry('detach-volume', 'intent', { job_id })),
        });
        await end(id, 'failed');
        await ledger.settleOpenDetachJob(epoch, straggler(id), { outcome: 'ok' });
        expect(await ledger.openDetachJobs(A)).toEqual([{ ...straggler(id), jobId: 'job-2' }]);
      });

      it('finds those that the change which ends an operation brings itself', async () => {
        const { id } = await executing(detach(A));
        await append(id, {
          entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })],
          end: { status: 'failed', response: null, error: 'x', errorCode: null },
        });
        expect(await ledger.openDetachJobs(A)).toEqual([straggler(id)]);
      });

      it('knows a first try that is still open behind a second one that ended, and the detach of an undo', async () => {
        const { id } = await executing(attach(A, APPLIANCE));
        const tries = [
          entry('undo-detach-volume', 'intent', { job_id: 'one' }),
          entry('undo-detach-volume', 'intent', { job_id: 'two' }),
          entry('undo-detach-volume', 'finished', { job_id: 'two', outcome: 'ok' }),
        ];
        await append(id, { entries: [entry('attach-volume', 'intent', { job_id: 'zero' }), ...tries] });
        await end(id, 'failed');
        expect(await ledger.openDetachJobs(A)).toEqual([
          { operationId: id, step: 'undo-detach-volume', jobId: 'one' },
        ]);
      });

      it('has none where the job was finished or refused', async () => {
        const { id } = await executing(detach(A));
        const entries = [
          entry('detach-volume', 'intent', { job_id: 'one' }),
          entry('detach-volume', 'refused', { code: 431 }),
          entry('detach-volume', 'intent', { job_id: 'two' }),
          entry('detach-volume', 'finished', { job_id: 'two' }),
        ];
        await append(id, { entries });
        await end(id);
        expect(await ledger.openDetachJobs(A)).toEqual([]);
      });
    });

    describe('mappings and exports', () => {
      const repair = (...effects: Parameters<Ledger['repair']>[1]) =>
        ledger.repair(epoch, effects, note('test'));
      const exportOf = (
        volumeId: string,
        status: 'pending' | 'active' | 'failed' = 'active',
        metadata: Record<string, string> = {},
      ) =>
        ({
          kind: 'put-export',
          record: {
            volumeId,
            exportName: `migration-vol-${volumeId}`,
            devicePath: '/dev/vdb',
            port: 10809,
            status,
            metadata,
          },
        }) as const;

      it('replaces the mapping of a volume and keeps its id and birth', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A) });
        const first = await ledger.readMapping(A);
        await repair({
          kind: 'put-mapping',
          mapping: mapping(A, {
            devicePath: '/dev/vdd',
            size: 7,
            serial: null,
            matchedBy: 'size',
            controller: null,
            diskseq: null,
            bootId: null,
          }),
        });
        const second = await ledger.readMapping(A);
        expect(second).toMatchObject({
          id: first?.id,
          createdAt: first?.createdAt,
          devicePath: '/dev/vdd',
          size: 7,
          serial: null,
          matchedBy: 'size',
        });
        expect(await ledger.listMappings()).toHaveLength(1);
      });

      it('refuses a second volume on the same path of the same VM', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A) });
        await refusal(repair({ kind: 'put-mapping', mapping: mapping(B) }), 'DEVICE_IDENTITY_MISMATCH');
        await repair({ kind: 'put-mapping', mapping: mapping(B, { vmId: OTHER_VM }) });
        expect((await ledger.listMappings()).map(({ volumeId }) => volumeId).sort()).toEqual([A, B]);
      });

      it('lets a named volume lose the path to the one that is provably there', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
        await repair({ kind: 'put-mapping', mapping: mapping(B), displaces: [A] });
        expect(await ledger.readMapping(A)).toMatchObject({
          devicePath: `missing-${A}`,
          linuxState: 'missing',
        });
        expect(await ledger.readExport(A)).toMatchObject({ status: 'failed' });
        expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/vdb')).toMatchObject({ volumeId: B });
      });

      it('displaces nobody who is somewhere else', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A, { devicePath: '/dev/vdc' }) });
        await repair({ kind: 'put-mapping', mapping: mapping(B), displaces: [A] });
        expect((await ledger.readMapping(A))?.devicePath).toBe('/dev/vdc');
      });

      it('holds several volumes of a remote VM, with paths longer than a device path', async () => {
        for (const volumeId of [A, B])
          await repair({
            kind: 'put-mapping',
            mapping: mapping(volumeId, {
              vmId: OTHER_VM,
              devicePath: `remote-vm-${OTHER_VM}-${volumeId}`,
              linuxState: 'n/a',
            }),
          });
        expect((await ledger.listMappings(OTHER_VM)).map(({ devicePath }) => devicePath)).toEqual([
          `remote-vm-${OTHER_VM}-${A}`,
          `remote-vm-${OTHER_VM}-${B}`,
        ]);
        expect(await ledger.listMappings(APPLIANCE)).toEqual([]);
      });

      it('deletes a mapping with its export, but only for the VM it belongs to', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A));
        await repair({ kind: 'delete-mapping', volumeId: A, vmId: OTHER_VM });
        expect(await ledger.readExport(A)).not.toBeNull();
        await repair({ kind: 'delete-mapping', volumeId: A, vmId: APPLIANCE });
        expect(await ledger.readMapping(A)).toBeNull();
        expect(await ledger.readExport(A)).toBeNull();
      });

      it('has no export without a mapping', async () => {
        await refusal(repair(exportOf(A)), 'MAPPING_NOT_FOUND');
      });

      it('keeps one export per volume, and changes it in place', async () => {
        await repair(
          { kind: 'put-mapping', mapping: mapping(A) },
          exportOf(A, 'pending', { vm_name: 'web' }),
        );
        const first = await ledger.readExport(A);
        await repair(exportOf(A, 'active', { vm_name: 'web', job: '7' }));
        await repair({ kind: 'set-export-status', volumeId: A, status: 'failed' });
        expect(await ledger.readExport(A)).toMatchObject({
          id: first?.id,
          exportName: `migration-vol-${A}`,
          port: 10809,
          status: 'failed',
          metadata: { vm_name: 'web', job: '7' },
          createdAt: first?.createdAt,
        });
        await repair({ kind: 'delete-export', volumeId: A });
        expect(await ledger.listExports()).toEqual([]);
      });

      it('filters exports', async () => {
        await repair({ kind: 'put-mapping', mapping: mapping(A) }, exportOf(A, 'active', { vm_name: 'web' }));
        await repair(
          { kind: 'put-mapping', mapping: mapping(B, { devicePath: '/dev/vdc' }) },
          exportOf(B, 'failed', { vm_name: 'mail' }),
        );
        const ids = async (filter: Parameters<Ledger['listExports']>[0]) =>
          (await ledger.listExports(filter)).map(({ volumeId }) => volumeId);
        expect(await ids({})).toEqual([A, B]);
        expect(await ids({ volumeId: B })).toEqual([B]);
        expect(await ids({ status: 'active' })).toEqual([A]);
        expect(await ids({ vmName: 'mail' })).toEqual([B]);
        expect(await ids({ limit: 1 })).toEqual([A]);
      });

      it('journals repairs in the feed of the appliance', async () => {
        const entry = await ledger.repair(epoch, [], note('audit', { volume_id: A }));
        expect(entry).toMatchObject({
          operationId: '',
          step: 'audit',
          state: 'note',
          data: { volume_id: A },
        });
        expect(await ledger.feed(APPLIANCE, 0, 10), 'the entry that was returned').toEqual([entry]);
      });
    });

    describe('reading', () => {
      it('lists newest first, page by page', async () => {
        for (let n = 0; n < 5; n += 1) await ask(create(`volume ${n}`, { at: T0 + n }));
        const names = (page: Operation[]) =>
          page.map((operation) => (operation.type === 'create' ? operation.request.name : ''));
        const first = await ledger.listOperations({ limit: 2 });
        expect(names(first)).toEqual(['volume 4', 'volume 3']);
        const second = await ledger.listOperations({ limit: 2, before: first.at(-1)?.sequence });
        expect(names(second)).toEqual(['volume 2', 'volume 1']);
        expect(names(await ledger.listOperations({ limit: 2, before: second.at(-1)?.sequence }))).toEqual([
          'volume 0',
        ]);
      });

      it('filters by type, status, volume, VM and time, and by several at once', async () => {
        const one = await executing(attach(A, APPLIANCE, { at: T0 }));
        const two = await ask(detach(B, { at: T0 + 10 }));
        const three = await ask(attach(B, OTHER_VM, { at: T0 + 20 }));
        const ids = async (filter: Omit<Parameters<Ledger['listOperations']>[0], 'limit'>) =>
          (await ledger.listOperations({ ...filter, limit: 10 })).map(({ id }) => id);
        expect(await ids({ type: 'attach' })).toEqual([three.id, one.id]);
        expect(await ids({ status: 'executing' })).toEqual([one.id]);
        expect(await ids({ volumeId: B })).toEqual([three.id, two.id]);
        expect(await ids({ vmId: OTHER_VM })).toEqual([three.id]);
        expect(await ids({ since: T0 + 10 })).toEqual([three.id, two.id]);
        expect(await ids({ type: 'attach', status: 'pending', volumeId: B, since: T0 })).toEqual([three.id]);
        expect(await ids({ type: 'delete' })).toEqual([]);
      });

      it('feeds the entries of all operations of the appliance in order', async () => {
        const one = await executing(attach(A, APPLIANCE));
        const two = await ask(detach(B));
        const theirs = await ledger.takeOver(OTHER_VM, 'them');
        await ledger.accept(theirs, create('theirs'));
        const feed = await ledger.feed(APPLIANCE, 0, 100);
        expect(feed.map(({ operationId, state }) => [operationId, state])).toEqual([
          [one.id, 'pending'],
          [one.id, 'executing'],
          [two.id, 'pending'],
        ]);
        expect(await ledger.feed(APPLIANCE, feed[0]?.id ?? 0, 1)).toEqual([feed[1]]);
        expect(await ledger.feed(APPLIANCE, feed.at(-1)?.id ?? 0, 10)).toEqual([]);
      });

      it('knows which volumes are being worked on', async () => {
        await executing(attach(A, APPLIANCE));
        await ask(detach(B));
        await ask(create('one'));
        expect(await ledger.busyVolumes(APPLIANCE)).toEqual(new Set([A, B]));
        expect(await ledger.busyVolumes(OTHER_VM)).toEqual(new Set());
      });

      it('answers with null where there is nothing', async () => {
        expect(await ledger.readOperation(randomUUID())).toBeNull();
        expect(await ledger.readMapping(A)).toBeNull();
        expect(await ledger.readMappingByDevice(APPLIANCE, '/dev/vdb')).toBeNull();
        expect(await ledger.readExport(A)).toBeNull();
        expect(await ledger.readJournal(randomUUID())).toEqual([]);
        await ledger.ping();
      });
    });

    describe('figures and housekeeping', () => {
      it('counts by type and status, and averages the time of what was completed', async () => {
        const first = await executing(create('one', { at: T0 }));
        await end(first.id, 'completed', T0 + 1000);
        const second = await executing(create('two', { at: T0 }));
        await end(second.id, 'completed', T0 + 2001);
        await end((await executing(detach(A, { at: T0 }))).id, 'failed', T0 + 90_000);
        await executing(attach(A, APPLIANCE, { at: T0 + 5 }));
        await ask(detach(B, { at: T0 + 7 }));
        await ask(attach(B, APPLIANCE, { at: T0 + 6 }));
        await ledger.repair(epoch, [{ kind: 'put-mapping', mapping: mapping(A) }], note('mapped'));
        expect(await ledger.counts(APPLIANCE)).toEqual({
          byType: { create: 2, attach: 2, detach: 2, delete: 0, cleanup: 0 },
          byStatus: { pending: 2, executing: 1, completed: 2, failed: 1, cancelled: 0 },
          averageResponseMs: 1500.5,
          activeMappings: 1,
          oldestPendingAt: T0 + 6,
          oldestExecutingAt: T0 + 5,
        });
      });

      it('counts nothing where nothing is', async () => {
        const counts = await ledger.counts();
        expect(counts).toMatchObject({
          averageResponseMs: 0,
          activeMappings: 0,
          oldestPendingAt: null,
          oldestExecutingAt: null,
        });
        expect(Object.values(counts.byType)).toEqual([0, 0, 0, 0, 0]);
      });

      it('prunes only what ended long ago, oldest first, with its journal', async () => {
        const old: Operation[] = [];
        for (let n = 0; n < 3; n += 1) {
          const operation = await executing(create(`old ${n}`));
          await end(operation.id, 'completed', T0 + n);
          old.push(operation);
        }
        const fresh = await executing(create('fresh'));
        await end(fresh.id, 'failed', T0 + 500);
        const open = await ask(detach(A, { at: T0 - 1_000_000 }));
        expect(await ledger.prune(epoch, T0 + 100, 2)).toBe(2);
        expect(await ledger.prune(epoch, T0 + 100, 2)).toBe(1);
        expect(await ledger.prune(epoch, T0 + 100, 2)).toBe(0);
        expect((await ledger.listOperations({ limit: 10 })).map(({ id }) => id)).toEqual([open.id, fresh.id]);
        expect(await ledger.readJournal(old[0]?.id ?? '')).toEqual([]);
        expect(await ledger.readJournal(fresh.id)).not.toEqual([]);
      });
    });
  });
}

type Overrides<T extends OperationType> = Partial<Pick<NewOperation<T>, 'idempotencyKey' | 'at' | 'request'>>;

function operation<T extends OperationType>(
  type: T,
  volumeId: string,
  vmId: string | null,
  request: RequestOf[T],
  overrides: Overrides<T>,
): NewOperation<T> {
  const body = overrides.request ?? request;
  return {
    id: randomUUID(),
    type,
    volumeId,
    vmId,
    idempotencyKey: null,
    at: T0,
    ...overrides,
    request: body,
    requestHash: hash(type, body),
  };
}

const create = (name: string, overrides: Overrides<'create'> = {}) =>
  operation(
    'create',
    '',
    null,
    { name, size: 1024 ** 3, disk_offering_id: 'offering', zone_id: 'zone' },
    overrides,
  );
const attach = (volumeId: string, vmId: string, overrides: Overrides<'attach'> = {}) =>
  operation('attach', volumeId, vmId, { volume_id: volumeId, vm_id: vmId }, overrides);
const detach = (volumeId: string, overrides: Overrides<'detach'> = {}) =>
  operation('detach', volumeId, null, { volume_id: volumeId }, overrides);

function hash(type: string, body: unknown): string {
  return createHash('sha256')
    .update(`${type} ${JSON.stringify(body)}`)
    .digest('hex');
}

function mapping(volumeId: string, overrides: Partial<NewMapping> = {}): NewMapping {
  return {
    volumeId,
    vmId: APPLIANCE,
    devicePath: '/dev/vdb',
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: 5 * 1024 ** 4 + 512,
    controller: 'virtio4',
    serial: volumeId.replaceAll('-', '').slice(0, 20),
    diskseq: 17,
    bootId: 'b007b007-0000-4000-8000-000000000000',
    matchedBy: 'serial',
    cloudstackDeviceId: 1,
    ...overrides,
  };
}

const note = (step: string, data: JsonObject = {}): NewJournalEntry => ({ step, state: 'note', data });
const entry = (step: string, state: NewJournalEntry['state'], data: JsonObject): NewJournalEntry => ({
  step,
  state,
  data,
});
const ended = () => ({ status: 'completed' as const, response: {}, error: null, errorCode: null });

function errorCode(error: unknown): string {
  return error instanceof DaemonError ? error.code : String(error);
}

async function refusal(promise: Promise<unknown>, code: ErrorCode): Promise<{ details?: unknown }> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  return error as { details?: unknown };
}
