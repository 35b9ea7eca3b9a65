import { afterAll, beforeAll } from 'vitest';
import type { Mariadb } from '~/lab/mariadb';
import type { Dsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { startMigrated } from './start-migrated';

/** The database of a test file, with the tables of the daemon, and connections to it. */
export function useMigrated() {
  let server: Mariadb;
  let dsn: Dsn;
  let pool: Database;
  beforeAll(async () => {
    ({ server, dsn } = await startMigrated());
    pool = openPool(dsn);
  });
  afterAll(async () => {
    await pool?.close();
    await server?.stop();
  });
  return {
    get server() {
      return server;
    },
    get dsn() {
      return dsn;
    },
    get pool() {
      return pool;
    },
    ledger: (now: () => number) => new MysqlLedger(pool, now),
    /** As root, past the daemon's connections. */
    query: (text: string, values: readonly unknown[] = []) => server.query(text, values, dsn.database),
  };
}
