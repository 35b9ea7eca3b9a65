import { afterEach, beforeAll, expect, it } from 'vitest';
import type { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch } from '~/server/model/ledger';
import type { MappingEffect, Refusals } from '~/server/model/ledger-writes';
import { A, APPLIANCE, attach, B, create, detach, ended, mapping, T0 } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const database = useMigrated();
let ledger: MysqlLedger;
let epoch: Epoch;

beforeAll(async () => {
  ledger = database.ledger(() => T0);
  epoch = await ledger.takeOver(APPLIANCE, 'test');
});
afterEach(() => sql('DROP TRIGGER IF EXISTS theirs'));

const sql = (text: string) => database.query(text);

/** A trigger of another program that refuses the rows of which this is true. */
const refuses = (event: string, isRefused: string, state = '22001', number = 1406) =>
  sql(`CREATE TRIGGER theirs BEFORE ${event} FOR EACH ROW BEGIN IF ${isRefused} THEN
    SIGNAL SQLSTATE '${state}' SET MYSQL_ERRNO = ${number}, MESSAGE_TEXT = 'Not in theirs';
    END IF; END`);

const waits = {
  code: 'DATABASE_UNAVAILABLE',
  message: expect.stringMatching(/Not in theirs.*SHOW TRIGGERS/),
};

it.each([
  ['22001', 1406],
  ['22003', 1264],
  ['22007', 1292],
  ['21S01', 1136],
  ['23000', 1048],
  ['23000', 1062],
  ['23000', 1452],
  ['HY000', 1366],
  ['45000', 1644],
])(
  'what a trigger of another program refuses (%s, %d) is waited for, by name, and is no mistake of ours',
  async (state, number) => {
    const { operation } = await ledger.accept(epoch, create(`${state} ${number}`));
    await ledger.claim(epoch, 1);
    const put: MappingEffect = { kind: 'put-mapping', mapping: mapping(A) };
    const end = () =>
      ledger.append(epoch, operation.id, { after: 2, at: T0, entries: [], effects: [put], end: ended() });
    await ledger.auditedChange(epoch, [put], { step: 'sync:test', state: 'note', data: {} });
    await refuses('UPDATE ON device_mappings', 'TRUE', state, number);
    await expect(end()).rejects.toMatchObject(waits);
    await sql('DROP TRIGGER theirs');
    await end();
    expect(await ledger.readOperation(operation.id)).toMatchObject({ status: 'completed' });
  },
);

it('one request that a trigger refuses is answered as such, and those that came with it are accepted', async () => {
  await ledger.accept(epoch, create('first'));
  await refuses('INSERT ON volume_operations', "NEW.request LIKE '%unwanted%'");
  const outcomes = await Promise.allSettled(
    ['one', 'two', 'unwanted', 'three'].map((name) => ledger.accept(epoch, create(name))),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  await expect(ledger.accept(epoch, create('unwanted'))).rejects.toMatchObject(waits);
});

const reason = waits.message;
const told = (refused: Refusals) => [...refused].map(([id, refusal]) => [id, refusal.reason]);

it.each([
  ['UPDATE ON volume_operations', `NEW.volume_id = '${A}'`, '22001', 1406],
  // Their own table has that row already: the volume is not busy.
  ['UPDATE ON volume_operations', `NEW.volume_id = '${A}'`, '23000', 1062],
  [
    'INSERT ON volume_operation_steps',
    `NEW.state = 'executing' AND NEW.operation_id =
    (SELECT id FROM volume_operations WHERE volume_id = '${A}' AND completed_at IS NULL)`,
    '22001',
    1406,
  ],
])(
  'an operation whose claim a trigger refuses (%s, %s, %s) is named, and keeps no other from being claimed',
  async (event, when, state, number) => {
    await ledger.claim(epoch, 100);
    const { operation: unwanted } = await ledger.accept(epoch, attach(A, APPLIANCE));
    const { operation: other } = await ledger.accept(epoch, attach(B, APPLIANCE));
    await refuses(event, when, state, number);
    const refused: Refusals = new Map();
    expect(await ledger.claim(epoch, 1, refused)).toEqual([]);
    expect(told(refused)).toEqual([[unwanted.id, reason]]);
    expect((await ledger.claim(epoch, 1, refused)).map(({ operation }) => operation.id)).toEqual([other.id]);
    expect(await ledger.claim(epoch, 10)).toEqual([]);
    await sql('DROP TRIGGER theirs');
    expect((await ledger.claim(epoch, 10)).map(({ operation }) => operation.id)).toEqual([unwanted.id]);
    for (const { id } of [unwanted, other])
      await ledger.append(epoch, id, { after: 2, at: T0, entries: [], end: ended() });
  },
);

it('one operation that a trigger does not let go on after a take-over is named, and the others go on', async () => {
  const { operation: unwanted } = await ledger.accept(epoch, attach(A, APPLIANCE));
  const { operation: other } = await ledger.accept(epoch, attach(B, APPLIANCE));
  await ledger.claim(epoch, 10);
  await refuses('UPDATE ON volume_operations', `NEW.volume_id = '${A}'`);
  epoch = await ledger.takeOver(APPLIANCE, 'next');
  const refused: Refusals = new Map();
  expect((await ledger.resumable(epoch, refused)).map(({ id }) => id).slice(-2)).toEqual([
    unwanted.id,
    other.id,
  ]);
  expect(told(refused)).toEqual([[unwanted.id, reason]]);
  const notes = (id: string) =>
    ledger.append(epoch, id, { after: 2, at: T0, entries: [{ step: 'x', state: 'note', data: {} }] });
  await notes(other.id);
  await expect(notes(unwanted.id)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  await sql('DROP TRIGGER theirs');
  refused.clear();
  await ledger.resumable(epoch, refused);
  expect([...refused]).toEqual([]);
  await notes(unwanted.id);
  for (const { id } of [unwanted, other])
    await ledger.append(epoch, id, { after: 3, at: T0, entries: [], end: ended() });
});

it('a row that a trigger has in its own table already is no sign of another owner', async () => {
  const { operation } = await ledger.accept(epoch, create('journaled by others'));
  await ledger.claim(epoch, 1);
  await refuses('INSERT ON volume_operation_steps', 'TRUE', '23000', 1062);
  const change = { after: 2, at: T0, entries: [], end: ended() };
  await expect(ledger.append(epoch, operation.id, change)).rejects.toMatchObject(waits);
  await sql('DROP TRIGGER theirs');
  await ledger.append(epoch, operation.id, change);
});

it.each([
  ['UPDATE ON volume_operations', "NEW.id = 'old-1'"],
  ['INSERT ON volume_operation_steps', "NEW.operation_id = 'old-1'"],
])(
  'one operation of the old daemon that a trigger does not let end (%s) is named, and keeps no other',
  async (event, when) => {
    await sql('DELETE FROM volume_operations');
    await sql(`INSERT INTO volume_operations (id, type, status, volume_id, request) VALUES
    ('old-1', 'attach', 'executing', '${A}', '{}'), ('old-2', 'attach', 'executing', '${B}', '{}'),
    ('old-3', 'detach', 'pending', '${B}', '{}')`);
    const { operation } = await ledger.accept(epoch, attach(A, APPLIANCE));
    await refuses(event, when);
    epoch = await ledger.takeOver(APPLIANCE, 'next');
    const refused: Refusals = new Map();
    await ledger.resumable(epoch, refused);
    expect(told(refused)).toEqual([['old-1', reason]]);
    expect(await ledger.readOperation('old-1')).toMatchObject({ status: 'executing' });
    for (const id of ['old-2', 'old-3'])
      expect(await ledger.readOperation(id)).toMatchObject({ errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect((await ledger.claim(epoch, 9, refused)).map(({ operation: { id } }) => id)).toEqual([
      operation.id,
    ]);
    await sql('DROP TRIGGER theirs');
    refused.clear();
    await ledger.resumable(epoch, refused);
    expect([...refused]).toEqual([]);
    expect(await ledger.readOperation('old-1')).toMatchObject({ errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(await ledger.readJournal('old-1')).toMatchObject([{ state: 'note' }]);
  },
);

it('one of unknown status that a trigger does not let be held is named, and keeps only its volume waiting', async () => {
  await sql('DELETE FROM volume_operations');
  const { operation: strange } = await ledger.accept(epoch, attach(A, APPLIANCE));
  const { operation: behind } = await ledger.accept(epoch, detach(A));
  const { operation: other } = await ledger.accept(epoch, attach(B, APPLIANCE));
  await sql("ALTER TABLE volume_operations MODIFY status VARCHAR(32) NOT NULL DEFAULT 'pending'");
  await sql(`UPDATE volume_operations SET status = 'paused' WHERE id = '${strange.id}'`);
  await refuses('UPDATE ON volume_operations', `NEW.id = '${strange.id}'`);
  const refused: Refusals = new Map();
  expect((await ledger.resumable(epoch, refused)).map(({ id }) => id)).toEqual([]);
  expect(told(refused)).toEqual([[strange.id, reason]]);
  expect((await ledger.claim(epoch, 9, refused)).map(({ operation: { id } }) => id)).toEqual([other.id]);
  await sql('DROP TRIGGER theirs');
  refused.clear();
  expect((await ledger.resumable(epoch, refused)).map(({ id, held }) => [id, held])).toEqual([
    [strange.id, 'its status "paused" is not known to this version'],
    [other.id, null],
  ]);
  expect(await ledger.readOperation(behind.id)).toMatchObject({ status: 'pending' });
});

it.each([
  ['UPDATE ON volume_operations', (id: string) => `NEW.id = '${id}'`],
  ['INSERT ON volume_operation_steps', (id: string) => `NEW.operation_id = '${id}'`],
])(
  'after a return from the old daemon, what a trigger does not let end (%s) is not begun, and keeps no other',
  async (event, when) => {
    await sql('DELETE FROM volume_operations');
    const { operation: runs } = await ledger.accept(epoch, attach(A, APPLIANCE));
    await ledger.claim(epoch, 9);
    const { operation: waits1 } = await ledger.accept(epoch, attach(B, APPLIANCE));
    const { operation: waits2 } = await ledger.accept(epoch, create('waits'));
    await sql(
      "INSERT INTO volume_operations (id, type, status, volume_id, request) VALUES ('old', 'attach', 'completed', '', '{}')",
    );
    await refuses(event, `${when(waits1.id)} OR ${when(runs.id)}`);
    epoch = await ledger.takeOver(APPLIANCE, 'next');
    const refused: Refusals = new Map();
    await ledger.resumable(epoch, refused);
    expect(told(refused)).toContainEqual([waits1.id, reason]);
    expect(await ledger.readOperation(waits2.id)).toMatchObject({ errorCode: 'OPERATION_ABANDONED' });
    expect(await ledger.claim(epoch, 9, refused)).toEqual([]);
    await sql('DROP TRIGGER theirs');
    refused.clear();
    const held = expect.stringContaining('the previous daemon has worked here since');
    expect(await ledger.resumable(epoch, refused)).toMatchObject([{ id: runs.id, held }]);
    expect([...refused]).toEqual([]);
    expect(await ledger.readOperation(waits1.id)).toMatchObject({ errorCode: 'OPERATION_ABANDONED' });
  },
);

it("a trigger's own duplicate at the first take-over of an appliance is no sign of another owner", async () => {
  await refuses('INSERT ON appliances', 'TRUE', '23000', 1062);
  await expect(ledger.takeOver('another-appliance', 'test')).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringMatching(/Not in theirs.*SHOW TRIGGERS/),
  });
});

it('one ended operation that a trigger does not let be deleted is named, and keeps no other from being pruned', async () => {
  await sql('DELETE FROM volume_operations');
  for (const [id, days] of [
    ['old-1', 9],
    ['old-2', 8],
    ['old-3', 7],
  ] as const)
    await sql(`INSERT INTO volume_operations (id, appliance_id, type, status, volume_id, request, created_at, completed_at, accepted_at)
      VALUES ('${id}', '${APPLIANCE}', 'create', 'failed', '', '{}', NOW() - INTERVAL 9 DAY, NOW() - INTERVAL ${days} DAY, NOW() - INTERVAL 9 DAY)`);
  await sql(`CREATE TRIGGER theirs BEFORE DELETE ON volume_operations FOR EACH ROW BEGIN IF OLD.id = 'old-1' THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Not in theirs'; END IF; END`);
  const prune = () =>
    ledger.prune(epoch, { ageMs: 86_400_000, localNowMs: Date.now(), keepNewest: 0, limit: 2 });
  expect(await prune()).toEqual({
    deleted: 1,
    refused: expect.stringMatching(/^operation old-1 stays: .*Not in theirs/),
  });
  expect(await prune()).toMatchObject({ deleted: 1 });
  await sql('DROP TRIGGER theirs');
  expect(await prune()).toEqual({ deleted: 1, refused: null });
});
