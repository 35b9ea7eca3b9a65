import { type CompiledQuery, type Kysely, type RawBuilder, sql } from 'kysely';
import type { NewMapping } from '../model/operation';
import { missingPath } from '../model/placeholder-path';
import { plain } from './collation';
import type { Database } from './connection/pool';
import type { Tables } from './tables';

/** What other programs have made in this database. */
export interface Neighbourhood {
  /** The hub of the appliance has its table of volumes, ossea_volumes. */
  readonly hub: boolean;
  /** That table says when a row was changed. */
  readonly hubTimes: boolean;
  /** The hub has its table of contexts, to which the rows of its programs point. */
  readonly contexts: boolean;
  /** The hub's names of VMs, by the context that exports carry. */
  readonly vmNames: boolean;
  /**
   * The column of the volume that can be written; the other name is computed from it
   * (migrations/schema.ts, addVolumeAlias).
   */
  readonly volumeColumn: Readonly<Record<'device_mappings' | 'nbd_exports', VolumeColumn>>;
}
type VolumeColumn = 'volume_id' | 'volume_uuid';

/** Asked once per epoch. */
export class Neighbours {
  private known: Promise<Neighbourhood> | null = null;

  constructor(private readonly database: Database) {}

  look(): Promise<Neighbourhood> {
    this.known ??= this.ask().catch((error: unknown) => {
      this.known = null;
      throw error;
    });
    return this.known;
  }

  /** The hub may be installed while we run; a new epoch looks again. */
  forget(): void {
    this.known = null;
  }

  private async ask(): Promise<Neighbourhood> {
    const { rows } = await this.database.query((db) =>
      sql<{ place: string; computed: unknown }>`SELECT CONCAT(table_name, '.', column_name) AS place,
          extra LIKE '%GENERATED%' AS computed
        FROM information_schema.columns WHERE table_schema = DATABASE()
          AND table_name IN ('ossea_volumes', 'vm_replication_contexts', 'device_mappings', 'nbd_exports')`.execute(
        db,
      ),
    );
    const computed = new Map(rows.map((row) => [row.place.toLowerCase(), Number(row.computed) === 1]));
    const writable = (table: string): VolumeColumn =>
      computed.get(`${table}.volume_id`) === false ? 'volume_id' : 'volume_uuid';
    return {
      hub: HUB_COLUMNS.every((column) => computed.has(`ossea_volumes.${column}`)),
      hubTimes: computed.has('ossea_volumes.updated_at'),
      contexts: computed.has('vm_replication_contexts.context_id'),
      vmNames: ['context_id', 'vm_name'].every((column) => computed.has(`vm_replication_contexts.${column}`)),
      volumeColumn: { device_mappings: writable('device_mappings'), nbd_exports: writable('nbd_exports') },
    };
  }
}

const HUB_COLUMNS = ['volume_id', 'vm_context_id', 'device_path', 'status'];

/**
 * Whether a context is one of the hub's. Somebody may have emptied its table with keys unchecked, and a
 * foreign key of our rows would refuse what its other rows still say.
 */
export function isContext(
  column: RawBuilder<unknown>,
  { contexts }: Pick<Neighbourhood, 'contexts'>,
): RawBuilder<unknown> {
  if (!contexts) return sql`${column} IS NOT NULL`;
  return sql`EXISTS (SELECT 1 FROM vm_replication_contexts c
    WHERE ${plain(sql`c.context_id`)} = ${plain(column)})`;
}

/**
 * The hub expects that a mapping carries the `vm_context_id` of its volume, and that the volume's row says
 * where the volume is. Volumes unknown to the hub are fine. After a mapping was written.
 */
export function noteAttached(
  db: Kysely<Tables>,
  { volumeId, devicePath }: Pick<NewMapping, 'volumeId' | 'devicePath'>,
  at: Date,
  parts: Neighbourhood,
): CompiledQuery[] {
  const known = sql`SELECT ${plain(sql`v.vm_context_id`)} FROM ossea_volumes v
    WHERE v.volume_id = ${volumeId} AND ${isContext(sql`v.vm_context_id`, parts)} LIMIT 1`;
  return [
    sql`UPDATE ossea_volumes SET device_path = ${devicePath}, status = 'attached'${changedAt(at, parts)}
      WHERE volume_id = ${volumeId}`.compile(db),
    // Not as a join: of one the server locks every row that it looks at, and the hub writes its
    // contexts all the time.
    sql`UPDATE device_mappings SET vm_context_id = COALESCE((${known}), ${plain(sql`vm_context_id`)})
      WHERE volume_id = ${volumeId}`.compile(db),
  ];
}

/** The last of the assignments to a row of the hub. */
export function changedAt(at: Date, { hubTimes }: Pick<Neighbourhood, 'hubTimes'>): RawBuilder<unknown> {
  return hubTimes ? sql`, updated_at = ${at}` : sql``;
}

/** With the loss of a path, which is another volume's from now on; `condition` says whether it comes. */
export function noteMissing(
  db: Kysely<Tables>,
  volumeId: string,
  changed: RawBuilder<unknown>,
  condition: RawBuilder<unknown>,
): CompiledQuery {
  return sql`UPDATE ossea_volumes SET device_path = ${missingPath(volumeId)}${changed}
    WHERE ossea_volumes.volume_id = ${volumeId} AND ${condition}`.compile(db);
}

/** With the end of a mapping, of which `condition` says whether it comes. */
export function noteDetached(
  db: Kysely<Tables>,
  volumeId: string,
  changed: RawBuilder<unknown>,
  condition: RawBuilder<unknown>,
): CompiledQuery {
  return sql`UPDATE ossea_volumes SET device_path = NULL, status = 'detached'${changed}
    WHERE ossea_volumes.volume_id = ${volumeId} AND ${condition}`.compile(db);
}
