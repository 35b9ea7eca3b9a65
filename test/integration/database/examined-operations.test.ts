import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import type { MysqlLedger } from '~/server/database/mysql-ledger';
import { journalFlaw } from '~/server/model/journal-flaw';
import { useMigrated } from './use-migrated';

const database = useMigrated();
let ledger: MysqlLedger;

beforeAll(() => {
  ledger = database.ledger(Date.now);
});

type Entry = readonly [step: string, state: string, data: string];

async function stored(entry: Entry, status: string, held: string | null = null): Promise<string> {
  const id = randomUUID();
  await database.query(
    `INSERT INTO volume_operations (id, type, status, volume_id, request, completed_at, appliance_id, epoch, held_reason)
     VALUES (?, 'detach', ?, ?, '{}', IF(? IN ('pending', 'executing'), NULL, NOW()), 'appliance', 1, ?)`,
    [id, status, randomUUID(), status, held],
  );
  const sound: Entry = ['operation', 'pending', '{}'];
  for (const [index, [step, state, data]] of [sound, entry].entries())
    await database.query(
      `SET STATEMENT check_constraint_checks = 0 FOR INSERT INTO volume_operation_steps
        (appliance_id, operation_id, sequence, step, state, data) VALUES ('appliance', ?, ?, ?, ?, ?)`,
      [id, index + 1, step, state, data],
    );
  return id;
}

const SOUND: readonly Entry[] = [
  ['operation', 'completed', '{}'],
  ['a step of another version', 'note', '{"told": true}'],
  ['detach-volume', 'intent', ' {"spaces": "before"}'],
  ['detach-volume', 'intent', `${'{"deep":'.repeat(40)}1${'}'.repeat(40)}`],
];

const SPOILT: readonly Entry[] = [
  ['teleport', 'done', '{}'],
  ['Detach-Volume', 'intent', '{}'],
  ['detach-volume ', 'intent', '{}'],
  ['detach-volume', 'hibernating', '{}'],
  ['detach-volume', 'Intent', '{}'],
  ['detach-volume', 'note ', '{}'],
  ['detach-volume', 'intent', '{"epoch": '],
  ['detach-volume', 'intent', '{"epoch": 1'],
  ['detach-volume', 'intent', '{"epoch": 01}'],
  ['detach-volume', 'intent', '{"epoch": 1.}'],
  ['detach-volume', 'intent', '{"epoch": .5}'],
  ['detach-volume', 'intent', '{"epoch": +1}'],
  ['detach-volume', 'intent', '{"epoch": NaN}'],
  ['detach-volume', 'intent', '{"epoch": 1,}'],
  ['detach-volume', 'intent', "{'epoch': 1}"],
  ['detach-volume', 'intent', '{epoch: 1}'],
  ['detach-volume', 'intent', '{"a": "\\x"}'],
  ['detach-volume', 'intent', '{"a": "\\u12"}'],
  ['detach-volume', 'intent', '{"a": "a\tb"}'],
  ['detach-volume', 'intent', '{"a": "a\nb"}'],
  ['detach-volume', 'intent', '{"a": 1} trailing'],
  ['detach-volume', 'intent', '{"a": TRUE}'],
  ['detach-volume', 'intent', '{} {}'],
  ['detach-volume', 'intent', '\ufeff{}'],
  ['detach-volume', 'intent', '[1]'],
  ['detach-volume', 'intent', '"text"'],
  ['detach-volume', 'intent', 'null'],
  ['detach-volume', 'intent', ''],
];

it.each(SOUND)('of an entry %j %j %s nothing is said', async (...entry) => {
  const id = await stored(entry, 'failed');
  expect((await ledger.readExamined(id))?.held).toBeNull();
  expect(journalFlaw(await ledger.readJournal(id))).toBeNull();
});

it.each(SPOILT)('of an entry %j %j %s it is said that it is not understood', async (...entry) => {
  const id = await stored(entry, 'failed');
  const held = (await ledger.readExamined(id))?.held;
  expect(held).toContain('journal entry 2: its ');
  expect(held).toBe(journalFlaw(await ledger.readJournal(id)));
});

it('an open operation is not examined, and what it is held for stays', async () => {
  const spoilt: Entry = ['teleport', 'done', '{}'];
  const open = await stored(spoilt, 'executing');
  expect(await ledger.readExamined(open)).toEqual(await ledger.readOperation(open));
  const held = await stored(spoilt, 'failed', 'somebody has said so');
  expect((await ledger.readExamined(held))?.held).toBe('somebody has said so');
  expect(await ledger.readExamined(randomUUID())).toBeNull();
});
