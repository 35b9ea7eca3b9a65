import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { systemClock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { isRefusalOfNode, isUnreachable, vet } from '../connection/cluster-nodes';
import { type Address, addressesOf, type Dsn } from '../connection/dsn';
import { errorNumber, faultOf, translate, unavailable } from '../connection/faults';
import { connectionOptions } from '../connection/pool';
import { sessionStatements } from '../connection/session';
import { MIGRATIONS, type Migration } from './migrations';
import { requireKnown } from './newer-schema';
import { noteAdoption } from './note-adoption';
import { requireNoObstacles } from './obstacles';
import { SchemaLock } from './schema-lock';

/**
 * Brings the schema up to date, one process at a time; a schema that is up to date is only read. Returns the
 * migrations that ran. Throws DATABASE_UNAVAILABLE, also for a schema of a newer version.
 */
export async function migrate(dsn: Dsn, logger: Logger): Promise<string[]> {
  try {
    const connection = await connect(dsn);
    try {
      return await inTurn(connection, logger);
    } finally {
      connection.destroy();
    }
  } catch (error) {
    throw translate(error);
  }
}

/** The first node that takes writes. */
async function connect(dsn: Dsn): Promise<Connection> {
  const addresses = addressesOf(dsn);
  let trouble: unknown = null;
  for (const address of addresses) {
    try {
      return await connectTo(dsn, address, addresses.length > 1);
    } catch (error) {
      if (!isUnreachable(error) && !isRefusalOfNode(error)) throw unavailable(error);
      trouble = error;
    }
  }
  throw unavailable(trouble);
}

async function connectTo(dsn: Dsn, address: Address, writable: boolean): Promise<Connection> {
  const connection = await createConnection(connectionOptions(dsn, address));
  try {
    // As every session; a long idle time, because altering a large table takes long.
    for (const statement of sessionStatements(LIMITS.MIGRATION_IDLE_MS, []))
      await connection.query(statement);
    await allowEveryAlter(connection);
    const demands = { writable, causal: true, timeoutMs: LIMITS.DATABASE_STATEMENT_MS } as const;
    await vet((question) => connection.query(question).then(([rows]) => rows), demands);
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

/**
 * An administrator of MariaDB may have forbidden, for all who do not ask for it, to alter a table in a
 * way that copies it; some of our columns cannot be had in another one. MySQL and later versions do
 * not know the variable.
 */
async function allowEveryAlter(connection: Connection): Promise<void> {
  await connection.query("SET SESSION alter_algorithm = 'DEFAULT'").catch((error: unknown) => {
    if (errorNumber(error) !== UNKNOWN_VARIABLE) throw error;
  });
}

const UNKNOWN_VARIABLE = 1193;

async function inTurn(connection: Connection, logger: Logger): Promise<string[]> {
  const lock = new SchemaLock(connection);
  let said = '';
  while ((await missing(connection)).length > 0) {
    if (await lock.take()) {
      const ran = await runMissing(connection, lock, logger).finally(() => lock.release());
      if (ran !== null) return ran;
      continue;
    }
    const holder = await lock.heldBy();
    if (holder !== said) logger.info('Another process is changing the schema', { holder });
    said = holder;
    await systemClock.sleep(LIMITS.MIGRATION_LOOK_MS);
  }
  return [];
}

async function missing(connection: Connection): Promise<Migration[]> {
  const applied = await connection
    .query<RowDataPacket[]>('SELECT id FROM volume_daemon_migrations')
    .then(([rows]) => new Set(rows.map((row) => String(row.id))))
    .catch((error: unknown) => {
      if (errorNumber(error) === NO_SUCH_TABLE) return new Set<string>();
      throw error;
    });
  requireKnown([...applied]);
  return MIGRATIONS.filter(({ id }) => !applied.has(id));
}

/** The migrations that ran, or null when the lock was lost: then it is another one's turn. */
async function runMissing(
  connection: Connection,
  lock: SchemaLock,
  logger: Logger,
): Promise<string[] | null> {
  const ids = (await missing(connection)).map(({ id }) => id);
  await requireNoObstacles(async (statement) => {
    const [rows] = await connection.query<RowDataPacket[]>(statement);
    return rows;
  }, ids);
  await connection.query(
    'CREATE TABLE IF NOT EXISTS volume_daemon_migrations (id VARCHAR(64) PRIMARY KEY, applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  );
  await noteAdoption(connection);
  const ran: string[] = [];
  for (const migration of await missing(connection)) {
    if (!(await lock.renew())) return null;
    logger.info('Database migration', { migration: migration.id });
    await repeatedly(migration.id, logger, async () => {
      // Ends what a try before this one has begun.
      await connection.query('ROLLBACK');
      await migration.run(connection);
      await connection.query('INSERT IGNORE INTO volume_daemon_migrations (id) VALUES (?)', [migration.id]);
    });
    ran.push(migration.id);
  }
  return ran;
}

const NO_SUCH_TABLE = 1146;
/** What a step says when somebody else has done it in the same moment. */
const DONE_BY_ANOTHER: ReadonlySet<number> = new Set([
  1005, // MariaDB: the foreign key is there
  1022, // duplicate key of a constraint
  1050, // the table is there
  1060, // the column is there
  1061, // the index is there
  1062, // the row is there
  1091, // what is to be dropped is gone
  1826, // the foreign key is there
]);

/** Every migration looks at what is there before it changes anything, so it may begin again. */
async function repeatedly(migration: string, logger: Logger, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work();
      return;
    } catch (error) {
      const again = faultOf(error) === 'rolled-back' || DONE_BY_ANOTHER.has(errorNumber(error) ?? 0);
      if (!again || attempt >= LIMITS.MIGRATION_TRIES) throw error;
      logger.info('A migration begins again', { migration, attempt, reason: messageOf(error) });
    }
  }
}
