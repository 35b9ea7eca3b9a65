import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger, OperationChange } from '~/server/model/ledger';
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

export function describeOneWriter(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('one writer', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

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
