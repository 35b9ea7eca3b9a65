import { sql, type Transaction } from 'kysely';
import { DaemonError } from '../../core/errors';
import { exportNameOf } from '../../model/export-name';
import type { MappingEffect } from '../../model/ledger';
import type { NewExport, NewMapping } from '../../model/operation';
import { missingPath } from '../../model/placeholder-path';
import { isDuplicate } from '../connection/faults';
import { type Neighbourhood, noteAttached, noteDetached } from '../neighbours';
import type { Tables } from '../tables';

/** Changes mappings and exports in the transaction of the entry that reports them. */
export async function applyEffects(
  tx: Transaction<Tables>,
  effects: readonly MappingEffect[],
  now: number,
  parts: Neighbourhood,
): Promise<void> {
  const at = new Date(now);
  for (const effect of effects) {
    switch (effect.kind) {
      case 'put-mapping':
        await putMapping(tx, effect, at, parts);
        if (parts.hub) await noteAttached(tx, effect.mapping.volumeId, effect.mapping.devicePath, at);
        break;
      case 'delete-mapping': {
        const deleted = await tx
          .deleteFrom('device_mappings')
          .where('volume_id', '=', effect.volumeId)
          .where('vm_id', '=', effect.vmId)
          .executeTakeFirstOrThrow();
        if (deleted.numDeletedRows === 0n) break;
        await deleteExport(tx, effect.volumeId);
        if (parts.hub) await noteDetached(tx, effect.volumeId, at);
        break;
      }
      case 'put-export':
        await putExport(tx, effect.record, at, parts);
        break;
      case 'set-export-status':
        await tx
          .updateTable('nbd_exports')
          .set({ status: effect.status, updated_at: at })
          .where('export_name', '=', exportNameOf(effect.volumeId))
          .execute();
        break;
      case 'delete-export':
        await deleteExport(tx, effect.volumeId);
        break;
      default:
        effect satisfies never;
    }
  }
}

/** Ours; other programs may have rows of the same volume. */
async function deleteExport(tx: Transaction<Tables>, volumeId: string): Promise<void> {
  await tx.deleteFrom('nbd_exports').where('export_name', '=', exportNameOf(volumeId)).execute();
}

async function putMapping(
  tx: Transaction<Tables>,
  { mapping, displaces = [] }: Extract<MappingEffect, { kind: 'put-mapping' }>,
  at: Date,
  { volumeColumn }: Neighbourhood,
): Promise<void> {
  for (const volumeId of displaces) {
    if (volumeId !== mapping.volumeId) await displace(tx, volumeId, mapping, at);
  }
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
  const kept = sql<string>`IF(vm_id = ${mapping.vmId}, operation_mode, ${mode})`;
  try {
    // First the update, though there is nearly never a row: a trigger of the old programs refuses to insert
    // a volume that is mapped.
    const updated = await tx
      .updateTable('device_mappings')
      // Assigned in this order: the mode goes by the VM before.
      .set({ operation_mode: kept, ...fields })
      .where('volume_id', '=', mapping.volumeId)
      .executeTakeFirstOrThrow();
    if (updated.numUpdatedRows > 0n) return;
    await tx
      .insertInto('device_mappings')
      .values({
        id: `mapping-${mapping.volumeId}`,
        [volumeColumn.device_mappings]: mapping.volumeId,
        operation_mode: mode,
        created_at: at,
        ...fields,
      })
      .execute();
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    throw pathTaken(mapping, error);
  }
}

export function pathTaken(mapping: NewMapping, cause?: unknown): DaemonError {
  return new DaemonError(
    'DEVICE_IDENTITY_MISMATCH',
    `Another volume is mapped to ${mapping.devicePath} of VM ${mapping.vmId}`,
    { details: { device_path: mapping.devicePath }, cause },
  );
}

/** The volume loses the path, and its export is no longer reported as served. */
async function displace(tx: Transaction<Tables>, volumeId: string, by: NewMapping, at: Date): Promise<void> {
  const moved = await tx
    .updateTable('device_mappings')
    .set({ device_path: missingPath(volumeId), linux_state: 'missing', updated_at: at })
    .where('volume_id', '=', volumeId)
    .where('vm_id', '=', by.vmId)
    .where('device_path', '=', by.devicePath)
    .executeTakeFirstOrThrow();
  if (moved.numUpdatedRows === 0n) return;
  await tx
    .updateTable('nbd_exports')
    .set({ status: 'failed', updated_at: at })
    .where('export_name', '=', exportNameOf(volumeId))
    .where('status', '=', 'active')
    .execute();
}

async function putExport(
  tx: Transaction<Tables>,
  record: NewExport,
  at: Date,
  { volumeColumn }: Neighbourhood,
): Promise<void> {
  // Locked, so that the mapping is there when both are committed.
  const mapping = await tx
    .selectFrom('device_mappings')
    .select('vm_context_id')
    .where('volume_id', '=', record.volumeId)
    .forUpdate()
    .executeTakeFirst();
  if (!mapping) throw noMapping(record.volumeId);
  // The hub looks its exports up by the context of the mapping; a row of the old daemon may lack it.
  const context = mapping.vm_context_id;
  const fields = {
    [volumeColumn.nbd_exports]: record.volumeId,
    device_path: record.devicePath,
    port: record.port,
    status: record.status,
    metadata: JSON.stringify(record.metadata),
    vm_context_id: sql<string | null>`COALESCE(vm_context_id, ${context})`,
    updated_at: at,
  };
  const updated = await tx
    .updateTable('nbd_exports')
    .set(fields)
    .where('export_name', '=', record.exportName)
    .executeTakeFirstOrThrow();
  if (updated.numUpdatedRows > 0n) return;
  await tx
    .insertInto('nbd_exports')
    .values({ ...fields, export_name: record.exportName, vm_context_id: context, created_at: at })
    .execute();
}

export function noMapping(volumeId: string): DaemonError {
  return new DaemonError(
    'MAPPING_NOT_FOUND',
    `Volume ${volumeId} has no mapping, so it can have no export: mapping not found`,
    { details: { volume_id: volumeId } },
  );
}
