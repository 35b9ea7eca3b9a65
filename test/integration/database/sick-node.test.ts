import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DatabaseProxy, type Ruling } from '~/lab/faults/database-proxy';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import type { Dsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch } from '~/server/model/ledger';
import { attach, ended } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

/** Two ways to one server stand for two nodes of a cluster: what is written on one is there on the other. */
const APPLIANCE = 'appliance';
const database = useMigrated();
let sick: DatabaseProxy;
let sound: DatabaseProxy;
let dsn: Dsn;
let pool: Database;
let ledger: MysqlLedger;
let epoch: Epoch;

beforeAll(async () => {
  const direct = database.dsn;
  sick = new DatabaseProxy(direct);
  sound = new DatabaseProxy(direct);
  const [first, second] = [await sick.listen(), await sound.listen()];
  const alternatives = [{ host: '127.0.0.1', port: second, socketPath: null }];
  dsn = { ...direct, host: '127.0.0.1', port: first, alternatives };
});
afterAll(async () => {
  await sick.stop();
  await sound.stop();
});
beforeEach(async () => {
  pool = openPool(dsn);
  ledger = new MysqlLedger(pool, Date.now);
  epoch = await ledger.takeOver(APPLIANCE, 'here');
  await ledger.probe(epoch);
});
afterEach(async () => {
  sick.judge = () => null;
  sound.judge = () => null;
  await pool.close();
});

const writes = /^(insert|update|delete|commit)/i;

describe('a node that answers reads and refuses or swallows every write', () => {
  it.each([
    [1030, 'HY000', 'Got error 28 "No space left on device" from storage engine'],
    [1026, 'HY000', "Error writing file '/var/lib/mysql/binlog' (Errcode: 28)"],
    [1036, 'HY000', "Table 'appliances' is read only"],
    [1194, 'HY000', "Table 'appliances' is marked as crashed and should be repaired"],
    [1290, 'HY000', 'The server is running with the --read-only option'],
    [1815, 'HY000', 'Internal error: something new'],
    [3100, 'HY000', "Error on observer while running replication hook 'before_commit'."],
    [3675, 'HY000', 'Create table/tablespace failed, as disk is full.'],
  ])('refused with %i: the next node does it, in the same call', async (number, state, text) => {
    sick.judge = (statement) => (writes.test(statement.text) ? { refusal: { number, state, text } } : null);
    await ledger.probe(epoch);
    await ledger.renewLease(epoch);
  });

  it('unanswered: after two of them the next node does it', async () => {
    const swallow: Ruling = { before: () => new Promise(() => {}) };
    sick.judge = (statement) => (writes.test(statement.text) ? swallow : null);
    for (let unanswered = 0; unanswered < LIMITS.UNANSWERED_WRITES; unanswered += 1) {
      await expect(ledger.renewLease(epoch)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
      // Reads are answered all the while.
      await ledger.readOperation('none');
    }
    await ledger.renewLease(epoch);
    await ledger.probe(epoch);
  });
});

describe('what every node would say is no reason to leave one', () => {
  it.each([
    [1142, '42000', "UPDATE command denied to user 'u'@'%' for table 'appliances'"],
    [1451, '23000', 'Cannot delete or update a parent row: a foreign key constraint fails'],
    [1644, '45000', 'A trigger does not want this'],
    [1180, 'HY000', 'Got error 90 "Message too long" during COMMIT'],
  ])('%i', async (number, state, text) => {
    sick.judge = (statement) => (writes.test(statement.text) ? { refusal: { number, state, text } } : null);
    await expect(ledger.renewLease(epoch)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    sick.judge = () => null;
    sound.judge = () => ({ refusal: { number: 1105, state: 'HY000', text: 'nobody comes here' } });
    await ledger.renewLease(epoch);
    await ledger.probe(epoch);
  });
});

it('a proxy that takes one statement at a time: it is said once, all goes one by one, and no node is left', async () => {
  const lines: string[] = [];
  const warn = (message: string, fields?: object) =>
    void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const proxied = openPool(dsn, { ...silentLogger, warn, info: warn });
  const refusal = { number: 1105, state: 'HY000', text: 'one statement at a time' };
  sick.judge = ({ before }) => (before[0] === 'START TRANSACTION' ? { refusal } : null);
  sound.judge = () => ({ refusal: { number: 1105, state: 'HY000', text: 'nobody comes here' } });
  const there = new MysqlLedger(proxied, Date.now);
  for (const n of [1, 2, 3]) {
    const { operation } = await there.accept(
      epoch,
      attach(`a0000000-0000-4000-8000-00000000000${n}`, APPLIANCE),
    );
    const claimed = await there.claim(epoch, 1);
    expect(claimed.map(({ operation: { id } }) => id)).toEqual([operation.id]);
    await there.append(epoch, operation.id, { after: 2, at: Date.now(), entries: [], end: ended() });
    expect(await there.readOperation(operation.id)).toMatchObject({ status: 'completed' });
  }
  await proxied.close();
  const refused = expect.stringMatching(/^Several statements in one packet were refused.*/);
  // For acceptances, and for what operations write.
  expect(lines).toEqual([refused, refused]);
});

it('a proxy that sends reads to a replica that lags is no database to work with, and is named', async () => {
  const lags: Ruling = {
    instead: 'SELECT NOW(3) AS now, NOW(3) - INTERVAL 1 SECOND AS probed_at, 9 AS renewals',
  };
  sick.judge = ({ text }) => (/^select current_timestamp/i.test(text) ? lags : null);
  await expect(ledger.probe(epoch)).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringContaining('sends reads to a replica that lags'),
  });
  sick.judge = () => null;
  await ledger.probe(epoch);
});

it('a proxy whose connections lead to two servers, as after a switch that left the old ones open: all are made anew', async () => {
  const idOf = async () => {
    const { rows } = await pool.urgent((db) => sql<{ id: number }>`SELECT CONNECTION_ID() AS id`.execute(db));
    return Number(rows[0]?.id);
  };
  await ledger.renewLease(epoch);
  const before = await idOf();
  const old: Ruling = {
    instead: 'SELECT NOW(3) AS now, NOW(3) + INTERVAL 1 SECOND AS probed_at, 0 AS renewals',
  };
  sick.judge = ({ text }) => (/^select current_timestamp/i.test(text) ? old : null);
  await expect(ledger.probe(epoch)).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringContaining('lead to two servers'),
  });
  sick.judge = () => null;
  await ledger.probe(epoch);
  expect(await idOf()).not.toBe(before);
});
