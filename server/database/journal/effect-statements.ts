import { type CompiledQuery, type Kysely, sql } from 'kysely';
import { exportNameOf } from '../../model/export-name';
import type { MappingEffect } from '../../model/ledger-writes';
import type { ExportStatus, NewExport, NewMapping } from '../../model/operation';
import { missingPath } from '../../model/placeholder-path';
import { insertSelect } from '../insert-select';
import {
  changedAt,
  isContext,
  type Neighbourhood,
  noteAttached,
  noteDetached,
  noteMissing,
} from '../neighbours';
import type { Tables } from '../tables';

/**
 * What an effect sends: statements that follow one another whatever each of them finds, so that they can go
 * in one packet as well as one by one. What an effect depends on is locked first.
 */
export function effectStatements(
  db: Kysely<Tables>,
  effect: MappingEffect,
  at: Date,
  parts: Neighbourhood,
): CompiledQuery[] {
  switch (effect.kind) {
    case 'put-mapping':
      return [
        ...(effect.displaces ?? []).flatMap((volumeId) => displace(db, volumeId, effect.mapping, at, parts)),
        ...putMapping(db, effect.mapping, at, parts),
        ...(parts.hub ? noteAttached(db, effect.mapping, at, parts) : []),
      ];
    case 'delete-mapping':
      return deleteMapping(db, effect, at, parts);
    case 'put-export':
      return putExport(db, effect.record, at, parts);
    case 'set-export-status':
      return [setExportStatus(db, effect.volumeId, effect.status, at)];
    default:
      return effect satisfies never;
  }
}

function setExportStatus(
  db: Kysely<Tables>,
  volumeId: string,
  status: ExportStatus,
  at: Date,
): CompiledQuery {
  return db
    .updateTable('nbd_exports')
    .set({ status, updated_at: at })
    .where('export_name', '=', exportNameOf(volumeId))
    .compile();
}

/**
 * The export and the hub's row go first, while the mapping still says whether it is the one that is meant. Of
 * the volume's exports only ours: other programs may have rows of it.
 */
function deleteMapping(
  db: Kysely<Tables>,
  { volumeId, vmId }: Extract<MappingEffect, { kind: 'delete-mapping' }>,
  at: Date,
  parts: Neighbourhood,
): CompiledQuery[] {
  const place = sql`volume_id = ${volumeId} AND vm_id = ${vmId}`;
  const isThere = sql`EXISTS (SELECT 1 FROM device_mappings WHERE ${place})`;
  return [
    sql`SELECT 1 FROM device_mappings WHERE ${place} FOR UPDATE`.compile(db),
    sql`DELETE FROM nbd_exports WHERE export_name = ${exportNameOf(volumeId)} AND ${isThere}`.compile(db),
    ...(parts.hub ? [noteDetached(db, volumeId, changedAt(at, parts), isThere)] : []),
    sql`DELETE FROM device_mappings WHERE ${place}`.compile(db),
  ];
}

function putMapping(
  db: Kysely<Tables>,
  mapping: NewMapping,
  at: Date,
  { volumeColumn }: Neighbourhood,
): CompiledQuery[] {
  const fields = {
    vm_id: mapping.vmId,
    device_path: mapping.devicePath,
    cloudstack_state: mapping.cloudstackState,
    linux_state: mapping.linuxState,
    size: mapping.size,
    controller: mapping.controller,
    serial: mapping.serial,
    diskseq: mapping.diskseq,
    boot_id: mapping.bootId,
    matched_by: mapping.matchedBy,
    cloudstack_device_id: mapping.cloudstackDeviceId,
    last_sync: at,
    updated_at: at,
  };
  // As the old daemon: the hub looks for volumes on other VMs by it.
  const mode = mapping.linuxState === 'n/a' ? 'failover' : 'oma';
  // '' is what a lax session makes of a word that the ENUM does not have; ours may not write it again.
  const isKept = sql`vm_id = ${mapping.vmId} AND NOT operation_mode <=> ''`;
  const kept = sql<string>`IF(${isKept}, operation_mode, ${mode})`;
  return [
    // First the update, though there is nearly never a row: a trigger of the old programs refuses to insert
    // a volume that is mapped. Assigned in this order: the mode goes by the VM before.
    db
      .updateTable('device_mappings')
      .set({ operation_mode: kept, ...fields })
      .where('volume_id', '=', mapping.volumeId)
      .compile(),
    insertSelect(
      'device_mappings',
      {
        id: `mapping-${mapping.volumeId}`,
        [volumeColumn.device_mappings]: mapping.volumeId,
        operation_mode: mode,
        created_at: at,
        ...fields,
      },
      sql`DUAL WHERE NOT EXISTS (SELECT 1 FROM device_mappings WHERE volume_id = ${mapping.volumeId})`,
    ).compile(db),
  ];
}

/** The volume loses the path, also for the hub, and its export is no longer reported as served. */
function displace(
  db: Kysely<Tables>,
  volumeId: string,
  by: NewMapping,
  at: Date,
  parts: Neighbourhood,
): CompiledQuery[] {
  if (volumeId === by.volumeId) return [];
  const place = sql`volume_id = ${volumeId} AND vm_id = ${by.vmId} AND device_path = ${by.devicePath}`;
  const isThere = sql`EXISTS (SELECT 1 FROM device_mappings WHERE ${place})`;
  return [
    sql`SELECT 1 FROM device_mappings WHERE ${place} FOR UPDATE`.compile(db),
    sql`UPDATE nbd_exports SET status = 'failed', updated_at = ${at}
      WHERE export_name = ${exportNameOf(volumeId)} AND status = 'active'
        AND ${isThere}`.compile(db),
    ...(parts.hub ? [noteMissing(db, volumeId, changedAt(at, parts), isThere)] : []),
    sql`UPDATE device_mappings SET device_path = ${missingPath(volumeId)}, linux_state = 'missing', updated_at = ${at}
      WHERE ${place}`.compile(db),
  ];
}

/** Without a mapping it writes nothing: whoever sends it has to know that there is one (`needsMapping`). */
function putExport(db: Kysely<Tables>, record: NewExport, at: Date, parts: Neighbourhood): CompiledQuery[] {
  const mapping = sql`device_mappings m WHERE m.volume_id = ${record.volumeId}`;
  const fields = {
    [parts.volumeColumn.nbd_exports]: record.volumeId,
    device_path: record.devicePath,
    port: record.port,
    status: record.status,
    metadata: JSON.stringify(record.metadata),
    updated_at: at,
  };
  // The hub looks its exports up by the context of the mapping; a row of the old daemon may lack it.
  const isKnown = isContext(sql`m.vm_context_id`, parts);
  const context = sql<string | null>`(SELECT m.vm_context_id FROM ${mapping} AND ${isKnown})`;
  return [
    db
      .updateTable('nbd_exports')
      .set({ ...fields, vm_context_id: sql<string | null>`COALESCE(vm_context_id, ${context})` })
      .where('export_name', '=', record.exportName)
      .compile(),
    insertSelect(
      'nbd_exports',
      { ...fields, export_name: record.exportName, vm_context_id: context, created_at: at },
      sql`${mapping} AND NOT EXISTS (SELECT 1 FROM nbd_exports e WHERE e.export_name = ${record.exportName})`,
    ).compile(db),
  ];
}

/**
 * The volume that must have a mapping for this effect, and keep it until the effect is committed; or null.
 */
export function needsMapping(effect: MappingEffect): string | null {
  return effect.kind === 'put-export' ? effect.record.volumeId : null;
}
