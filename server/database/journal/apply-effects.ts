import { sql, type Transaction } from 'kysely';
import { DaemonError } from '../../core/errors';
import type { MappingEffect } from '../../model/ledger';
import type { NewExport, NewMapping } from '../../model/operation';
import { missingPath } from '../../model/placeholder-path';
import { faultOf, isDuplicate } from '../connection/faults';
import { noteAttached, noteDetached } from '../ossea-volumes';
import type { Tables } from '../tables';

export interface EffectParts {
  /** The database also has the hub's table ossea_volumes (../ossea-volumes.ts). */
  readonly hub: boolean;
}

/** Changes mappings and exports in the transaction of the entry that reports them. */
export async function applyEffects(
  tx: Transaction<Tables>,
  effects: readonly MappingEffect[],
  now: number,
  parts: EffectParts,
): Promise<void> {
  const at = new Date(now);
  for (const effect of effects) {
    switch (effect.kind) {
      case 'put-mapping':
        await putMapping(tx, effect.mapping, effect.displaces ?? [], at);
        if (parts.hub) await noteAttached(tx, effect.mapping.volumeId, effect.mapping.devicePath, at);
        break;
      case 'delete-mapping': {
        const deleted = await tx
          .deleteFrom('device_mappings')
          .where('volume_id', '=', effect.volumeId)
          .where('vm_id', '=', effect.vmId)
          .executeTakeFirstOrThrow();
        if (parts.hub && deleted.numDeletedRows > 0n) await noteDetached(tx, effect.volumeId, at);
        break;
      }
      case 'put-export':
        await putExport(tx, effect.record, at);
        break;
      case 'set-export-status':
        await tx
          .updateTable('nbd_exports')
          .set({ status: effect.status, updated_at: at })
          .where('volume_id', '=', effect.volumeId)
          .execute();
        break;
      case 'delete-export':
        await tx.deleteFrom('nbd_exports').where('volume_id', '=', effect.volumeId).execute();
        break;
      default:
        effect satisfies never;
    }
  }
}

async function putMapping(
  tx: Transaction<Tables>,
  mapping: NewMapping,
  displaces: readonly string[],
  at: Date,
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
  try {
    const updated = await tx
      .updateTable('device_mappings')
      .set(fields)
      .where('volume_id', '=', mapping.volumeId)
      .executeTakeFirstOrThrow();
    if (updated.numUpdatedRows > 0n) return;
    await tx
      .insertInto('device_mappings')
      .values({ id: `mapping-${mapping.volumeId}`, volume_id: mapping.volumeId, created_at: at, ...fields })
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
    .where('volume_id', '=', volumeId)
    .where('status', '=', 'active')
    .execute();
}

async function putExport(tx: Transaction<Tables>, record: NewExport, at: Date): Promise<void> {
  const fields = {
    export_name: record.exportName,
    device_path: record.devicePath,
    port: record.port,
    status: record.status,
    metadata: JSON.stringify(record.metadata),
    updated_at: at,
  };
  const updated = await tx
    .updateTable('nbd_exports')
    .set(fields)
    .where('volume_id', '=', record.volumeId)
    .executeTakeFirstOrThrow();
  if (updated.numUpdatedRows > 0n) return;
  try {
    // The hub looks its exports up by the context of the mapping.
    const context = sql<
      string | null
    >`(SELECT m.vm_context_id FROM device_mappings m WHERE m.volume_id = ${record.volumeId})`;
    await tx
      .insertInto('nbd_exports')
      .values({ volume_id: record.volumeId, vm_context_id: context, created_at: at, ...fields })
      .execute();
  } catch (error) {
    if (faultOf(error) === 'no-parent') throw noMapping(record.volumeId, error);
    throw error;
  }
}

export function noMapping(volumeId: string, cause?: unknown): DaemonError {
  return new DaemonError(
    'MAPPING_NOT_FOUND',
    `Volume ${volumeId} has no mapping, so it can have no export: mapping not found`,
    { details: { volume_id: volumeId }, cause },
  );
}
