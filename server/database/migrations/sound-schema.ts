import { sql } from 'kysely';
import { DaemonError } from '../../core/errors';
import type { Database } from '../connection/pool';
import type { Tables } from '../tables';

const OWN_TABLES: Readonly<Record<keyof Tables | 'volume_daemon_adoption' | 'volume_daemon_returns', true>> =
  {
    appliances: true,
    device_mappings: true,
    nbd_exports: true,
    straggling_jobs: true,
    volume_daemon_adoption: true,
    volume_daemon_returns: true,
    volume_operation_steps: true,
    volume_operation_totals: true,
    volume_operations: true,
  };

/**
 * Throws DATABASE_UNAVAILABLE when a table is gone since its migration, which would be met by the first
 * operation that ends, or when the engine of one has no transactions: what is written there is not undone
 * with the rest, and nobody waits for a lock on the row of the appliance, which is what keeps a former owner
 * from writing. A view in place of a table passes: what is behind it is not looked at.
 */
export async function requireSoundSchema(database: Database): Promise<void> {
  const { rows } = await database.urgent((db) =>
    sql<{ name: string; engine: string | null; transactions: string | null }>`
      SELECT t.table_name AS name, t.engine AS engine, e.transactions AS transactions
      FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
      WHERE t.table_schema = DATABASE() AND t.table_name IN (${sql.join(Object.keys(OWN_TABLES))})`.execute(
      db,
    ),
  );
  const there = new Set(rows.map(({ name }) => name.toLowerCase()));
  const missing = Object.keys(OWN_TABLES).filter((name) => !there.has(name));
  const unsafe = rows.filter(({ transactions }) => transactions?.toUpperCase() === 'NO');
  if (missing.length > 0)
    throw unsound(
      `The database has no ${missing.join(', ')}, or the account has no right to it: bring it back from a backup, or GRANT the right; the runbook "A table is missing" says what to do where it is lost`,
    );
  if (unsafe.length > 0)
    throw unsound(
      `Without transactions the daemon cannot work safely: ${unsafe
        .map(({ name, engine }) => `ALTER TABLE ${name} ENGINE=InnoDB (it is ${engine})`)
        .join('; ')}`,
    );
}

function unsound(message: string): DaemonError {
  return new DaemonError('DATABASE_UNAVAILABLE', message, { retryAfterSeconds: 30 });
}
