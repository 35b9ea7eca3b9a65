import { type RawBuilder, sql } from 'kysely';
import { LIMITS } from '../core/limits';
import type { Database } from './connection/pool';

interface Named {
  readonly volume_id: string;
}

/**
 * See Ledger.ownVolumes. Operations of the daemon before this one count as well: its attaches name the
 * volume, its creates do not.
 */
export async function readOwnVolumes(
  database: Database,
  volumeIds: readonly string[],
  hub: boolean,
): Promise<Set<string>> {
  const own = new Set<string>();
  for (let from = 0; from < volumeIds.length; from += LIMITS.OWN_VOLUMES_AT_ONCE) {
    const ids = volumeIds.slice(from, from + LIMITS.OWN_VOLUMES_AT_ONCE);
    const sources = [namedByOperations(ids, BY_VOLUME), ...(hub ? [namedByHub(ids)] : [])];
    for (const source of sources) {
      const { rows } = await database.query((db) => source.execute(db));
      for (const { volume_id } of rows) own.add(volume_id);
    }
  }
  return own;
}

const BY_VOLUME = sql`FORCE INDEX (operations_by_volume)`;

/**
 * Volumes that a completed operation has created or attached. A database that is not adopted has no index of
 * ours.
 */
export function namedByOperations(ids: readonly string[], hint = sql``): RawBuilder<Named> {
  return sql<Named>`SELECT DISTINCT volume_id FROM volume_operations ${hint}
    WHERE volume_id IN (${sql.join([...ids])}) AND status = 'completed' AND type IN ('create', 'attach', 'cleanup')`;
}

/** Volumes in the hub's own table. */
export function namedByHub(ids: readonly string[]): RawBuilder<Named> {
  return sql<Named>`SELECT volume_id FROM ossea_volumes WHERE volume_id IN (${sql.join([...ids])})`;
}
