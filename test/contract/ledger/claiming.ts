import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { A, APPLIANCE, attach, B, create, detach, OTHER_VM } from './fixtures';
import type { LedgerSuite, LedgerWorld } from './ledger-suite';

export function describeClaiming(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('claiming', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    let world: LedgerWorld;
    beforeEach(() => {
      ({ ledger, epoch, world } = suite);
    });

    it('claims in order of acceptance, one per volume', async () => {
      const inputs = [detach(A), attach(A, APPLIANCE), detach(B), create('one'), create('two')];
      for (const input of inputs) await ask(input);
      const claimed = await ledger.claim(epoch, 100);
      expect(claimed.map(({ operation }) => operation.id)).toEqual([
        inputs[0]?.id,
        inputs[2]?.id,
        inputs[3]?.id,
        inputs[4]?.id,
      ]);
      expect(claimed.every(({ operation }) => operation.status === 'executing')).toBe(true);
      expect(await ledger.claim(epoch, 100)).toEqual([]);
    });

    it('claims at most as many as asked for', async () => {
      for (const size of [1, 2, 3]) await ask(create(`volume ${size}`));
      expect(await ledger.claim(epoch, 2)).toHaveLength(2);
      expect(await ledger.claim(epoch, 2)).toHaveLength(1);
    });

    it('leaves out what was refused, and what waits behind it on its volume', async () => {
      const [refused, , other] = [
        await ask(detach(A)),
        await ask(attach(A, APPLIANCE)),
        await ask(detach(B)),
      ];
      const refusal = { operation: refused, reason: 'a trigger refuses it' };
      const claimed = await ledger.claim(epoch, 1, new Map([[refused.id, refusal]]));
      expect(claimed.map(({ operation }) => operation.id)).toEqual([other.id]);
    });

    it('claims the next one on a volume when the one before has ended', async () => {
      const first = await executing(detach(A));
      const second = await ask(attach(A, APPLIANCE));
      expect(await ledger.claim(epoch, 100)).toEqual([]);
      await end(first.id);
      expect((await ledger.claim(epoch, 100)).map(({ operation }) => operation.id)).toEqual([second.id]);
    });

    it('claims the next one when the one before was cancelled while it waited', async () => {
      const first = await ask(detach(A));
      const second = await ask(attach(A, APPLIANCE));
      await ledger.requestCancel(epoch, first.id);
      expect((await ledger.claim(epoch, 100)).map(({ operation }) => operation.id)).toEqual([second.id]);
    });

    it('tells what it has claimed as it is read later', async () => {
      for (const input of [detach(A), detach(B), create('one')]) await ask(input);
      const claimed = await ledger.claim(epoch, 100);
      expect(claimed).toHaveLength(3);
      for (const { operation, journal } of claimed) {
        expect(await ledger.readOperation(operation.id)).toEqual(operation);
        expect(await ledger.readJournal(operation.id)).toEqual(journal);
      }
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
      const ids = claims.flat().map(({ operation }) => operation.id);
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
}
