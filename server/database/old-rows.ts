import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { ExportRecord, Mapping } from '../model/operation';
import { errorNumber, translate } from './connection/faults';
import { MIGRATIONS } from './migrations/migrations';
import { findObstacles } from './migrations/obstacles';
import { namedByExports, namedByHub, namedByOperations } from './own-volumes';
import { plainId, toExport, toMapping } from './rows';
import type { Tables } from './tables';

const NO_SUCH_TABLE = 1146;
const NO_SUCH_COLUMN = 1054;

type Row = Record<string, unknown>;

/** A database of the old daemon as it is, whether we have adopted it or not. */
export interface OldRows {
  readonly mappings: readonly Mapping[];
  /** Those that this daemon will take for its own. */
  readonly exports: readonly ExportRecord[];
  /** Names of the others: they stay, and are never served. */
  readonly otherExports: readonly string[];
  /** Operations that end as failed when this daemon takes over. */
  readonly unfinished: readonly {
    readonly id: string;
    readonly type: string;
    readonly status: string;
    readonly volumeId: string;
  }[];
  readonly migrations: readonly string[];
  /** Migrations that have not run. */
  readonly missing: readonly string[];
  /** What has to be mended before they can. */
  readonly obstacles: readonly string[];
}

/** Only reads. Throws DATABASE_UNAVAILABLE. */
export async function readOldRows(db: Kysely<Tables>): Promise<OldRows> {
  try {
    // A row that lacks one of these stands in the way of the adoption, and is named there.
    const mappings = (await rowsOf(db, sql<Row>`SELECT * FROM device_mappings`))
      .map((row): Row => ({ ...ADDED, ...named(row) }))
      .filter((row) => row.volume_id !== null && row.vm_id !== null && row.device_path !== null)
      .map(toMapping);
    const mapped = new Set(mappings.map(({ volumeId }) => volumeId));
    const exportRows = (await rowsOf(db, sql<Row>`SELECT * FROM nbd_exports`)).map((row) => {
      const record = toExport({ metadata: null, ...named(row) });
      return { name: row.export_name, record: record && mapped.has(record.volumeId) ? record : null };
    });
    const applied = await rowsOf(db, sql<Row>`SELECT id FROM volume_daemon_migrations ORDER BY id`);
    const foreign = applied.length === 0 ? sql`TRUE` : sql`appliance_id = ''`;
    const unfinished = await rowsOf(
      db,
      sql<Row>`SELECT id, type, status, volume_id FROM volume_operations WHERE status IN ('pending', 'executing') AND ${foreign} ORDER BY created_at`,
    );
    const migrations = applied.map(({ id }) => String(id));
    const missing = MIGRATIONS.map(({ id }) => id).filter((id) => !migrations.includes(id));
    return {
      obstacles: await findObstacles(async (text) => (await sql.raw<Row>(text).execute(db)).rows, missing),
      mappings,
      exports: exportRows.flatMap(({ record }) => record ?? []),
      otherExports: exportRows.filter(({ record }) => record === null).map(({ name }) => String(name ?? '')),
      unfinished: unfinished.map(({ id, type, status, volume_id }) => ({
        id: String(id),
        type: String(type),
        status: String(status),
        volumeId: String(volume_id),
      })),
      migrations,
      missing,
    };
  } catch (error) {
    throw translate(error);
  }
}

/**
 * As Ledger.ownVolumes of volumes without a mapping, in a database that may not be adopted yet. Throws
 * DATABASE_UNAVAILABLE.
 */
export async function readOwnOfOld(db: Kysely<Tables>, volumeIds: readonly string[]): Promise<Set<string>> {
  if (volumeIds.length === 0) return new Set();
  try {
    const rows = await Promise.all(
      [namedByOperations(volumeIds), namedByExports(volumeIds), namedByHub(volumeIds)].map((q) =>
        rowsOf(db, q),
      ),
    );
    return new Set(rows.flat().map(({ volume_id }) => plainId(String(volume_id))));
  } catch (error) {
    throw translate(error);
  }
}

/** Columns that an old table lacks. */
const ADDED = {
  controller: null,
  serial: null,
  diskseq: null,
  boot_id: null,
  matched_by: null,
  cloudstack_device_id: null,
};

function named(row: Row): Row {
  return { ...row, volume_id: row.volume_uuid ?? row.volume_id };
}

async function rowsOf<T>(db: Kysely<Tables>, query: RawBuilder<T>): Promise<T[]> {
  try {
    return (await query.execute(db)).rows;
  } catch (error) {
    if (errorNumber(error) === NO_SUCH_TABLE || errorNumber(error) === NO_SUCH_COLUMN) return [];
    throw error;
  }
}
