import { isIP, Socket } from 'node:net';
import { rootCertificates } from 'node:tls';
import {
  Kysely,
  MysqlDialect,
  type MysqlPool,
  type MysqlPoolConnection,
  type MysqlQueryResult,
  type Transaction,
} from 'kysely';
import {
  createPool,
  type PoolConnection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Tables } from '../tables';
import type { Dsn } from './dsn';
import { breaksConnection, faultOf, translate, unavailable } from './faults';
import { sessionStatements } from './session';

/** A certificate for another name is refused; for an address the driver has no name to compare. */
function sslOptions({ tls, ca, host, socketPath }: Dsn): NonNullable<PoolOptions['ssl']> {
  if (tls !== true) return { rejectUnauthorized: false };
  const verifyIdentity = socketPath === null && isIP(host) === 0;
  return {
    rejectUnauthorized: true,
    verifyIdentity,
    ...(ca === null ? {} : { ca: [...rootCertificates, ca] }),
  };
}

export function connectionOptions(dsn: Dsn): PoolOptions {
  return {
    user: dsn.user,
    password: dsn.password,
    database: dsn.database,
    ...(dsn.socketPath === null ? { host: dsn.host, port: dsn.port } : { socketPath: dsn.socketPath }),
    ...(dsn.tls === false ? {} : { ssl: sslOptions(dsn) }),
    timezone: 'Z',
    charset: 'utf8mb4',
    connectTimeout: dsn.connectTimeoutMs ?? LIMITS.DATABASE_CONNECT_TIMEOUT_MS,
    enableKeepAlive: true,
    supportBigNumbers: true,
    // A broken value must reach us as text: the driver would throw where nobody can catch it.
    jsonStrings: true,
    multipleStatements: false,
  };
}

/** What a transaction's work is told about earlier runs of itself. */
export interface Attempt {
  /**
   * True when an earlier run reached its COMMIT and the answer was lost: it may have become true. The work
   * must look (with a locking read, which waits until the server has decided) before it writes again.
   */
  readonly inDoubt: boolean;
}

export interface Database {
  readonly kysely: Kysely<Tables>;
  /**
   * Runs a query outside a transaction, once more when its connection turns out to be dead. Throws
   * DATABASE_UNAVAILABLE.
   */
  query<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /**
   * Runs a transaction; again after a deadlock, a lock timeout or a lost connection, at most
   * LIMITS.DATABASE_RETRIES times. So `work` may act only through `tx` and must heed `attempt.inDoubt`.
   * Throws DATABASE_UNAVAILABLE.
   */
  transaction<T>(work: (tx: Transaction<Tables>, attempt: Attempt) => Promise<T>): Promise<T>;
  /** Connections at work, and requests that wait for one: right now, for metrics. */
  usage(): PoolUsage;
  /** Breaks every connection, also those in use; transactions under way run again on new ones. */
  distrust(): void;
  close(): Promise<void>;
}

export interface PoolUsage {
  readonly inUse: number;
  readonly waiting: number;
}

/** Opens the pool; nothing is connected before the first query. `onAway` hears of every refusal. */
export function openPool(dsn: Dsn, onAway: () => void = () => {}): Database {
  const pool = createPool({
    ...connectionOptions(dsn),
    connectionLimit: LIMITS.DATABASE_CONNECTIONS,
    queueLimit: LIMITS.DATABASE_QUEUE,
    maxIdle: LIMITS.DATABASE_CONNECTIONS - 1,
    // Before the server does it: a connection is not closed just as it is taken.
    idleTimeout: LIMITS.DATABASE_IDLE_MS / 2,
  });
  const sockets = new Set<Socket>();
  const sessions = new WeakMap<PoolConnection, Promise<void>>();
  pool.on('connection', (connection) => {
    const socket = socketOf(connection);
    if (socket) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    sessions.set(connection, beginSession(connection));
  });
  const usage = { inUse: 0, waiting: 0 };
  const guarded: MysqlPool = {
    getConnection: (callback) => {
      usage.waiting += 1;
      const refused = (error: unknown) => {
        usage.waiting -= 1;
        callback(unavailable(error), NO_CONNECTION);
      };
      pool.getConnection((error, connection) => {
        if (error) return refused(error);
        const given = () => {
          usage.waiting -= 1;
          usage.inUse += 1;
          callback(
            null,
            new GuardedConnection(connection, () => {
              usage.inUse -= 1;
            }),
          );
        };
        (sessions.get(connection) ?? Promise.resolve()).then(given, (reason: unknown) => {
          connection.destroy();
          refused(reason);
        });
      });
    },
    end: (callback) => pool.end(callback),
  };
  const kysely = new Kysely<Tables>({ dialect: new MysqlDialect({ pool: guarded }) });
  return {
    kysely,
    query: (work) => noticing(onAway, () => query(kysely, work)),
    transaction: (work) => noticing(onAway, () => transaction(kysely, work)),
    usage: () => ({ ...usage }),
    distrust: () => {
      for (const socket of sockets) socket.destroy(notTrusted());
    },
    // Not kysely.destroy(): without a query before it does nothing, and the pool's timer keeps running.
    close: () => new Promise((resolve, reject) => pool.end((error) => (error ? reject(error) : resolve()))),
  };
}

/** A session that is not as ours must be is not used. Its statements are sent at once, in order. */
async function beginSession(connection: PoolConnection): Promise<void> {
  const statements = sessionStatements(LIMITS.DATABASE_IDLE_MS).map(
    (sql) =>
      new Promise<void>((resolve, reject) => {
        connection.query({ sql, timeout: LIMITS.DATABASE_STATEMENT_MS }, (error) =>
          error ? reject(error) : resolve(),
        );
      }),
  );
  await Promise.all(statements);
}

/** mysql2 does not type its stream. Destroying it fails the statement under way at once. */
function socketOf(connection: object): Socket | null {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : null;
}

function notTrusted(): Error {
  return Object.assign(new Error('the connection is not trusted any more'), { code: 'ECONNRESET' });
}

async function noticing<T>(onAway: () => void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DaemonError && error.code === 'DATABASE_UNAVAILABLE') onAway();
    throw error;
  }
}

async function query<T>(kysely: Kysely<Tables>, work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
  try {
    return await work(kysely);
  } catch (error) {
    if (faultOf(error) !== 'lost') throw translate(error);
  }
  try {
    return await work(kysely);
  } catch (error) {
    throw translate(error);
  }
}

async function transaction<T>(
  kysely: Kysely<Tables>,
  work: (tx: Transaction<Tables>, attempt: Attempt) => Promise<T>,
): Promise<T> {
  let inDoubt = false;
  for (let attempt = 1; ; attempt += 1) {
    let committing = false;
    try {
      return await kysely.transaction().execute(async (tx) => {
        const value = await work(tx, { inDoubt });
        committing = true;
        return value;
      });
    } catch (error) {
      const fault = faultOf(error);
      // An error packet is an answer to COMMIT (a deadlock on a cluster); silence is none.
      if (committing && fault === 'lost') inDoubt = true;
      if ((fault !== 'rolled-back' && fault !== 'lost') || attempt >= LIMITS.DATABASE_RETRIES)
        throw translate(error);
    }
  }
}

/** A pooled connection whose statements cannot hang, destroyed instead of released once it is broken. */
class GuardedConnection implements MysqlPoolConnection {
  private broken: unknown = null;

  constructor(
    private readonly raw: PoolConnection,
    private readonly returned: () => void,
  ) {}

  query(text: string, parameters: unknown[]): never;
  query(
    text: string,
    parameters: unknown[],
    callback: (error: unknown, result: MysqlQueryResult) => void,
  ): void;
  query(
    text: string,
    parameters: unknown[],
    callback?: (error: unknown, result: MysqlQueryResult) => void,
  ): void {
    if (!callback) throw new Error('streaming is not used');
    // The ROLLBACK after a fault: the server has done it, and a dead connection would only make it wait.
    if (this.broken !== null) {
      callback(this.broken, []);
      return;
    }
    const options = { sql: text, values: parameters, timeout: LIMITS.DATABASE_STATEMENT_MS };
    this.raw.query<RowDataPacket[] | ResultSetHeader>(options, (error, result) => {
      if (error && breaksConnection(error)) this.broken = error;
      callback(error, error ? [] : result);
    });
  }

  release(): void {
    this.returned();
    if (this.broken === null) this.raw.release();
    else this.raw.destroy();
  }
}

/** Stands in for a connection that could not be had. */
const NO_CONNECTION: MysqlPoolConnection = {
  query: () => {
    throw new Error('there is no connection');
  },
  release: () => {},
};
