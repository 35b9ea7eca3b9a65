import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Mariadb } from '~/lab/mariadb';
import { LIMITS } from '~/server/core/limits';
import { type Database, openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { startMigrated } from './start-migrated';

let server: Mariadb;
let pool: Database;
let ledger: MysqlLedger;

beforeAll(async () => {
  const migrated = await startMigrated();
  server = migrated.server;
  const { dsn } = migrated;
  // One less than we make, and they count from now on.
  await server.query(
    `ALTER USER 'oma_user'@'%' WITH MAX_USER_CONNECTIONS ${LIMITS.DATABASE_CONNECTIONS + 1}`,
  );
  pool = openPool(dsn);
  ledger = new MysqlLedger(pool, Date.now);
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

it('the lease gets a connection where the account has no more: those of ours that lie idle make room', async () => {
  const epoch = await ledger.takeOver('appliance', 'owner', { seen: null, instance: '' });
  const idOfLease = await pool.urgent(async (db) => {
    const { rows } = await sql<{ id: number }>`SELECT CONNECTION_ID() AS id`.execute(db);
    return Number(rows[0]?.id);
  });
  const sleeping = () => pool.query((db) => sql`SELECT SLEEP(0.2)`.execute(db));
  await Promise.all(Array.from({ length: LIMITS.DATABASE_CONNECTIONS }, sleeping));
  await server.query(`KILL ${idOfLease}`);
  await pool.packet('journal', []);
  const renew = () =>
    ledger.renewLease(epoch).then(
      () => 'renewed',
      (error: unknown) => String(error),
    );
  expect(await renew()).toContain('raise the limit of connections');
  await expect.poll(renew, { timeout: LIMITS.LEASE_HOLD_MS }).toBe('renewed');
});
