import { afterAll, beforeAll } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';

/**
 * A MariaDB of a test file, with the tables of the daemon, and connections to it that are opened when used.
 */
export function useMigrated() {
  let server: Mariadb;
  let dsn: Dsn;
  let pool: Database;
  beforeAll(async () => {
    server = await startMariadb();
    dsn = parseDsn(server.dsn);
    await migrate(dsn, silentLogger);
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
