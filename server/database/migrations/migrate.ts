import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import type { Dsn } from '../connection/dsn';
import { translate, unavailable } from '../connection/faults';
import { connectionOptions } from '../connection/pool';
import { sessionStatements } from '../connection/session';
import { MIGRATIONS } from './migrations';

/** How long a second daemon waits for the first one's migrations. */
const LOCK_TIMEOUT_SECONDS = 60;

/** Brings the schema up to date under a named lock. Returns the migrations that ran. */
export async function migrate(dsn: Dsn, logger: Logger): Promise<string[]> {
  try {
    const connection = await createConnection(connectionOptions(dsn)).catch((error: unknown) => {
      throw unavailable(error);
    });
    try {
      // As every session; a long idle time, because altering a large table takes long.
      for (const statement of sessionStatements(LIMITS.MIGRATION_IDLE_MS)) await connection.query(statement);
      return await underLock(connection, dsn.database, () => runMissing(connection, logger));
    } finally {
      connection.destroy();
    }
  } catch (error) {
    throw translate(error);
  }
}

async function underLock<T>(connection: Connection, database: string, work: () => Promise<T>): Promise<T> {
  const lock = `volume-daemon-schema:${database}`.slice(0, 64);
  const [rows] = await connection.query<RowDataPacket[]>('SELECT GET_LOCK(?, ?) AS got', [
    lock,
    LOCK_TIMEOUT_SECONDS,
  ]);
  if (Number(rows[0]?.got) !== 1) throw new Error('another process is changing the schema');
  return work();
}

async function runMissing(connection: Connection, logger: Logger): Promise<string[]> {
  const applied = await appliedMigrations(connection);
  const ran: string[] = [];
  for (const migration of MIGRATIONS.filter(({ id }) => !applied.has(id))) {
    logger.info('Database migration', { migration: migration.id });
    await migration.run(connection);
    await connection.query('INSERT IGNORE INTO volume_daemon_migrations (id) VALUES (?)', [migration.id]);
    ran.push(migration.id);
  }
  return ran;
}

/** The table of them is made only where there is none: IF NOT EXISTS would need the right to create anyway. */
async function appliedMigrations(connection: Connection): Promise<Set<string>> {
  const [tables] = await connection.query<RowDataPacket[]>(
    "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'volume_daemon_migrations'",
  );
  if (tables.length === 0)
    await connection.query(
      'CREATE TABLE IF NOT EXISTS volume_daemon_migrations (id VARCHAR(64) PRIMARY KEY, applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
    );
  const [rows] = await connection.query<RowDataPacket[]>('SELECT id FROM volume_daemon_migrations');
  return new Set(rows.map((row) => String(row.id)));
}
