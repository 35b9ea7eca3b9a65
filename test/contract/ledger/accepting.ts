import { beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { A, APPLIANCE, attach, B, create, detach, errorCode, OTHER_VM, refusal, T0 } from './fixtures';
import type { LedgerSuite, LedgerWorld } from './ledger-suite';

const detachKeyed = (key: string | null) => detach(A, { idempotencyKey: key });

export function describeAccepting(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('accepting', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    let world: LedgerWorld;
    beforeEach(() => {
      ({ ledger, epoch, world } = suite);
    });

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
        actor: null,
        requestId: null,
        traceparent: null,
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

    it('keeps who asked, with the operation and in its first entry', async () => {
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      const caller = { actor: 'hub', requestId: 'request-1', traceparent };
      const { operation, entry } = await ledger.accept(epoch, attach(A, APPLIANCE, { caller }));
      expect(operation).toMatchObject(caller);
      expect(await ledger.readOperation(operation.id)).toEqual(operation);
      expect(await ledger.listOperations({ limit: 1 })).toEqual([operation]);
      expect(await ledger.readJournal(operation.id)).toEqual([entry]);
      expect(entry?.data).toMatchObject({ actor: 'hub', request_id: 'request-1', traceparent });
    });

    it('a request that joins does not change who asked first', async () => {
      const by = (actor: string) => ({ caller: { actor, requestId: actor, traceparent: null } });
      await ledger.accept(epoch, attach(A, APPLIANCE, by('first')));
      const { outcome, operation } = await ledger.accept(epoch, attach(A, APPLIANCE, by('second')));
      expect([outcome, operation.actor]).toEqual(['joined', 'first']);
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
      await end((await ledger.claim(epoch, 1))[0]?.operation.id ?? '');
      expect((await ledger.accept(epoch, attach(A, APPLIANCE))).outcome).toBe('accepted');
    });

    it('does not join an operation whose cancellation was asked for', async () => {
      const first = await executing(detach(A));
      await ledger.requestCancel(epoch, first.id);
      expect((await ledger.accept(epoch, detach(A))).outcome).toBe('accepted');
    });

    it('begins a new operation when the identical one was cancelled or abandoned', async () => {
      const cancelled = await ask(detach(A));
      await ledger.requestCancel(epoch, cancelled.id);
      expect((await ledger.accept(epoch, detach(A))).outcome).toBe('accepted');
      const held = await executing(detach(B));
      await ledger.hold(epoch, held.id, 'a test');
      expect((await ledger.accept(epoch, detach(B))).operation.id).toBe(held.id);
      await ledger.abandonHeld(epoch, held.id);
      expect((await ledger.accept(epoch, detach(B))).outcome).toBe('accepted');
    });

    it('joins what an earlier owner has accepted, and nothing that it has ended', async () => {
      const [waits, ends] = [await ask(detach(A)), await executing(detach(B))];
      await end(ends.id);
      const next = world.open();
      const later = await next.takeOver(APPLIANCE, 'next');
      expect(await next.accept(later, detach(A))).toMatchObject({
        outcome: 'joined',
        operation: { id: waits.id },
      });
      expect((await next.accept(later, detach(B))).outcome).toBe('accepted');
      await refusal(ledger.accept(epoch, detach(B)), 'LEASE_LOST');
      const again = await ledger.takeOver(APPLIANCE, 'first again');
      expect((await ledger.accept(again, detach(B))).outcome).toBe('joined');
    });

    it('gives the key of a request that joins the operation that it joined, also when that has ended', async () => {
      const first = await ledger.accept(epoch, create('one'));
      const keyed = create('one', { idempotencyKey: 'key' });
      expect(await ledger.accept(epoch, keyed)).toMatchObject({
        outcome: 'joined',
        operation: { id: first.operation.id },
      });
      await ledger.claim(epoch, 10);
      await suite.end(first.operation.id);
      expect(await ledger.accept(epoch, create('one', { idempotencyKey: 'key' }))).toMatchObject({
        outcome: 'replayed',
        operation: { id: first.operation.id, status: 'completed' },
      });
      await refusal(ledger.accept(epoch, create('two', { idempotencyKey: 'key' })), 'IDEMPOTENCY_KEY_REUSED');
    });

    it('does not join a request to one under another Idempotency-Key: whoever names both asks for two', async () => {
      const first = await ledger.accept(epoch, create('one', { idempotencyKey: 'job 1' }));
      const second = await ledger.accept(epoch, create('one', { idempotencyKey: 'job 2' }));
      expect([second.outcome, second.operation.id === first.operation.id]).toEqual(['accepted', false]);
      const ids = [first.operation.id, second.operation.id];
      for (const [index, key] of ['job 1', 'job 2'].entries())
        expect(await ledger.accept(epoch, create('one', { idempotencyKey: key }))).toMatchObject({
          outcome: 'replayed',
          operation: { id: ids[index] },
        });
      const detached = await ledger.accept(epoch, detach(A, { idempotencyKey: 'job 3' }));
      const again = await ledger.accept(epoch, detach(A, { idempotencyKey: 'job 4' }));
      expect([again.outcome, again.operation.id === detached.operation.id]).toEqual(['accepted', false]);
      // Without a key nobody says that it is another one.
      expect((await ledger.accept(epoch, detach(A))).operation.id).toBe(again.operation.id);
    });

    it('of two keys that come together for one without a key one joins it, and each goes on naming its own', async () => {
      for (const request of [(key: string | null) => create('one', { idempotencyKey: key }), detachKeyed]) {
        const first = await ledger.accept(epoch, request(null));
        const keys = [1, 2, 3].map((n) => `${request(null).type} ${n}`);
        const together = await Promise.all(keys.map((key) => ledger.accept(epoch, request(key))));
        expect(together.map(({ outcome }) => outcome).sort()).toEqual(['accepted', 'accepted', 'joined']);
        const ids = together.map(({ operation }) => operation.id);
        expect(new Set(ids).size).toBe(3);
        expect(ids).toContain(first.operation.id);
        await ledger.claim(epoch, 10);
        const executing = await ledger.listOperations({ status: 'executing', limit: 10 });
        for (const { id } of executing) await suite.end(id);
        for (const [index, key] of keys.entries())
          expect(await ledger.accept(epoch, request(key))).toMatchObject({
            outcome: 'replayed',
            operation: { id: ids[index] },
          });
      }
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
      expect((await ledger.accept(epoch, create('two', { idempotencyKey: 'key' }))).outcome).toBe('accepted');
    });

    it('forgets an Idempotency-Key after a day', async () => {
      const now = Date.now();
      const at = now - LIMITS.IDEMPOTENCY_TTL_MS;
      const first = await executing(create('one', { idempotencyKey: 'k', at }));
      await end(first.id);
      await world.agreeOnTimes();
      const later = await ledger.accept(epoch, create('two', { idempotencyKey: 'k', at: now }));
      expect(later.outcome).toBe('accepted');
      expect((await ledger.readOperation(first.id))?.idempotencyKey).toBeNull();
    });

    it.each([-400 * 24, -25, -2, 25, 400 * 24])(
      'remembers it while the clock of this machine is %d hours off',
      async (hours) => {
        const first = await executing(create('one', { idempotencyKey: 'k', at: Date.now() }));
        await end(first.id);
        const at = Date.now() + hours * 3_600_000;
        expect(await ledger.accept(epoch, create('one', { idempotencyKey: 'k', at }))).toMatchObject({
          outcome: 'replayed',
          operation: { id: first.id },
        });
      },
    );

    it('remembers it while the clock was set within the last day, on both machines alike', async () => {
      const now = Date.now();
      const at = now - 2 * LIMITS.IDEMPOTENCY_TTL_MS;
      const first = await executing(create('one', { idempotencyKey: 'k', at }));
      await end(first.id);
      await world.agreeOnTimes();
      const again = { ...create('one', { idempotencyKey: 'k', at: now }), clockStepped: true };
      expect(await ledger.accept(epoch, again)).toMatchObject({ outcome: 'replayed' });
    });

    it('remembers it where the clock was two days behind when it was accepted, whoever knows of that', async () => {
      const now = Date.now();
      const first = await executing(
        create('one', { idempotencyKey: 'k', at: now - 2 * LIMITS.IDEMPOTENCY_TTL_MS }),
      );
      await end(first.id);
      // As after a restart: nothing remembers that the clock was set since.
      expect(await ledger.accept(epoch, create('one', { idempotencyKey: 'k', at: now }))).toMatchObject({
        outcome: 'replayed',
        operation: { id: first.id },
      });
    });

    it('lets two appliances use the same Idempotency-Key', async () => {
      await ask(create('one', { idempotencyKey: 'k' }));
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      expect((await ledger.accept(theirs, create('two', { idempotencyKey: 'k' }))).outcome).toBe('accepted');
    });

    it('never joins the operation of another appliance', async () => {
      await ask(detach(A));
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      expect((await ledger.accept(theirs, detach(A))).outcome).toBe('accepted');
    });

    it('keeps two appliances with the same epoch apart, also when their requests come together', async () => {
      let ours = epoch;
      let theirs = await ledger.takeOver(OTHER_VM, 'them');
      while (theirs.number < ours.number) theirs = await ledger.takeOver(OTHER_VM, 'them');
      while (ours.number < theirs.number) ours = await ledger.takeOver(APPLIANCE, 'we');
      await ledger.accept(theirs, detach(A));
      const both = [ours, theirs, ours, theirs];
      const inputs = [detach(A), detach(A), create('ours'), create('theirs')];
      const answers = await Promise.all(inputs.map((input, n) => ledger.accept(both[n] ?? ours, input)));
      expect(answers.map(({ outcome }) => outcome)).toEqual(['accepted', 'joined', 'accepted', 'accepted']);
      expect(answers.map(({ operation }) => operation.applianceId)).toEqual([
        APPLIANCE,
        OTHER_VM,
        APPLIANCE,
        OTHER_VM,
      ]);
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
}
