import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { changedOperation } from '~/server/model/changed-operation';
import { type Epoch, type Ledger, mayRepeat } from '~/server/model/ledger';
import type { OperationChange } from '~/server/model/ledger-writes';
import {
  A,
  APPLIANCE,
  attach,
  B,
  create,
  detach,
  ended,
  entry,
  mapping,
  note,
  openJob,
  refusal,
  T0,
} from './fixtures';
import type { LedgerSuite } from './ledger-suite';

export function describeAppending(suite: LedgerSuite): void {
  const { ask, executing, append, end } = suite;

  describe('appending', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

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

    it('leaves the row as it is when only entries are written, one or several', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      const before = await ledger.readOperation(id);
      const one = note('one', { text: "it's; -- 磁盘" });
      const [first] = await ledger.append(epoch, id, { after: 2, at: T0 + 9, entries: [one] });
      await ledger.append(epoch, id, { after: 3, at: T0 + 9, entries: [note('two'), note('three')] });
      expect(await ledger.readOperation(id)).toEqual(before);
      expect((await ledger.readJournal(id)).slice(2)).toMatchObject([
        { ...first, sequence: 3, at: T0 + 9 },
        { step: 'two', sequence: 4 },
        { step: 'three', sequence: 5 },
      ]);
    });

    it('recognises a single entry that is repeated, and refuses another one in its place', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      const change = { after: 2, at: T0, entries: [entry('attach-volume', 'intent', { job_id: 'j' })] };
      const written = await ledger.append(epoch, id, change);
      expect(await ledger.append(epoch, id, { ...change, at: T0 + 500 })).toEqual(written);
      await refusal(ledger.append(epoch, id, { ...change, entries: [note('another')] }), 'LEASE_LOST');
      expect(await ledger.readJournal(id)).toHaveLength(3);
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

    it.each<[string, Partial<OperationChange>]>([
      ['an entry by itself', { entries: [note('seen')] }],
      ['a volume that it has learned', { entries: [note('made')], volumeId: B }],
      ['a wait', { waiting: { attempt: 2, nextAttemptAt: T0 + 5000, reason: 'x'.repeat(20_000) } }],
      ['the end of a wait', { waiting: null }],
      ['an end', { waiting: null, end: { ...ended(), status: 'failed', error: 'é'.repeat(20_000) } }],
      ['an end with a response', { end: { ...ended(), response: { b: 1, a: [null, { c: 'ü' }] } } }],
    ])('what is known of an operation after %s is what is read', async (_, some) => {
      const before = await executing(detach(A));
      const change = { after: 2, at: T0 + 9, entries: [], ...some };
      await ledger.append(epoch, before.id, change);
      expect(changedOperation(before, change)).toEqual(await ledger.readOperation(before.id));
    });

    it('writes nothing at all when an effect is refused', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      await ledger.auditedChange(
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
      await refusal(ledger.append(epoch, id, { after: 2, at: T0, entries: [note('another')] }), 'LEASE_LOST');
      expect(await ledger.readJournal(id)).toHaveLength(3);
    });

    it('puts a create into the queue of the volume it has made', async () => {
      const { id } = await executing(create('one'));
      const { id: next } = await ask(attach(A, APPLIANCE));
      await append(id, { entries: [note('created')], volumeId: A });
      expect((await ledger.readOperation(id))?.volumeId).toBe(A);
      expect(await ledger.claim(epoch, 10)).toEqual([]);
      await end(id);
      expect((await ledger.claim(epoch, 10)).map(({ operation }) => operation.id)).toEqual([next]);
    });

    it('makes a create wait for the operation that already executes on its volume', async () => {
      const { id } = await executing(create('one'));
      const conflictingOperation = await executing(attach(A, APPLIANCE));
      const late = append(id, { entries: [note('created')], volumeId: A });
      await refusal(late, 'VOLUME_BUSY');
      expect(mayRepeat(await late.catch((error: unknown) => error))).toBe(true);
      expect(await ledger.readJournal(id)).toHaveLength(2);
      await end(conflictingOperation.id);
      await append(id, { entries: [note('created')], volumeId: A });
      expect((await ledger.readOperation(id))?.volumeId).toBe(A);
    });

    describe('for many operations at the same time', () => {
      const VOLUMES = Array.from({ length: 12 }, () => randomUUID());
      const many = async () => {
        for (const volumeId of VOLUMES) await ask(detach(volumeId));
        return (await ledger.claim(epoch, 100)).map(({ operation }) => operation.id);
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
          expect(await ledger.readOperation(id)).toMatchObject({ status: 'executing' });
        }
      });

      it('ends all, counts all, and remembers the open job of the one that has it', async () => {
        const ids = await many();
        const [lost = ''] = ids;
        await append(lost, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
        const stop = { status: 'failed', response: null, error: 'no', errorCode: 'VOLUME_BUSY' } as const;
        await Promise.all(
          ids.map((id) => ledger.append(epoch, id, change(id, { after: id === lost ? 3 : 2, end: stop }))),
        );
        for (const [index, id] of ids.entries()) {
          expect(await ledger.readOperation(id)).toMatchObject({ status: 'failed', error: 'no' });
          const open = await ledger.openJobs(VOLUMES[index] ?? '');
          expect(open).toEqual(id === lost ? [openJob(id)] : []);
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
}
