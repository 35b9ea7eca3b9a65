import type { VolumeDescription } from '../../daemon/volume-queries';
import type { DeviceEvent } from '../../devices/device';
import type { ExportValidation } from '../../exports/export-service';
import type { ExportRecord, JournalEntry, Mapping, Operation } from '../../model/operation';
import { type ExportReply, exportSchema, exportValidationSchema } from '../schemas/exports';
import {
  type JournalEntryReply,
  journalEntrySchema,
  type OperationReply,
  operationSchema,
} from '../schemas/operations';
import { type DeviceEventReply, deviceEventSchema } from '../schemas/service';
import {
  type MappingReply,
  mappingSchema,
  type VmVolumeReply,
  type VolumeReply,
  vmVolumeSchema,
} from '../schemas/volumes';
import { replyOf } from './reply-of';

/** Absent values are omitted: the Go client expects a string or nothing. */
export function operationReply(operation: Operation): OperationReply {
  return replyOf(operationSchema, { ...operation, request: { ...operation.request } });
}

export function journalEntryReply(entry: JournalEntry): JournalEntryReply {
  return replyOf(journalEntrySchema, entry);
}

export function mappingReply(mapping: Mapping): MappingReply {
  const here = mapping.linuxState !== 'n/a';
  return replyOf(mappingSchema, {
    ...mapping,
    vmContextId: null,
    volumeUuid: mapping.volumeId,
    operationMode: here ? 'oma' : 'failover',
    requiresDeviceCorrelation: here,
    devicePath: pathOf(mapping),
  });
}

/**
 * Existing callers open whatever device_path says and never look at linux_state. When the disk at the path is no longer
 * the volume's, they get the placeholder that sync writes instead: opening it fails.
 */
function pathOf(mapping: Mapping): string {
  if (mapping.linuxState !== 'missing' || !mapping.devicePath.startsWith('/')) return mapping.devicePath;
  return `missing-${mapping.volumeId}`;
}

export function vmVolumeReply(mapping: Mapping): VmVolumeReply {
  return replyOf(vmVolumeSchema, {
    ...mapping,
    devicePath: pathOf(mapping),
    state: mapping.cloudstackState,
    attachedAt: mapping.createdAt,
    cloudstackData: null,
  });
}

export function volumeReply(description: VolumeDescription): VolumeReply {
  const { volume, mapping, device, export: record, lastOperation } = description;
  const { id, name, state, size, type, zoneName, attached, deviceId, vmId, vmName } = volume;
  return {
    volume_id: id,
    vm_id: vmId,
    device_path: mapping && pathOf(mapping),
    state,
    size,
    cloudstack_data: {
      id,
      name,
      state,
      type,
      zonename: zoneName,
      attached,
      deviceid: deviceId,
      vmname: vmName,
    },
    linux_data: device && { device_path: device.path, size: device.size, controller: device.controller },
    last_operation: lastOperation && {
      id: lastOperation.id,
      type: lastOperation.type,
      status: lastOperation.status,
    },
    export: record && exportReply(record),
  };
}

export function exportReply(record: ExportRecord): ExportReply {
  return replyOf(exportSchema, { ...record, metadata: { ...record.metadata } });
}

export function exportValidationReply(validations: readonly ExportValidation[], now: number) {
  const wrong = validations.filter(({ ok }) => !ok).length;
  const message =
    wrong === 0
      ? `All ${validations.length} NBD exports answer as they should`
      : `${wrong} of ${validations.length} NBD exports do not answer as they should`;
  const results = validations.map((validation) =>
    replyOf(exportValidationSchema.shape.results.element, validation),
  );
  return replyOf(exportValidationSchema, { message, timestamp: now, valid: wrong === 0, results });
}

export function deviceEventReply({ sequence, type, device, at }: DeviceEvent): DeviceEventReply {
  return replyOf(deviceEventSchema, { ...device, devicePath: device.path, sequence, type, at });
}
