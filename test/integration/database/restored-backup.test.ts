import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { A, APPLIANCE, attach, B, create, detach, ended } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const RUNBOOKS = new URL('../../../docs/guides/runbooks.md', import.meta.url);

const database = useMigrated();

it('after the statement of the runbook nothing of the backup is done again by itself', async () => {
  const ledger = database.ledger(Date.now);
  const before = await ledger.takeOver(APPLIANCE, 'before the backup', { seen: null, instance: '' });
  const { operation: done } = await ledger.accept(before, create('done'));
  const { operation: executing } = await ledger.accept(before, detach(A));
  await ledger.claim(before, 2);
  await ledger.append(before, done.id, { after: 2, at: Date.now(), entries: [], end: ended() });
  const { operation: pending } = await ledger.accept(before, create('pending'));
  const { operation: unwanted } = await ledger.accept(before, attach(B, APPLIANCE));
  const { operation: behind } = await ledger.accept(before, attach(A, APPLIANCE));

  const section = (await readFile(RUNBOOKS, 'utf8')).split('## The database was restored from a backup')[1];
  const statement = /```sql\n([^`]+)```/.exec(section ?? '')?.[1] ?? '';
  await database.query(statement);

  const seen = await ledger.readOwner(APPLIANCE);
  const after = await ledger.takeOver(APPLIANCE, 'after it', { seen, instance: '' });
  const held = 'the database was restored from a backup';
  // What has not begun can be cancelled like any other, and is held no more.
  expect(await ledger.requestCancel(after, unwanted.id)).toBe('cancelled');
  expect(await ledger.readOperation(unwanted.id)).toMatchObject({ status: 'cancelled', held: null });
  expect(await ledger.resumable(after)).toMatchObject([{ id: executing.id, held }]);
  expect(await ledger.claim(after, 10)).toMatchObject([{ operation: { id: pending.id, held } }]);
  expect(await ledger.readOperation(behind.id)).toMatchObject({ status: 'pending' });
  expect(await ledger.readOperation(done.id)).toMatchObject({ status: 'completed', held: null });
  expect(await ledger.abandonHeld(after, pending.id)).toBe('released');
  expect(await ledger.abandonHeld(after, executing.id)).toBe('released');
  expect(await ledger.claim(after, 10)).toMatchObject([{ operation: { id: behind.id, held } }]);
});
