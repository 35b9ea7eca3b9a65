import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { callerNames } from '~/server/model/operation';
import { A, APPLIANCE, ASKER, attach, B, detach, entry, OTHER_VM, refusal, T0 } from './fixtures';
import type { LedgerSuite } from './ledger-suite';

export function describeHolding(suite: LedgerSuite): void {
  const { ask, executing, append, end } = suite;

  describe('operations that nobody may run', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    const heldOf = async (id: string) => (await ledger.readOperation(id))?.held;
    const crash = { progress: 3, error: 'a mistake' };

    it('a held operation says why, is handed to the next owner as held, and goes on blocking its volume', async () => {
      const first = await executing(detach(A));
      const second = await ask(attach(A, APPLIANCE));
      await ledger.hold(epoch, first.id, 'its journal is not understood');
      await ledger.hold(epoch, first.id, 'another reason');
      expect(await heldOf(first.id)).toBe('its journal is not understood');
      expect(await ledger.listOperations({ limit: 1, volumeId: A, status: 'executing' })).toMatchObject([
        { id: first.id, held: 'its journal is not understood' },
      ]);
      const next = await ledger.takeOver(APPLIANCE, 'second');
      expect(await ledger.resumable(next)).toMatchObject([
        { id: first.id, held: 'its journal is not understood' },
      ]);
      expect(await ledger.claim(next, 10)).toEqual([]);
      expect(await heldOf(second.id)).toBeNull();
    });

    it('only what executes is held: what has ended stays as it is', async () => {
      const { id } = await executing(detach(A));
      await end(id);
      await ledger.hold(epoch, id, 'too late');
      expect(await heldOf(id)).toBeNull();
    });

    it('one crash is no reason, two in a row without progress are', async () => {
      const { id } = await executing(detach(A));
      await ledger.noteCrash(epoch, id, crash);
      expect(await heldOf(id)).toBeNull();
      await ledger.noteCrash(epoch, id, { ...crash, progress: 5 });
      expect(await heldOf(id)).toBeNull();
      await ledger.noteCrash(epoch, id, { ...crash, progress: 5 });
      expect(await heldOf(id)).toBe('it has ended the daemon 2 times in a row at the same step: a mistake');
    });

    it('is held also when the reason is longer than its column', async () => {
      const long = 'x'.repeat(100_000);
      const crashed = await executing(detach(A));
      for (const one of [crash, crash]) await ledger.noteCrash(epoch, crashed.id, { ...one, error: long });
      expect(await heldOf(crashed.id)).toMatch(
        /^it has ended the daemon 2 times in a row at the same step: x+…$/,
      );
      const unread = await executing(detach(B));
      await ledger.hold(epoch, unread.id, long);
      expect(await heldOf(unread.id)).toMatch(/^x+…$/);
      expect(await ledger.abandonHeld(epoch, unread.id)).toBe('released');
      expect((await ledger.readOperation(unread.id))?.error).toMatch(/^Abandoned while it was held \(x+…$/);
    });

    it('a crash of an earlier owner is not noted: the operation is somebody else’s now', async () => {
      const { id } = await executing(detach(A));
      await ledger.noteCrash(epoch, id, crash);
      const next = await ledger.takeOver(APPLIANCE, 'second');
      await refusal(ledger.noteCrash(epoch, id, crash), 'LEASE_LOST');
      await refusal(ledger.hold(epoch, id, 'x'), 'LEASE_LOST');
      await refusal(ledger.retryHeld(epoch, id), 'LEASE_LOST');
      await refusal(ledger.abandonHeld(epoch, id), 'LEASE_LOST');
      await ledger.noteCrash(next, id, crash);
      expect(await heldOf(id)).toBeNull();
    });

    it('retried it may run again, its crashes are forgotten, and the journal says so', async () => {
      const { id } = await executing(detach(A));
      for (const one of [crash, crash]) await ledger.noteCrash(epoch, id, one);
      expect(await ledger.retryHeld(epoch, id, ASKER)).toBe('released');
      expect(await ledger.resumable(epoch)).toMatchObject([{ id, held: null, status: 'executing' }]);
      expect((await ledger.readJournal(id)).at(-1)).toMatchObject({
        step: 'operation',
        state: 'note',
        data: { released: 'retry', held: expect.stringContaining('a mistake'), ...callerNames(ASKER) },
      });
      await ledger.noteCrash(epoch, id, crash);
      expect(await heldOf(id)).toBeNull();
      await append(id, { entries: [entry('map', 'done', {})] });
    });

    it('a crash, a retry and an abandon are of the operation that is named, and of no other one', async () => {
      const [one, two] = [await executing(detach(A)), await executing(detach(B))];
      await ledger.noteCrash(epoch, one.id, crash);
      await ledger.noteCrash(epoch, two.id, crash);
      expect([await heldOf(one.id), await heldOf(two.id)], 'each has crashed once').toEqual([null, null]);
      await ledger.noteCrash(epoch, one.id, crash);
      expect([await heldOf(one.id), await heldOf(two.id)]).toEqual([expect.any(String), null]);
      await ledger.hold(epoch, two.id, 'theirs');
      expect(await ledger.retryHeld(epoch, one.id)).toBe('released');
      expect([await heldOf(one.id), await heldOf(two.id)]).toEqual([null, 'theirs']);
      expect(await ledger.abandonHeld(epoch, two.id)).toBe('released');
      expect(await ledger.readOperation(one.id)).toMatchObject({ status: 'executing', error: null });
    });

    it('what has ended has not crashed', async () => {
      const { id } = await executing(detach(A));
      await end(id);
      for (const one of [crash, crash]) await ledger.noteCrash(epoch, id, one);
      expect(await heldOf(id)).toBeNull();
    });

    it('abandoned it waits for nothing any more', async () => {
      const { id } = await executing(detach(A));
      await append(id, { waiting: { attempt: 2, nextAttemptAt: T0 + 5000, reason: 'the agent is away' } });
      expect((await ledger.readOperation(id))?.waitReason).toBe('the agent is away');
      await ledger.abandonHeld(epoch, id, null, 'nobody runs it');
      expect(await ledger.readOperation(id)).toMatchObject({ waitReason: null, nextAttemptAt: null });
    });

    it('abandoned it has failed, says what it may have left, and frees its volume; its jobs are still waited for', async () => {
      const first = await executing(detach(A));
      await append(first.id, {
        entries: [
          entry('withdraw', 'done', {}),
          entry('detach-volume', 'intent', { job_id: 'job-0' }),
          entry('detach-volume', 'finished', { job_id: 'job-0', outcome: 'failed' }),
          entry('detach-volume', 'intent', { job_id: 'job-1' }),
          entry('detach-volume', 'accepted', { job_id: 'job-1' }),
        ],
      });
      const second = await ask(attach(A, APPLIANCE));
      await ledger.hold(epoch, first.id, 'poison');
      expect(await ledger.abandonHeld(epoch, first.id, ASKER)).toBe('released');
      const ended = await ledger.readOperation(first.id);
      expect(ended).toMatchObject({ status: 'failed', errorCode: 'OPERATION_ABANDONED', held: null });
      expect(ended?.completedAt).not.toBeNull();
      for (const part of [
        'poison',
        'detach-volume (job job-1) may still take effect',
        'steps that have ended: withdraw, detach-volume (failed). Look',
      ])
        expect(ended?.error).toContain(part);
      expect((await ledger.readJournal(first.id)).at(-1)).toMatchObject({
        step: 'operation',
        state: 'failed',
        data: callerNames(ASKER),
      });
      expect(await ledger.openJobs(A)).toMatchObject([{ operationId: first.id, jobId: 'job-1' }]);
      expect((await ledger.claim(epoch, 10)).map(({ operation }) => operation.id)).toEqual([second.id]);
      expect((await ledger.counts(APPLIANCE)).byStatus).toMatchObject({ failed: 1, executing: 1 });
    });

    it('with a reason also what is not held ends, executing or waiting, in one step; what has ended stays', async () => {
      const running = await executing(detach(A));
      const waiting = await ask(attach(A, APPLIANCE));
      const done = await executing(detach(B));
      await end(done.id);
      for (const { id } of [running, waiting]) {
        expect(await ledger.abandonHeld(epoch, id, ASKER, 'nobody runs it')).toBe('released');
        expect(await ledger.readOperation(id)).toMatchObject({
          status: 'failed',
          errorCode: 'OPERATION_ABANDONED',
          error: expect.stringContaining('nobody runs it'),
        });
        expect((await ledger.readJournal(id)).at(-1)).toMatchObject({
          state: 'failed',
          data: callerNames(ASKER),
        });
      }
      expect(await ledger.abandonHeld(epoch, done.id, ASKER, 'nobody runs it')).toBe('not-held');
      expect(await ledger.isWorkedOn(A, await ledger.newestEntry())).toBe(false);
      expect((await ledger.counts(APPLIANCE)).byStatus).toMatchObject({
        failed: 2,
        pending: 0,
        executing: 0,
      });
      await ledger.takeOver(APPLIANCE, 'second');
      await refusal(ledger.abandonHeld(epoch, done.id, ASKER, 'nobody runs it'), 'LEASE_LOST');
    });

    it('only what is held can be released, and only by its own appliance', async () => {
      const running = await executing(detach(A));
      const waiting = await ask(detach(B));
      for (const { id } of [running, waiting]) {
        expect(await ledger.retryHeld(epoch, id)).toBe('not-held');
        expect(await ledger.abandonHeld(epoch, id)).toBe('not-held');
      }
      await ledger.hold(epoch, running.id, 'x');
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      expect(await ledger.retryHeld(theirs, running.id)).toBe('missing');
      expect(await ledger.abandonHeld(theirs, 'nobody')).toBe('missing');
      expect(await heldOf(running.id)).toBe('x');
    });
  });
}
