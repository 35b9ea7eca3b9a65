import { type Kysely, sql } from 'kysely';
import type { DatabaseFacts } from '../model/database-facts';
import { translate } from './connection/faults';
import type { Tables } from './tables';

/** What the server says of itself and of our schema. Throws DATABASE_UNAVAILABLE. */
export async function inspectDatabase(database: Kysely<Tables>): Promise<DatabaseFacts> {
  try {
    const { rows } = await sql<{ version: string; now: Date }>`
      SELECT VERSION() AS version, UTC_TIMESTAMP(3) AS now`.execute(database);
    const { rows: applied } = await sql<{ id: string; applied_at: Date | null }>`
      SELECT id, applied_at FROM volume_daemon_migrations ORDER BY id`.execute(database);
    const [server] = rows;
    return {
      version: server?.version ?? 'unknown',
      now: server ? server.now.getTime() : Number.NaN,
      migrations: applied.map(({ id, applied_at }) => ({ id, appliedAt: applied_at?.getTime() ?? null })),
    };
  } catch (error) {
    throw translate(error);
  }
}
