import { beforeEach, describe, expect, it } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import type { JournalEntry } from '~/server/model/operation';
import {
  A,
  APPLIANCE,
  attach,
  B,
  detach,
  ended,
  entry,
  note,
  OTHER_VM,
  openJob,
  refusal,
  T0,
} from './fixtures';
import type { LedgerSuite } from './ledger-suite';

const failed = { ...ended(), status: 'failed' as const };

export function describeOpenJobs(suite: LedgerSuite): void {
  const { executing, append, end } = suite;

  describe('open jobs', () => {
    let ledger: Ledger;
    let epoch: Epoch;
    beforeEach(() => {
      ({ ledger, epoch } = suite);
    });

    it('remembers a job whose end was never journaled', async () => {
      const { id } = await executing(detach(A));
      await append(id, {
        entries: [
          entry('detach-volume', 'intent', { job_id: 'job-1' }),
          entry('detach-volume', 'accepted', { job_id: 'job-1' }),
        ],
      });
      expect(await ledger.openJobs(A)).toEqual([]);
      await end(id, 'failed');
      expect(await ledger.openJobs(A)).toEqual([{ operationId: id, step: 'detach-volume', jobId: 'job-1' }]);
      expect(await ledger.openJobs(B)).toEqual([]);
    });

    it.each([
      ['all of it', (journal: JournalEntry[]) => journal],
      ['not its beginning', (journal: JournalEntry[]) => journal.slice(-1)],
      [
        'nothing but other entries',
        (journal: JournalEntry[]) => journal.map((one) => ({ ...one, sequence: 9 })),
      ],
    ])('the same when the writer of the end knows of the journal %s', async (_, known) => {
      const { id } = await executing(detach(A));
      await append(id, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
      await append(id, { entries: [note('later')] });
      const journal = await ledger.readJournal(id);
      await ledger.append(epoch, id, {
        ...{ after: 4, at: T0 + 9, entries: [], end: failed },
        journal: known(journal),
      });
      expect(await ledger.openJobs(A)).toEqual([{ operationId: id, step: 'detach-volume', jobId: 'job-1' }]);
    });

    it('an end by a writer who has missed an entry is refused', async () => {
      const { id } = await executing(detach(A));
      const journal = await ledger.readJournal(id);
      await append(id, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
      const end = { after: 2, at: T0 + 9, entries: [], journal, end: failed };
      await refusal(ledger.append(epoch, id, end), 'LEASE_LOST');
      expect(await ledger.readOperation(id)).toMatchObject({ status: 'executing' });
    });

    it.each(['create-volume', 'attach-volume', 'undo-detach-volume', 'delete-volume'] as const)(
      'the same for the job of %s: whatever changes the volume may still do it',
      async (step) => {
        const { id } = await executing(detach(A));
        await append(id, { entries: [entry(step, 'intent', { job_id: 'job-1' })] });
        await end(id, 'failed');
        expect(await ledger.openJobs(A)).toEqual([{ operationId: id, step, jobId: 'job-1' }]);
      },
    );

    it('tells which volumes such a job may still attach to a VM', async () => {
      const { id } = await executing(attach(A, OTHER_VM));
      await append(id, { entries: [entry('attach-volume', 'intent', { job_id: 'job-1' })] });
      expect(await ledger.volumesStillComing(OTHER_VM)).toEqual([]);
      await end(id, 'failed');
      const { id: detached } = await executing(detach(B));
      await append(detached, { entries: [entry('detach-volume', 'intent', { job_id: 'job-2' })] });
      await end(detached, 'failed');
      const { id: undone } = await executing(attach(B, OTHER_VM));
      await append(undone, { entries: [entry('undo-detach-volume', 'intent', { job_id: 'job-3' })] });
      await end(undone, 'failed');
      expect(await ledger.volumesStillComing(OTHER_VM)).toEqual([A]);
      expect(await ledger.volumesStillComing(APPLIANCE)).toEqual([]);
      await ledger.settleOpenJob(epoch, { ...openJob(id), step: 'attach-volume' }, { outcome: 'ok' });
      expect(await ledger.volumesStillComing(OTHER_VM)).toEqual([]);
    });

    it('forgets it once it has been settled, and settles only once', async () => {
      const { id } = await executing(detach(A));
      await append(id, { entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })] });
      await end(id, 'failed');
      await ledger.settleOpenJob(epoch, openJob(id), { outcome: 'ok' });
      await ledger.settleOpenJob(epoch, openJob(id), { outcome: 'ok' });
      expect(await ledger.openJobs(A)).toEqual([]);
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
      await ledger.settleOpenJob(epoch, openJob(id), { outcome: 'ok' });
      expect(await ledger.openJobs(A)).toEqual([{ ...openJob(id), jobId: 'job-2' }]);
    });

    it('finds those that the change which ends an operation brings itself', async () => {
      const { id } = await executing(detach(A));
      await append(id, {
        entries: [entry('detach-volume', 'intent', { job_id: 'job-1' })],
        end: { status: 'failed', response: null, error: 'x', errorCode: null },
      });
      expect(await ledger.openJobs(A)).toEqual([openJob(id)]);
    });

    it('knows a first try that is still open behind a second one that ended, the detach of an undo and the attach before it', async () => {
      const { id } = await executing(attach(A, APPLIANCE));
      const tries = [
        entry('undo-detach-volume', 'intent', { job_id: 'one' }),
        entry('undo-detach-volume', 'intent', { job_id: 'two' }),
        entry('undo-detach-volume', 'finished', { job_id: 'two', outcome: 'ok' }),
      ];
      await append(id, { entries: [entry('attach-volume', 'intent', { job_id: 'zero' }), ...tries] });
      await end(id, 'failed');
      const open = await ledger.openJobs(A);
      expect(open.map(({ step, jobId }) => `${step} ${jobId}`).sort()).toEqual([
        'attach-volume zero',
        'undo-detach-volume one',
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
      expect(await ledger.openJobs(A)).toEqual([]);
    });
  });
}
