import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Epoch, Ledger } from '~/server/model/ledger';
import type { OperationChange } from '~/server/model/ledger-writes';
import {
  A,
  APPLIANCE,
  attach,
  B,
  create,
  detach,
  ended,
  mapping,
  note,
  OTHER_VM,
  openJob,
  refusal,
  T0,
} from './fixtures';
import type { LedgerSuite } from './ledger-suite';

/** The lease is measured in milliseconds: the next renewal shall be another one. */
const tick = () => sleep(2);

export function describeOneWriter(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('one writer', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    it('raises the epoch with every take-over and says who owns the appliance', async () => {
      const { applianceId, number } = await ledger.takeOver(APPLIANCE, 'second');
      expect(applianceId).toBe(APPLIANCE);
      expect(number).toBeGreaterThan(epoch.number);
      expect(await ledger.readOwner(APPLIANCE)).toMatchObject({ owner: 'second', epoch: number });
      expect(await ledger.readOwner('nobody')).toBeNull();
    });

    it('takes over only what is still as it was seen: a renewal, a release or another take-over in between refuses', async () => {
      const claim = async () => ({ seen: await ledger.readOwner(APPLIANCE), instance: 'machine/1/2' });
      const beforeRenewal = await claim();
      await tick();
      await ledger.renewLease(epoch);
      await refusal(ledger.takeOver(APPLIANCE, 'second', beforeRenewal), 'LEASE_LOST');
      const beforeRelease = await claim();
      await ledger.releaseLease(epoch);
      await refusal(ledger.takeOver(APPLIANCE, 'second', beforeRelease), 'LEASE_LOST');
      const [third, fourth] = [await claim(), await claim()];
      expect((await ledger.takeOver(APPLIANCE, 'third', third)).number).toBeGreaterThan(epoch.number);
      await refusal(ledger.takeOver(APPLIANCE, 'fourth', fourth), 'LEASE_LOST');
      expect(await ledger.readOwner(APPLIANCE)).toMatchObject({ owner: 'third', instance: 'machine/1/2' });
    });

    it('lets one of many that begin an appliance at once own it', async () => {
      const claim = { seen: await ledger.readOwner(OTHER_VM), instance: '' };
      const tries = Array.from({ length: 5 }, (_, n) =>
        suite.world.open().takeOver(OTHER_VM, `daemon ${n}`, claim),
      );
      const ends = await Promise.allSettled(tries);
      expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const end of ends)
        if (end.status === 'rejected') expect(end.reason).toMatchObject({ code: 'LEASE_LOST' });
    });

    it('says how long the lease lasts by its own clock, and not once it was released', async () => {
      const left = async () => (await ledger.readOwner(APPLIANCE))?.lease?.leftMs ?? null;
      expect(await left()).toBeLessThanOrEqual(LIMITS.LEASE_MS);
      await tick();
      const before = await ledger.readOwner(APPLIANCE);
      await ledger.renewLease(epoch);
      const after = await ledger.readOwner(APPLIANCE);
      expect(after?.lease?.until).toBeGreaterThan(before?.lease?.until ?? 0);
      expect(after).toMatchObject({ epoch: before?.epoch, owner: before?.owner });
      await ledger.releaseLease(epoch);
      expect(await left()).toBeNull();
    });

    it('neither renews nor releases the lease of a successor', async () => {
      await ledger.takeOver(APPLIANCE, 'second');
      const before = await ledger.readOwner(APPLIANCE);
      await refusal(ledger.renewLease(epoch), 'LEASE_LOST');
      await ledger.releaseLease(epoch);
      expect((await ledger.readOwner(APPLIANCE))?.lease?.until).toBe(before?.lease?.until);
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
        ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapping(A) }], note('late')),
        'LEASE_LOST',
      );
      await refusal(ledger.requestCancel(epoch, waiting.id), 'LEASE_LOST');
      await refusal(ledger.settleOpenJob(epoch, openJob(operation.id), {}), 'LEASE_LOST');
      await refusal(
        ledger.prune(epoch, { ageMs: 0, localNowMs: Date.now(), keepNewest: 0, limit: 10 }),
        'LEASE_LOST',
      );
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
}
