import { sql } from 'kysely';
import type { ExportFilter } from '../model/ledger';
import type { ExportRecord } from '../model/operation';
import type { Database } from './connection/pool';
import { plainId, toExport } from './rows';

/*
 * Other programs have rows of their own in nbd_exports. Ours has the name of its volume, and a mapping: an
 * export without one serves nobody knows which disk. Columns of an adopted database may differ in their
 * collation, so nothing is joined here.
 */

/** See Ledger.readExport. */
export async function readExport(database: Database, volumeId: string): Promise<ExportRecord | null> {
  const [record] = await listExports(database, { volumeId });
  return record ?? null;
}

/**
 * See Ledger.listExports.
 *
 * @param hasNames the hub names VMs; its name counts for exports that it or the old daemon has made
 */
export async function listExports(
  database: Database,
  filter: ExportFilter,
  hasNames = false,
): Promise<ExportRecord[]> {
  const { volumeId, status, vmName } = filter;
  const rows = await database.query((db) => {
    let query = db.selectFrom('nbd_exports').selectAll().orderBy('export_name');
    if (volumeId !== undefined) query = query.where('volume_id', '=', volumeId);
    if (status !== undefined) query = query.where('status', '=', status);
    return query.execute();
  });
  const ours = rows.flatMap((row) => {
    const record = toExport(row);
    return record === null ? [] : [{ record, context: row.vm_context_id }];
  });
  if (ours.length === 0) return [];
  // Read second: a mapping is written before its export, and both are deleted together.
  const mapped = await mappedVolumes(database, volumeId);
  const ofVm = hasNames && vmName !== undefined ? await contextsOf(database, vmName) : new Set<unknown>();
  return (
    ours
      .filter(({ record }) => mapped.has(record.volumeId))
      // There are no more of them than mappings, so the name inside the JSON is compared here.
      .filter(
        ({ record, context }) =>
          vmName === undefined || ofVm.has(context) || record.metadata.vm_name === vmName,
      )
      .map(({ record }) => record)
  );
}

async function contextsOf(database: Database, vmName: string): Promise<Set<unknown>> {
  const { rows } = await database.query((db) =>
    sql<{
      context_id: string;
    }>`SELECT context_id FROM vm_replication_contexts WHERE vm_name = ${vmName}`.execute(db),
  );
  return new Set(rows.map(({ context_id }) => context_id));
}

async function mappedVolumes(database: Database, volumeId: string | undefined): Promise<Set<string>> {
  const rows = await database.query((db) => {
    const all = db.selectFrom('device_mappings').select('volume_id');
    return (volumeId === undefined ? all : all.where('volume_id', '=', volumeId)).execute();
  });
  return new Set(rows.map((row) => plainId(row.volume_id)));
}
