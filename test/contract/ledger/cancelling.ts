import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { CANCELLED_UNCHANGED, callerNames } from '~/server/model/operation';
import { A, APPLIANCE, ASKER, attach, B, detach, OTHER_VM } from './fixtures';
import type { LedgerSuite } from './ledger-suite';

export function describeCancelling(suite: LedgerSuite): void {
  const { ask, executing, end } = suite;

  describe('cancelling', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    it('cancels at once what waits', async () => {
      const { id } = await ask(attach(A, APPLIANCE));
      expect(await ledger.requestCancel(epoch, id)).toBe('cancelled');
      const read = await ledger.readOperation(id);
      // Why, as of one that was executing.
      expect(read).toMatchObject({ status: 'cancelled', error: CANCELLED_UNCHANGED, errorCode: null });
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

    it('is of the operation that is named, and only of its own appliance', async () => {
      const [one, two] = [await executing(attach(A, APPLIANCE)), await executing(attach(B, APPLIANCE))];
      const waiting = await ask(detach(A));
      expect(await ledger.requestCancel(epoch, one.id)).toBe('requested');
      expect((await ledger.readOperation(two.id))?.cancelRequested).toBe(false);
      const theirs = await ledger.takeOver(OTHER_VM, 'them');
      for (const { id } of [two, waiting]) expect(await ledger.requestCancel(theirs, id)).toBe('missing');
      expect(await ledger.readOperation(two.id)).toMatchObject({ cancelRequested: false });
      expect(await ledger.readOperation(waiting.id)).toMatchObject({ status: 'pending' });
    });

    it('keeps who asked: of what waited in its journal too, of what executes the first who did', async () => {
      const waiting = await ask(attach(A, APPLIANCE));
      await ledger.requestCancel(epoch, waiting.id, ASKER);
      expect(await ledger.readOperation(waiting.id)).toMatchObject({ cancelRequestedBy: ASKER });
      expect((await ledger.readJournal(waiting.id)).at(-1)?.data).toEqual(callerNames(ASKER));
      const running = await executing(attach(A, APPLIANCE));
      await ledger.requestCancel(epoch, running.id, ASKER);
      await ledger.requestCancel(epoch, running.id, { ...ASKER, actor: 'late', traceparent: null });
      expect(await ledger.readOperation(running.id)).toMatchObject({ cancelRequestedBy: ASKER });
      // Nobody writes into the journal of a run but the run.
      expect((await ledger.readJournal(running.id)).map(({ state }) => state)).not.toContain('note');
    });

    it('of one that nobody has cancelled it is not known who did', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      expect((await ledger.readOperation(id))?.cancelRequestedBy).toBeNull();
      await ledger.requestCancel(epoch, id);
      expect(await ledger.readOperation(id)).toMatchObject({
        cancelRequested: true,
        cancelRequestedBy: null,
      });
    });

    it('says when it is too late or there is nothing', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      await end(id);
      expect(await ledger.requestCancel(epoch, id)).toBe('ended');
      expect(await ledger.requestCancel(epoch, randomUUID())).toBe('missing');
    });
  });
}
