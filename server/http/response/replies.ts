import type { VolumeDescription } from '../../daemon/volume-queries';
import type { DeviceEvent } from '../../devices/device';
import type { ExportValidation } from '../../exports/export-service';
import type { ExportRecord, JournalEntry, Mapping, Operation } from '../../model/operation';
import type { ExportReply, ValidateReply } from '../schemas/exports';
import type { JournalEntryReply, OperationReply } from '../schemas/operations';
import type { DeviceEventReply } from '../schemas/service';
import type { MappingReply, VmVolumeReply, VolumeReply } from '../schemas/volumes';

/** Wall clock ms → RFC 3339, UTC, milliseconds. */
export function time(ms: number): string {
  return new Date(ms).toISOString();
}

/** What there is not is left out: the Go client wants a string or nothing. */
export function operationReply(operation: Operation): OperationReply {
  const { vmId, response, error, errorCode, nextAttemptAt, waitReason, completedAt } = operation;
  return {
    id: operation.id,
    type: operation.type,
    status: operation.status,
    volume_id: operation.volumeId,
    ...(vmId !== null && { vm_id: vmId }),
    request: { ...operation.request },
    ...(response !== null && { response }),
    ...(error !== null && { error }),
    ...(errorCode !== null && { error_code: errorCode }),
    attempt: operation.attempt,
    ...(nextAttemptAt !== null && { next_attempt_at: time(nextAttemptAt) }),
    ...(waitReason !== null && { wait_reason: waitReason }),
    cancel_requested: operation.cancelRequested,
    created_at: time(operation.createdAt),
    updated_at: time(operation.updatedAt),
    ...(completedAt !== null && { completed_at: time(completedAt) }),
  };
}

export function journalEntryReply(entry: JournalEntry): JournalEntryReply {
  const { id, operationId, sequence, step, state, data, at } = entry;
  return { id, operation_id: operationId, sequence, step, state, data, at: time(at) };
}

export function mappingReply(mapping: Mapping): MappingReply {
  const here = mapping.linuxState !== 'n/a';
  return {
    id: mapping.id,
    vm_context_id: null,
    volume_id: mapping.volumeId,
    volume_uuid: mapping.volumeId,
    vm_id: mapping.vmId,
    operation_mode: here ? 'oma' : 'failover',
    requires_device_correlation: here,
    cloudstack_device_id: mapping.cloudstackDeviceId,
    device_path: pathOf(mapping),
    cloudstack_state: mapping.cloudstackState,
    linux_state: mapping.linuxState,
    size: mapping.size,
    controller: mapping.controller,
    serial: mapping.serial,
    diskseq: mapping.diskseq,
    matched_by: mapping.matchedBy,
    last_sync: time(mapping.lastSync),
    created_at: time(mapping.createdAt),
    updated_at: time(mapping.updatedAt),
  };
}

/**
 * Existing callers open whatever device_path says and never look at linux_state. When the disk is not the volume's any more
 * (identity check failed) the letter is not told; the placeholder is the one sync writes, and opening it fails.
 */
function pathOf(mapping: Mapping): string {
  if (mapping.linuxState !== 'missing' || !mapping.devicePath.startsWith('/')) return mapping.devicePath;
  return `missing-${mapping.volumeId}`;
}

export function vmVolumeReply(mapping: Mapping): VmVolumeReply {
  return {
    volume_id: mapping.volumeId,
    vm_id: mapping.vmId,
    device_path: pathOf(mapping),
    state: mapping.cloudstackState,
    size: mapping.size,
    attached_at: time(mapping.createdAt),
    cloudstack_data: null,
  };
}

export function volumeReply({
  volume,
  mapping,
  device,
  export: record,
  lastOperation,
}: VolumeDescription): VolumeReply {
  return {
    volume_id: volume.id,
    vm_id: volume.vmId,
    device_path: mapping ? pathOf(mapping) : null,
    state: volume.state,
    size: volume.size,
    cloudstack_data: {
      id: volume.id,
      name: volume.name,
      state: volume.state,
      type: volume.type,
      zonename: volume.zoneName,
      attached: volume.attached,
      deviceid: volume.deviceId,
      vmname: volume.vmName,
    },
    linux_data: device
      ? { device_path: device.path, size: device.size, controller: device.controller }
      : null,
    last_operation: lastOperation
      ? { id: lastOperation.id, type: lastOperation.type, status: lastOperation.status }
      : null,
    export: record ? exportReply(record) : null,
  };
}

export function exportReply(record: ExportRecord): ExportReply {
  return {
    id: record.id,
    volume_id: record.volumeId,
    export_name: record.exportName,
    device_path: record.devicePath,
    port: record.port,
    status: record.status,
    created_at: time(record.createdAt),
    updated_at: time(record.updatedAt),
    metadata: { ...record.metadata },
  };
}

export function validateReply(results: readonly ExportValidation[], now: number): ValidateReply {
  const wrong = results.filter(({ ok }) => !ok).length;
  return {
    message:
      wrong === 0
        ? `All ${results.length} NBD exports answer as they should`
        : `${wrong} of ${results.length} NBD exports do not answer as they should`,
    timestamp: time(now),
    valid: wrong === 0,
    results: results.map(({ volumeId, exportName, ok, message, size, expectedSize }) => ({
      volume_id: volumeId,
      export_name: exportName,
      ok,
      message,
      size,
      expected_size: expectedSize,
    })),
  };
}

export function deviceEventReply({ sequence, type, device, at }: DeviceEvent): DeviceEventReply {
  const { name, path, size, serial, diskseq, controller } = device;
  return { sequence, type, name, device_path: path, size, serial, diskseq, controller, at: time(at) };
}
