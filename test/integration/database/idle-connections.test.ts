import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { withLimits } from '../../support/with-limits';

let server: Mariadb;
let pool: Database;

beforeAll(async () => {
  server = await startMariadb();
  pool = openPool(parseDsn(server.dsn));
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

/** Connections of the pool, by the server's own list. */
async function connections(): Promise<number> {
  const user = parseDsn(server.dsn).user;
  const rows = await server.query('SELECT id FROM information_schema.processlist WHERE user = ?', [user]);
  return Array.isArray(rows) ? rows.length : -1;
}

const ask = () => pool.query((db) => sql`SELECT 1`.execute(db));

it('connections that nobody has used for long are closed when another one is taken, and no others', async () => {
  await Promise.all([1, 2, 3, 4].map(() => ask()));
  expect(await connections()).toBe(4);
  await ask();
  expect(await connections()).toBe(4);
  await withLimits({ DATABASE_IDLE_MS: 0 }, async () => {
    await ask();
    await expect.poll(connections).toBe(1);
  });
  // The pool has noticed: nobody is given one that is closed.
  await Promise.all([1, 2, 3].map(() => ask()));
});
