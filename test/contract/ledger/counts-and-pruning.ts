import { beforeEach, describe, expect, it } from 'vitest';
import type { Pruning } from '~/server/model/age';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { OPERATION_TYPES, type Operation } from '~/server/model/operation';
import {
  A,
  APPLIANCE,
  attach,
  B,
  create,
  detach,
  entry,
  mapping,
  note,
  OTHER_VM,
  remove,
  T0,
} from './fixtures';
import type { LedgerSuite } from './ledger-suite';

export function describeCountsAndPruning(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('figures and housekeeping', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    it('was not adopted from an old daemon, and being shown changes nothing', async () => {
      await ledger.resumable(epoch);
      expect(await ledger.readAdoption(epoch)).toBeNull();
      await ledger.noteAdoptionShown(epoch);
      expect(await ledger.readAdoption(epoch)).toBeNull();
    });

    it('counts by type and status, and averages the time of what was completed', async () => {
      const first = await executing(create('one', { at: T0 }));
      await end(first.id, 'completed', T0 + 1000);
      const second = await executing(create('two', { at: T0 }));
      await end(second.id, 'completed', T0 + 2001);
      await end((await executing(detach(A, { at: T0 }))).id, 'failed', T0 + 90_000);
      await executing(attach(A, APPLIANCE, { at: T0 + 5 }));
      await ask(detach(B, { at: T0 + 7 }));
      await ask(attach(B, APPLIANCE, { at: T0 + 6 }));
      await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapping(A) }], note('mapped'));
      expect(await ledger.counts(APPLIANCE)).toEqual({
        byType: {
          ...Object.fromEntries(OPERATION_TYPES.map((type) => [type, 0])),
          ...{ create: 2, attach: 2, detach: 2 },
        },
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
      expect(Object.values(counts.byType)).toEqual(OPERATION_TYPES.map(() => 0));
    });

    const DAY_MS = 86_400_000;
    const pruning = () => ({ ageMs: 90 * DAY_MS, localNowMs: Date.now(), keepNewest: 0, limit: 100 });

    /** Of operations that the database took when the clock of the machine said so. */
    const prune = async (parts: Partial<Pruning> = {}) => {
      await suite.world.agreeOnTimes();
      return ledger.prune(epoch, { ...pruning(), ...parts });
    };

    /** Operations that ended 100 days ago, oldest first. */
    async function oldOnes(count: number): Promise<Operation[]> {
      const old: Operation[] = [];
      for (let n = 0; n < count; n += 1) {
        const operation = await executing(create(`old ${n}`));
        await end(operation.id, 'completed', Date.now() - 100 * DAY_MS + n);
        old.push(operation);
      }
      return old;
    }

    it('prunes only what ended long ago, oldest first, with its journal', async () => {
      const old = await oldOnes(3);
      const fresh = await executing(create('fresh'));
      await end(fresh.id, 'failed', Date.now() - 80 * DAY_MS);
      const open = await ask(detach(A, { at: Date.now() - 200 * DAY_MS }));
      expect(await prune({ limit: 2 })).toEqual({ deleted: 2, refused: null });
      expect(await prune({ limit: 2 })).toEqual({ deleted: 1, refused: null });
      expect(await prune({ limit: 2 })).toEqual({ deleted: 0, refused: null });
      expect((await ledger.listOperations({ limit: 10 })).map(({ id }) => id)).toEqual([open.id, fresh.id]);
      expect(await ledger.readJournal(old[0]?.id ?? '')).toEqual([]);
      expect(await ledger.readJournal(fresh.id)).not.toEqual([]);
    });

    it('keeps what the database took lately, however far behind the clock of the machine was', async () => {
      const { id } = await executing(create('one', { at: T0 - 20_000 * DAY_MS, idempotencyKey: 'key' }));
      await end(id, 'completed', T0 - 20_000 * DAY_MS);
      expect(await ledger.prune(epoch, pruning())).toEqual({ deleted: 0, refused: null });
      expect(await left()).toEqual([id]);
      expect(await prune()).toEqual({ deleted: 1, refused: null });
    });

    it('the newest stay, whatever their age', async () => {
      const old = await oldOnes(5);
      expect(await prune({ keepNewest: 3 })).toMatchObject({ deleted: 2 });
      expect(await prune({ keepNewest: 3 })).toMatchObject({ deleted: 0 });
      const left = (await ledger.listOperations({ limit: 10 })).map(({ id }) => id);
      expect(left).toEqual(
        old
          .slice(2)
          .reverse()
          .map(({ id }) => id),
      );
    });

    const left = async () => (await ledger.listOperations({ limit: 100 })).map(({ id }) => id).reverse();
    const ended = async (operation: Promise<Operation>, daysAgo: number, status?: 'completed' | 'failed') => {
      const { id } = await operation;
      await end(id, status, Date.now() - daysAgo * DAY_MS);
      return id;
    };

    it('keeps of every volume what proves last that it is ours', async () => {
      const made = await executing(create('one'));
      await suite.append(made.id, { volumeId: A });
      await end(made.id, 'completed', Date.now() - 300 * DAY_MS);
      const first = await ended(executing(attach(A, APPLIANCE)), 200);
      await ended(executing(detach(A)), 190);
      await ended(executing(attach(A, OTHER_VM)), 180, 'failed');
      const last = await ended(executing(attach(A, OTHER_VM)), 10);
      await prune();
      expect(await left(), 'until the one that proves it as well is old').toEqual([first, last]);
      expect(await ledger.ownVolumes([A])).toEqual(new Set([A]));
    });

    it('forgets whose a volume was when its deletion is old', async () => {
      for (const [volumeId, deletedDaysAgo] of [
        [A, 95],
        [B, 80],
      ] as const) {
        await ended(executing(attach(volumeId, APPLIANCE)), 200);
        await ended(executing(remove(volumeId)), deletedDaysAgo);
      }
      await prune();
      expect(await ledger.ownVolumes([A, B])).toEqual(new Set([B]));
      expect(await left()).toHaveLength(2);
    });

    it('a volume that was deleted into the trash may have been recovered: it stays ours', async () => {
      const proof = await ended(executing(attach(A, APPLIANCE)), 200);
      const { id } = await executing(remove(A));
      const response = { volume_id: A, recoverable: true, message: 'in the trash' };
      const end = { status: 'completed', response, error: null, errorCode: null } as const;
      await suite.append(id, { at: Date.now() - 95 * DAY_MS, end });
      await prune();
      expect(await ledger.ownVolumes([A])).toEqual(new Set([A]));
      expect(await left()).toEqual([proof]);
    });

    it('keeps what was accepted after an operation that has not ended: it may be a part of that', async () => {
      const before = await ended(executing(detach(B)), 200);
      const group = await executing(attach(B, OTHER_VM));
      const part = await ended(executing(detach(A)), 150);
      const later = await executing(detach(A));
      expect(await prune(), 'the first that has not ended counts').toMatchObject({ deleted: 1 });
      expect(await left()).toEqual([group.id, part, later.id]);
      await end(later.id);
      expect(await ledger.readOperation(before)).toBeNull();
      await end(group.id, 'failed', Date.now() - 100 * DAY_MS);
      expect(await prune()).toMatchObject({ deleted: 3 });
    });

    it('prunes old entries of no operation, of this appliance alone, and keeps the newest', async () => {
      await executing(detach(A));
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      for (const of of [theirs, epoch])
        for (const step of ['one', 'two', 'three', 'four']) await ledger.auditedChange(of, [], note(step));
      const notes = async (appliance: string) =>
        (await ledger.feed(appliance, 0, 100))
          .filter(({ state }) => state === 'note')
          .map(({ step }) => step);
      const all = await notes(APPLIANCE);
      await prune();
      expect(await notes(APPLIANCE), 'none is old').toEqual(all);
      await prune({ ageMs: -DAY_MS, keepNewest: 2 });
      expect(await notes(APPLIANCE)).toEqual(['three', 'four']);
      expect(await notes(OTHER_VM)).toHaveLength(4);
      const [running] = await ledger.listOperations({ limit: 1 });
      expect((await ledger.readJournal(running?.id ?? '')).map(({ state }) => state)).toEqual([
        'pending',
        'executing',
      ]);
    });

    it('keeps an operation whose job may still act, until it is known how that ended', async () => {
      const { id } = await executing(detach(A));
      await suite.append(id, { entries: [entry('detach-volume', 'accepted', { job_id: 'job-1' })] });
      await end(id, 'failed', Date.now() - 200 * DAY_MS);
      await prune();
      const [job] = await ledger.openJobs(A);
      expect(job).toMatchObject({ operationId: id, jobId: 'job-1' });
      if (job) await ledger.settleOpenJob(epoch, job, { outcome: 'ok' });
      expect(await prune()).toMatchObject({ deleted: 1 });
    });

    it.each([-400 * DAY_MS, -7_200_000, -360_000, 360_000, 7_200_000, 400 * DAY_MS])(
      'deletes nothing while the clock of this machine is %d ms off, and says so',
      async (off) => {
        await oldOnes(2);
        const now = Date.now() + off;
        const pruned = await prune({ localNowMs: now });
        expect(pruned).toEqual({ deleted: 0, refused: expect.stringContaining('do not agree') });
        expect(await ledger.listOperations({ limit: 10 })).toHaveLength(2);
      },
    );
  });
}
