import { EventEmitter, once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { type Database, openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { useMigrated } from './use-migrated';

const database = useMigrated();
let pool: Database;
let ledger: MysqlLedger;

beforeAll(async () => {
  // One less than we make, and they count from now on.
  await database.query(
    `ALTER USER 'oma_user'@'%' WITH MAX_USER_CONNECTIONS ${LIMITS.DATABASE_CONNECTIONS + 1}`,
  );
  pool = openPool(database.dsn);
  ledger = new MysqlLedger(pool, Date.now);
});
afterAll(() => pool.close());

it('the lease gets a connection where the account has no more: those of ours that lie idle make room', async () => {
  const epoch = await ledger.takeOver('appliance', 'owner', { seen: null, instance: '' });
  const idOfLease = await pool.urgent(async (db) => {
    const { rows } = await sql<{ id: number }>`SELECT CONNECTION_ID() AS id`.execute(db);
    return Number(rows[0]?.id);
  });
  await openAll();
  await database.query(`KILL ${idOfLease}`);
  // It counts until it has ended.
  const killed = () => database.query(`SELECT 1 FROM information_schema.processlist WHERE id = ${idOfLease}`);
  await expect.poll(killed).toEqual([]);
  await pool.packet('journal', []);
  const renew = () =>
    ledger.renewLease(epoch).then(
      () => 'renewed',
      (error: unknown) => String(error),
    );
  expect(await renew()).toContain('raise the limit of connections');
  await expect.poll(renew, { timeout: LIMITS.LEASE_HOLD_MS }).toBe('renewed');
});

/** Every connection for requests: each transaction keeps its own until all have theirs. */
async function openAll(): Promise<void> {
  const opened = new EventEmitter();
  const allOpen = once(opened, 'all');
  let missing = LIMITS.DATABASE_CONNECTIONS;
  const openOne = () =>
    pool.transaction(async (tx) => {
      await sql`SELECT 1`.execute(tx);
      missing -= 1;
      if (missing === 0) opened.emit('all');
      await allOpen;
    });
  await Promise.all(Array.from({ length: LIMITS.DATABASE_CONNECTIONS }, openOne));
}

/** With one connection for the lease and one for everything else. */
async function beginAnew(): Promise<void> {
  await pool.close();
  const sessions = () =>
    database.query("SELECT 1 FROM information_schema.processlist WHERE user = 'oma_user'");
  await expect.poll(sessions).toEqual([]);
  await database.query("ALTER USER 'oma_user'@'%' WITH MAX_USER_CONNECTIONS 2");
  pool = openPool(database.dsn);
  ledger = new MysqlLedger(pool, Date.now);
}

it('requests take turns where the account has fewer connections than they want, and the lease keeps its own', async () => {
  await beginAnew();
  const seen = await ledger.readOwner('appliance');
  const epoch = await ledger.takeOver('appliance', 'owner', { seen, instance: '' });
  const requests = Array.from({ length: 50 }, async () => {
    await ledger.ping();
    await ledger.resumable(epoch);
  });
  await Promise.all(requests);
  await ledger.renewLease(epoch);
  expect(pool.usage()).toEqual({ inUse: 0, waiting: 0 });
});

it('a packet that has the last connection gives it back to what has none', async () => {
  await beginAnew();
  await ledger.readOwner('appliance');
  expect(await pool.packet('journal', [])).toEqual([]);
  const ping = () =>
    ledger.ping().then(
      () => 'answered',
      (error: unknown) => String(error),
    );
  expect(await ping()).toContain('raise the limit of connections');
  await expect.poll(ping).toBe('answered');
});
