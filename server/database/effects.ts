import { type Transaction } from 'kysely';
import type { NewExport, NewMapping } from '../operations/model';
import { DaemonError } from '../runtime/errors';
import { isDuplicate } from './faults';
import type { MappingEffect } from './ledger';
import type { Tables } from './tables';

/** Changes to mappings and exports inside the transaction of the entry that reports them. */
export async function applyEffects(tx: Transaction<Tables>, effects: readonly MappingEffect[], now: number): Promise<void> {
  const at = new Date(now);
  for (const effect of effects) {
    switch (effect.kind) {
      case 'put-mapping':
        await putMapping(tx, effect.mapping, effect.displaces ?? [], at);
        break;
      case 'delete-mapping':
        await tx.deleteFrom('device_mappings').where('volume_id', '=', effect.volumeId).where('vm_id', '=', effect.vmId).execute();
        break;
      case 'put-export':
        await putExport(tx, effect.record, at);
        break;
      case 'set-export-status':
        await tx.updateTable('nbd_exports').set({ status: effect.status, updated_at: at }).where('volume_id', '=', effect.volumeId).execute();
        break;
      case 'delete-export':
        await tx.deleteFrom('nbd_exports').where('volume_id', '=', effect.volumeId).execute();
        break;
      default:
        effect satisfies never;
    }
  }
}

async function putMapping(tx: Transaction<Tables>, mapping: NewMapping, displaces: readonly string[], at: Date): Promise<void> {
  for (const volumeId of displaces) {
    await tx
      .updateTable('device_mappings')
      .set({ device_path: `missing-${volumeId}`, linux_state: 'missing', updated_at: at })
      .where('volume_id', '=', volumeId)
      .where('vm_id', '=', mapping.vmId)
      .where('device_path', '=', mapping.devicePath)
      .execute();
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
    const updated = await tx.updateTable('device_mappings').set(fields).where('volume_id', '=', mapping.volumeId).executeTakeFirstOrThrow();
    if (updated.numUpdatedRows > 0n) return;
    await tx
      .insertInto('device_mappings')
      .values({ id: `mapping-${mapping.volumeId}`, volume_id: mapping.volumeId, created_at: at, ...fields })
      .execute();
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    throw new DaemonError('DEVICE_IDENTITY_MISMATCH', `Another volume is mapped to ${mapping.devicePath} of VM ${mapping.vmId}`, { details: { device_path: mapping.devicePath }, cause: error });
  }
}

async function putExport(tx: Transaction<Tables>, record: NewExport, at: Date): Promise<void> {
  const fields = { export_name: record.exportName, device_path: record.devicePath, port: record.port, status: record.status, metadata: JSON.stringify(record.metadata), updated_at: at };
  const updated = await tx.updateTable('nbd_exports').set(fields).where('volume_id', '=', record.volumeId).executeTakeFirstOrThrow();
  if (updated.numUpdatedRows > 0n) return;
  await tx.insertInto('nbd_exports').values({ volume_id: record.volumeId, created_at: at, ...fields }).execute();
}
