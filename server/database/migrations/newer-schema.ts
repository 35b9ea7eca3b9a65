import { sql } from 'kysely';
import { DaemonError } from '../../core/errors';
import { VERSION } from '../../core/version';
import type { Database } from '../connection/pool';
import { MIGRATIONS } from './migrations';

/**
 * Throws DATABASE_UNAVAILABLE when a newer version has changed the schema. It may keep in the tables what
 * this one does not read, such as what an operation has begun: this one would not see it, and do it again.
 *
 * @param applied ids of the migrations that have run
 */
export function requireKnown(applied: readonly string[]): void {
  const last = MIGRATIONS.at(-1)?.id ?? '';
  const newer = applied.filter((id) => id > last).sort();
  if (newer.length === 0) return;
  throw new DaemonError(
    'DATABASE_UNAVAILABLE',
    `The schema of the database is of a newer version of the daemon (${newer.join(', ')}), which this one (${VERSION}) cannot read safely: install that version, or a later one`,
    { retryAfterSeconds: 30 },
  );
}

/** requireKnown for the schema as it is now: at a take-over the look of the start may be long ago. */
export async function requireKnownSchema(database: Database): Promise<void> {
  const { rows } = await database.urgent((db) =>
    sql<{ id: string }>`SELECT id FROM volume_daemon_migrations`.execute(db),
  );
  requireKnown(rows.map(({ id }) => id));
}
