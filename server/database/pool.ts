import { Kysely, MysqlDialect, type Transaction } from 'kysely';
import { createPool, type Pool, type PoolOptions } from 'mysql2';
import { LIMITS } from '../runtime/limits';
import type { Dsn } from './dsn';
import { mayRunAgain, translate } from './faults';
import type { Tables } from './tables';

/** What every connection of ours is set to. UTC in and out; strict mode, so that nothing is silently cut. */
const SESSION = "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', innodb_lock_wait_timeout = 10";

export function connectionOptions(dsn: Dsn): PoolOptions {
  return {
    user: dsn.user,
    password: dsn.password,
    database: dsn.database,
    ...(dsn.socketPath === null ? { host: dsn.host, port: dsn.port } : { socketPath: dsn.socketPath }),
    ...(dsn.tls === false ? {} : { ssl: { rejectUnauthorized: dsn.tls === true } }),
    timezone: 'Z',
    charset: 'utf8mb4',
    connectTimeout: dsn.connectTimeout ?? LIMITS.DATABASE_CONNECT_TIMEOUT,
    enableKeepAlive: true,
    supportBigNumbers: true,
    multipleStatements: false,
  };
}

export interface Database {
  readonly kysely: Kysely<Tables>;
  readonly pool: Pool;
  /** Runs a query outside a transaction; translates faults of the database into DATABASE_UNAVAILABLE. */
  query<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /**
   * Runs a transaction, again after a deadlock or a lock timeout (it was rolled back). A connection lost inside COMMIT leaves
   * the outcome open: DATABASE_UNAVAILABLE is thrown, and the caller's repetition must be able to see that it had happened.
   */
  transaction<T>(work: (tx: Transaction<Tables>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function openPool(dsn: Dsn): Database {
  const pool = createPool({ ...connectionOptions(dsn), connectionLimit: LIMITS.DATABASE_CONNECTIONS, queueLimit: LIMITS.DATABASE_QUEUE, maxIdle: LIMITS.DATABASE_CONNECTIONS, idleTimeout: 60_000 });
  // Queued on the connection before anything of ours; a connection that cannot even do this is broken and dropped.
  pool.on('connection', (connection) => {
    connection.query(SESSION, (error) => {
      if (error) connection.destroy();
    });
  });
  const kysely = new Kysely<Tables>({ dialect: new MysqlDialect({ pool }) });
  return {
    kysely,
    pool,
    query: (work) => faults(() => work(kysely)),
    transaction: async (work) => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await kysely.transaction().execute(work);
        } catch (error) {
          if (!mayRunAgain(error) || attempt >= LIMITS.DATABASE_RETRIES) throw translate(error);
        }
      }
    },
    close: async () => {
      await kysely.destroy();
    },
  };
}

async function faults<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(error);
  }
}
