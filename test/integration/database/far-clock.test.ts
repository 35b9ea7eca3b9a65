import { expect, it } from 'vitest';
import { A, B, create, detach, ended, entry, mapping, note } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const database = useMigrated();

it.each(['1960-01-01', '1970-01-01', '2038-01-19T03:14:08Z', '2040-01-01', '2110-01-01', '+012000-01-01'])(
  'a clock that says %s, which no TIMESTAMP can hold, keeps nothing from being written',
  async (date) => {
    const at = Date.parse(date);
    const ledger = database.ledger(() => at);
    const epoch = await ledger.takeOver(date, 'first', { seen: null, instance: '' });
    await ledger.renewLease(epoch);
    await ledger.accept(epoch, create('one', { at, idempotencyKey: 'key' }));
    await ledger.accept(epoch, create('one', { at, idempotencyKey: 'other' }));
    await ledger.accept(epoch, detach(A, { at }));
    const { operation: cancelled } = await ledger.accept(epoch, detach(B, { at }));
    expect(await ledger.requestCancel(epoch, cancelled.id)).toBe('cancelled');
    const [made, held] = (await ledger.claim(epoch, 2)).map(({ operation }) => operation.id);
    if (made === undefined || held === undefined) throw new Error('not claimed');
    const waiting = { attempt: 1, nextAttemptAt: at + 30_000, reason: 'a test' };
    await ledger.append(epoch, made, { after: 2, at, entries: [note('wait')], waiting });
    const effects = [{ kind: 'put-mapping' as const, mapping: mapping(A, { vmId: date }) }];
    await ledger.append(epoch, made, { after: 3, at, entries: [note('map')], effects });
    await ledger.append(epoch, made, { after: 4, at, entries: [], end: ended() });
    await ledger.auditedChange(epoch, [{ kind: 'delete-mapping', volumeId: A, vmId: date }], note('sync'));
    await ledger.append(epoch, held, {
      after: 2,
      at,
      entries: [entry('detach-volume', 'accepted', { job_id: 'job' })],
    });
    await ledger.hold(epoch, held, 'a test');
    await ledger.retryHeld(epoch, held);
    await ledger.hold(epoch, held, 'a test');
    await ledger.abandonHeld(epoch, held);
    const [job] = await ledger.openJobs(A);
    if (job) await ledger.settleOpenJob(epoch, job, {});
    expect(await ledger.readOperation(made)).toMatchObject({ status: 'completed' });
    expect(await ledger.listOperations({ since: at - 1_000, limit: 10 })).toBeInstanceOf(Array);
    expect(await ledger.prune(epoch, { ageMs: 0, localNowMs: at, keepNewest: 0, limit: 1 })).toMatchObject({
      refused: expect.stringContaining('do not agree'),
    });
  },
);

it('an operation that has lost the time of its acceptance can end, be cancelled and be abandoned', async () => {
  const at = Date.now();
  const ledger = database.ledger(() => at);
  const epoch = await ledger.takeOver('edited', 'first', { seen: null, instance: '' });
  const [made, given, asked] = await Promise.all(
    ['1', '2', '3'].map(async (n) => {
      const volumeId = `eeeeeeee-0000-4000-8000-00000000000${n}`;
      return (await ledger.accept(epoch, detach(volumeId, { at }))).operation.id;
    }),
  );
  if (made === undefined || given === undefined || asked === undefined) throw new Error('not accepted');
  // A date of zeros, as a session that is not strict makes of what is no date.
  await database.query("UPDATE IGNORE volume_operations SET created_at = 'yesterday'");
  expect(await ledger.requestCancel(epoch, asked)).toBe('cancelled');
  await ledger.claim(epoch, 2);
  await ledger.append(epoch, made, { after: 2, at, entries: [], end: ended() });
  await ledger.hold(epoch, given, 'a test');
  expect(await ledger.abandonHeld(epoch, given)).toBe('released');
  expect((await ledger.counts('edited')).byStatus).toMatchObject({ completed: 1, failed: 1, cancelled: 1 });
});
