import { type RawBuilder, sql } from 'kysely';
import { LIMITS } from '../core/limits';
import type { Database } from './connection/pool';
import { plainId } from './rows';

interface Named {
  readonly volume_id: string;
}

/**
 * See Ledger.ownVolumes. Operations of the daemon before this one count as well: its attaches name the
 * volume, its creates do not. A program that wrote an id in capitals, or with a blank at its end, names the
 * same volume.
 */
export async function readOwnVolumes(
  database: Database,
  volumeIds: readonly string[],
  hub: boolean,
): Promise<Set<string>> {
  const own = new Set<string>();
  for (let from = 0; from < volumeIds.length; from += LIMITS.OWN_VOLUMES_AT_ONCE) {
    const ids = volumeIds.slice(from, from + LIMITS.OWN_VOLUMES_AT_ONCE);
    const sources = [
      namedByOperations(ids, BY_VOLUME),
      namedByMappings(ids),
      namedByExports(ids),
      ...(hub ? [namedByHub(ids)] : []),
    ];
    for (const source of sources) {
      const { rows } = await database.query((db) => source.execute(db));
      for (const { volume_id } of rows) own.add(plainId(volume_id));
    }
  }
  return own;
}

export const BY_VOLUME = sql`FORCE INDEX (operations_by_volume)`;

/** See Ledger.volumesOfSerials. */
export async function readVolumesOfSerials(
  database: Database,
  serials: readonly string[],
  hub: boolean,
): Promise<string[]> {
  const found = new Set<string>();
  for (const serial of serials) {
    const begins = sql`volume_id LIKE ${`${dashed(serial)}%`}`;
    const sources = [
      sql<Named>`SELECT DISTINCT volume_id FROM volume_operations ${BY_VOLUME} WHERE ${begins}`,
      ...(hub ? [sql<Named>`SELECT volume_id FROM ossea_volumes WHERE ${begins}`] : []),
    ];
    for (const source of sources) {
      const { rows } = await database.query((db) => source.execute(db));
      for (const { volume_id } of rows) found.add(plainId(volume_id));
    }
  }
  return [...found];
}

/** `0123456789abcdef0123` → `01234567-89ab-cdef-0123` */
function dashed(serial: string): string {
  const parts = /^(.{8})(.{4})(.{4})(.{0,4})(.*)$/.exec(serial);
  return parts === null ? serial : parts.slice(1).filter(Boolean).join('-');
}

/** Types of operations that prove, once completed, that their volume is ours. */
export const PROOFS = sql`('create', 'attach', 'cleanup')`;

/**
 * Volumes that a completed operation has created or attached. A database that is not adopted has no index of
 * ours.
 */
export function namedByOperations(ids: readonly string[], hint = sql``): RawBuilder<Named> {
  return sql<Named>`SELECT DISTINCT volume_id FROM volume_operations ${hint}
    WHERE volume_id IN (${sql.join([...ids])}) AND status = 'completed' AND type IN ${PROOFS}`;
}

/** Volumes that this daemon, or the one before it, has mapped. */
function namedByMappings(ids: readonly string[]): RawBuilder<Named> {
  return sql<Named>`SELECT volume_id FROM device_mappings WHERE volume_id IN (${sql.join([...ids])})`;
}

/** Volumes with an export, whoever has written its row. */
export function namedByExports(ids: readonly string[]): RawBuilder<Named> {
  return sql<Named>`SELECT volume_id FROM nbd_exports WHERE volume_id IN (${sql.join([...ids])})`;
}

/** Volumes in the hub's own table. */
export function namedByHub(ids: readonly string[]): RawBuilder<Named> {
  return sql<Named>`SELECT volume_id FROM ossea_volumes WHERE volume_id IN (${sql.join([...ids])})`;
}
