import { randomUUID } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { A, APPLIANCE, attach } from './fixtures';
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
}
