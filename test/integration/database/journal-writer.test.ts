import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { DatabaseProxy } from '~/lab/faults/database-proxy';
import { silentLogger } from '~/server/core/log/logger';
import { parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch } from '~/server/model/ledger';
import type { MappingEffect, OperationChange } from '~/server/model/ledger-writes';
import { APPLIANCE, attach, ended, entry, mapping, T0 } from '../../contract/ledger/fixtures';
import { SPECIFICATION } from './old-databases';
import { useMigrated } from './use-migrated';

const volume = (n: number) => `a0000000-0000-4000-8000-00000000000${n}`;

const database = useMigrated();
let proxy: DatabaseProxy;
let port: number;
let pool: Database;
let ledger: MysqlLedger;
let epoch: Epoch;
/** The texts with which anything was committed, a packet or a COMMIT; and what else began a transaction. */
let commits: (readonly string[])[];
let begun: string[];

beforeAll(async () => {
  proxy = new DatabaseProxy(database.server);
  port = await proxy.listen();
  pool = openPool({ ...database.dsn, port });
});
afterAll(async () => {
  await pool.close();
  await proxy.stop();
});
beforeEach(async () => {
  ledger = new MysqlLedger(pool, () => T0);
  epoch = await ledger.takeOver(APPLIANCE, 'test');
  [commits, begun] = [[], []];
});
afterEach(async () => {
  proxy.judge = () => null;
  for (const table of [
    'volume_operation_steps',
    'volume_operations',
    'device_mappings',
    'volume_operation_totals',
  ])
    await database.query(`DELETE FROM ${table}`);
});

async function executing(count: number): Promise<string[]> {
  for (let n = 0; n < count; n += 1) await ledger.accept(epoch, attach(volume(n), APPLIANCE));
  const ids = (await ledger.claim(epoch, count)).map(({ operation }) => operation.id);
  expect(ids).toHaveLength(count);
  proxy.judge = ({ text, before }) => {
    if (/^commit/i.test(text)) commits.push(before);
    if (/^begin/i.test(text)) begun.push(text);
    return null;
  };
  return ids;
}

const intent = { after: 2, at: T0 + 5, entries: [entry('attach-volume', 'intent', { job_id: 'j' })] };

it('what operations write while a packet is under way shares the next one', async () => {
  const ids = await executing(6);
  const changes = ids.map((id): [string, OperationChange] => [id, intent]);
  const written = await Promise.all(changes.map(([id, change]) => ledger.append(epoch, id, change)));
  expect(begun).toEqual([]);
  expect(commits).toHaveLength(2);
  for (const [index, id] of ids.entries())
    expect((await ledger.readJournal(id)).slice(2)).toEqual(written[index]);
});

it.each<[string, MappingEffect[], MappingEffect[]]>([
  ['a mapping', [], [{ kind: 'put-mapping', mapping: mapping(volume(0)) }]],
  ['an export of a mapped volume', [put()], [{ kind: 'put-export', record: record() }]],
  [
    'the status of an export',
    [put(), { kind: 'put-export', record: record() }],
    [{ kind: 'set-export-status', volumeId: volume(0), status: 'pending' }],
  ],
  ['the end of a mapping', [put()], [{ kind: 'delete-mapping', volumeId: volume(0), vmId: APPLIANCE }]],
])('%s and its entry are one packet', async (_name, before, effects) => {
  const [id = ''] = await executing(1);
  if (before.length > 0)
    await ledger.auditedChange(epoch, before, { step: 'sync:test', state: 'note', data: {} });
  [commits, begun] = [[], []];
  await ledger.append(epoch, id, { ...intent, effects });
  expect(begun).toEqual([]);
  expect(commits).toHaveLength(1);
});

it('the end of an operation is one packet, with its open job and its place in the totals', async () => {
  const [id = ''] = await executing(1);
  await ledger.append(epoch, id, { ...intent, end: ended() });
  expect(begun).toEqual([]);
  expect(commits).toHaveLength(1);
  expect(await ledger.openJobs(volume(0))).toEqual([{ operationId: id, step: 'attach-volume', jobId: 'j' }]);
  expect((await ledger.counts(APPLIANCE)).byStatus.completed).toBe(1);
});

it.each(['utf8mb4_unicode_ci', 'utf8mb4_bin'])(
  'also in an adopted database, whose tables have another collation than those made now: %s',
  async (collation) => {
    const dsn = parseDsn((await database.server.createDatabase(`adopted_${collation}`)).dsn);
    for (const statement of SPECIFICATION) {
      const isTable = statement.startsWith('CREATE TABLE');
      const text = isTable ? `${statement} DEFAULT CHARSET=utf8mb4 COLLATE=${collation}` : statement;
      await database.server.query(text, [], dsn.database);
    }
    await migrate(dsn, silentLogger);
    const adopted = openPool({ ...dsn, port });
    ledger = new MysqlLedger(adopted, () => T0);
    epoch = await ledger.takeOver(APPLIANCE, 'test');
    const [id = ''] = await executing(1);
    await ledger.append(epoch, id, intent);
    expect(begun).toEqual([]);
    expect(commits).toHaveLength(1);
    await adopted.close();
  },
);

it('one that is refused takes nobody along', async () => {
  const ids = await executing(4);
  const [, stale = ''] = ids;
  await ledger.append(epoch, stale, intent);
  const other = { ...intent, entries: [entry('attach-volume', 'intent', { job_id: 'another' })] };
  const written = await Promise.allSettled(ids.map((id) => ledger.append(epoch, id, other)));
  expect(written.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
  expect(written[1]).toMatchObject({ reason: { code: 'LEASE_LOST' } });
  for (const id of ids) expect(await ledger.readJournal(id)).toHaveLength(3);
});

it('a row that another program has locked holds up only the operation that changes it', async () => {
  const [blocked = '', ...others] = await executing(3);
  await ledger.auditedChange(epoch, [put()], { step: 'sync:test', state: 'note', data: {} });
  let waiting: Promise<unknown> = Promise.resolve();
  await database.pool.kysely.transaction().execute(async (tx) => {
    await tx.selectFrom('device_mappings').selectAll().forUpdate().execute();
    waiting = ledger.append(epoch, blocked, { ...intent, effects: [put()] });
    for (const id of others) await ledger.append(epoch, id, intent);
    expect(await ledger.readJournal(blocked)).toHaveLength(2);
  });
  await waiting;
  expect(await ledger.readJournal(blocked)).toHaveLength(3);
});

it('a take-over waits for a packet, and after it nothing of the old epoch is written', async () => {
  const ids = await executing(3);
  const next = database.ledger(() => T0);
  const all = await Promise.allSettled([
    ...ids.map((id) => ledger.append(epoch, id, intent)),
    next.takeOver(APPLIANCE, 'next', undefined),
    ...ids.map((id) =>
      ledger.append(epoch, id, { ...intent, after: 3, entries: [entry('attach-volume', 'accepted', {})] }),
    ),
  ]);
  const written = all.filter(({ status }) => status === 'fulfilled').length - 1;
  const lost = all.filter(({ status }) => status === 'rejected');
  for (const one of lost) expect(one).toMatchObject({ reason: { code: 'LEASE_LOST' } });
  const journals = await Promise.all(ids.map((id) => next.readJournal(id)));
  expect(journals.reduce((sum, journal) => sum + journal.length - 2, 0)).toBe(written);
  for (const id of ids)
    await expect(ledger.append(epoch, id, { ...intent, after: 9 })).rejects.toMatchObject({
      code: 'LEASE_LOST',
    });
});

it('a take-over waits for acceptances under way, and after it none of the old epoch is stored', async () => {
  const next = database.ledger(() => T0);
  await ledger.accept(epoch, attach(volume(9), APPLIANCE));
  const many = (from: number) =>
    Array.from({ length: 4 }, (_, n) => ledger.accept(epoch, attach(volume(from + n), APPLIANCE)));
  const all = await Promise.allSettled([...many(0), next.takeOver(APPLIANCE, 'next'), ...many(4)]);
  const stored = all.filter(({ status }) => status === 'fulfilled').length - 1;
  for (const one of all)
    if (one.status === 'rejected') expect(one).toMatchObject({ reason: { code: 'LEASE_LOST' } });
  expect(await next.listOperations({ limit: 20 })).toHaveLength(stored + 1);
  await expect(Promise.all(many(0))).rejects.toMatchObject({ code: 'LEASE_LOST' });
  expect(await next.listOperations({ limit: 20 })).toHaveLength(stored + 1);
});

function put(): MappingEffect {
  return { kind: 'put-mapping', mapping: mapping(volume(0)) };
}

function record() {
  return {
    volumeId: volume(0),
    exportName: `migration-vol-${volume(0)}`,
    devicePath: '/dev/vdb',
    port: 10809,
    status: 'active' as const,
    metadata: {},
  };
}
