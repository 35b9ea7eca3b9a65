import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Logger } from '../../core/log/logger';
import type { Dsn } from '../connection/dsn';
import { translate } from '../connection/faults';
import { connectionOptions } from '../connection/pool';
import { MIGRATIONS } from './migrations';

/** How long a second daemon waits for the first one's migrations. */
const LOCK_TIMEOUT_SECONDS = 60;

/** Brings the schema up to date under a named lock. Returns the migrations that ran. */
export async function migrate(dsn: Dsn, logger: Logger): Promise<string[]> {
  try {
    const connection = await createConnection(connectionOptions(dsn));
    try {
      // Strict, so that nothing is cut while a column changes; without NO_ZERO_DATE, because old rows may
      // hold such dates. No wait_timeout, because altering a large table takes long.
      await connection.query(
        "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
      );
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
  await connection.query(
    'CREATE TABLE IF NOT EXISTS volume_daemon_migrations (id VARCHAR(64) PRIMARY KEY, applied_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4',
  );
  const [rows] = await connection.query<RowDataPacket[]>('SELECT id FROM volume_daemon_migrations');
  const applied = new Set(rows.map((row) => String(row.id)));
  const ran: string[] = [];
  for (const migration of MIGRATIONS.filter(({ id }) => !applied.has(id))) {
    logger.info('Database migration', { migration: migration.id });
    await migration.run(connection);
    await connection.query('INSERT IGNORE INTO volume_daemon_migrations (id) VALUES (?)', [migration.id]);
    ran.push(migration.id);
  }
  return ran;
}
