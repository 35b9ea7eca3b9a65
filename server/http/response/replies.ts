import type { CloudSnapshot } from '../../cloudstack/cloud';
import type { VolumeDescription } from '../../daemon/volumes/volume-queries';
import type { VmVolumes } from '../../daemon/volumes/volumes-of-vm';
import type { DeviceEvent } from '../../devices/device';
import type { ExportValidation } from '../../exports/export-service';
import type { ExportActivity } from '../../exports/export-traffic';
import { isReadOnly } from '../../model/export-metadata';
import type { ExportRecord, JournalEntry, Mapping, Operation } from '../../model/operation';
import { missingPath } from '../../model/placeholder-path';
import { exportSchema, exportValidationSchema } from '../schemas/exports';
import { journalEntrySchema, operationSchema } from '../schemas/operations';
import { deviceEventSchema } from '../schemas/service';
import {
  mappingSchema,
  type SnapshotReply,
  snapshotSchema,
  vmVolumeSchema,
  volumeSchema,
} from '../schemas/volumes';
import { replyOf } from './reply-of';
import { exportTrafficReply } from './traffic-reply';
import { volumeEvidenceReply } from './volume-evidence-reply';

const cancelledBy = operationSchema.shape.cancel_requested_by.unwrap();

/** Absent values are omitted: the Go client expects a string or nothing. */
export function operationReply(operation: Operation) {
  const { request, cancelRequestedBy } = operation;
  return replyOf(operationSchema, {
    ...operation,
    request: { ...request },
    cancelRequestedBy: cancelRequestedBy && replyOf(cancelledBy, cancelRequestedBy),
  });
}

export function journalEntryReply(entry: JournalEntry) {
  return replyOf(journalEntrySchema, { ...entry, unreadable: entry.unreadable ?? null });
}

export function mappingReply(mapping: Mapping) {
  const here = mapping.linuxState !== 'n/a';
  return replyOf(mappingSchema, {
    ...mapping,
    vmContextId: mapping.vmContextId ?? null,
    volumeUuid: mapping.volumeId,
    operationMode: here ? 'oma' : 'failover',
    requiresDeviceCorrelation: here,
    devicePath: pathOf(mapping),
  });
}

/**
 * Existing callers open whatever device_path says and never look at linux_state. When the disk at the path is
 * no longer the volume's, they get the placeholder that sync writes instead: opening it fails.
 */
export function pathOf(mapping: Pick<Mapping, 'linuxState' | 'devicePath' | 'volumeId'>): string {
  if (mapping.linuxState !== 'missing' || !mapping.devicePath.startsWith('/')) return mapping.devicePath;
  return missingPath(mapping.volumeId);
}

export function vmVolumeReply(mapping: VmVolumes['volumes'][number]) {
  return replyOf(vmVolumeSchema, {
    ...mapping,
    devicePath: pathOf(mapping),
    state: mapping.cloudstackState,
    attachedAt: mapping.createdAt,
    cloudstackData: null,
  });
}

export function volumeReply(description: VolumeDescription) {
  const { volume, mapping, device, export: record, lastOperation, evidence } = description;
  const { linux_data, last_operation } = volumeSchema.shape;
  return replyOf(volumeSchema, {
    volumeId: volume.id,
    vmId: volume.vmId,
    devicePath: mapping && pathOf(mapping),
    state: volume.state,
    size: volume.size,
    cloudstackData: {
      id: volume.id,
      name: volume.name,
      state: volume.state,
      type: volume.type,
      zonename: volume.zoneName,
      attached: volume.attached,
      deviceid: volume.deviceId,
      vmname: volume.vmName,
    },
    linuxData: device && replyOf(linux_data.unwrap(), { ...device, devicePath: device.path }),
    lastOperation: lastOperation && replyOf(last_operation.unwrap(), lastOperation),
    export: record && exportReply(record),
    evidence: volumeEvidenceReply(evidence),
  });
}

export function snapshotReply(snapshot: CloudSnapshot): SnapshotReply {
  return replyOf(snapshotSchema, snapshot);
}

export function exportReply(record: ExportRecord, activity: ExportActivity | null = null) {
  return replyOf(exportSchema, {
    ...record,
    readOnly: isReadOnly(record),
    metadata: { ...record.metadata },
    traffic: activity && exportTrafficReply(activity),
  });
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

export function deviceEventReply({ sequence, type, device, at }: DeviceEvent) {
  return replyOf(deviceEventSchema, { ...device, devicePath: device.path, sequence, type, at });
}
