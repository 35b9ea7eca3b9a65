import type { CloudDiskOffering, CloudOwner } from '../../cloudstack/cloud';
import type {
  CloudReport,
  CorrelationReport,
  DatabaseReport,
  GuestReport,
  ZoneReport,
} from '../../diagnostics/reports';
import {
  cloudCheckSchema,
  correlationSchema,
  databaseCheckSchema,
  guestDeviceSchema,
  guestSchema,
  zoneSchema,
} from '../schemas/diagnostics';
import { deviceEventReply, mappingReply } from './replies';
import { replyOf } from './reply-of';

/** Tenths of a millisecond are precise enough. */
const rounded = (ms: number | null) => (ms === null ? null : Math.round(ms * 10) / 10);

export function guestReply({ snapshot, owners, rootDevices }: GuestReport) {
  const devices = snapshot.devices.map((device) =>
    replyOf(guestDeviceSchema, {
      ...device,
      devicePath: device.path,
      root: rootDevices.has(device.name),
      volumeId: owners.get(device.path)?.volumeId ?? null,
    }),
  );
  const others = (snapshot.others ?? []).map((disk) =>
    replyOf(guestSchema.shape.others.element, { ...disk, devicePath: disk.path }),
  );
  return replyOf(guestSchema, { ...snapshot, scannedAt: snapshot.at, devices, others });
}

export function correlationReply(report: CorrelationReport) {
  const { volume, answer, mapping } = report;
  const found = answer.kind === 'found' ? answer : null;
  return replyOf(correlationSchema, {
    ...report,
    volumeId: volume.id,
    volumeName: volume.name,
    volumeSize: volume.size,
    volumeState: volume.state,
    vmId: volume.vmId,
    answer: answer.kind,
    devicePath: found?.device.path ?? null,
    matchedBy: found?.matchedBy ?? null,
    code: answer.kind === 'refused' ? answer.code : null,
    reason: answer.reason,
    considered: answer.considered.map((disk) =>
      replyOf(correlationSchema.shape.considered.element, { ...disk, devicePath: disk.path }),
    ),
    mapping: mapping && mappingReply(mapping),
    recentEvents: report.events.map(deviceEventReply),
    sizeTolerance: report.toleranceBytes,
  });
}

export function cloudCheckReply(report: CloudReport) {
  return replyOf(cloudCheckSchema, {
    ...report,
    roundTripMs: rounded(report.roundTripMs),
    clockSkewMs: rounded(report.clockSkewMs),
    appliance: {
      vm_id: report.appliance.vmId,
      verdict: report.appliance.verdict,
      owner: ownerReply(report.appliance.owner),
    },
    newVolumes: { owner: ownerReply(report.newVolumes.owner), from: report.newVolumes.from },
  });
}

function ownerReply(owner: CloudOwner | null) {
  if (owner === null) return null;
  return { project_id: owner.projectId, account: owner.account, domain_id: owner.domainId };
}

export function zoneReply(zone: ZoneReport) {
  return replyOf(zoneSchema, zone);
}

export function offeringReply({ id, name, customized, sizeGiB }: CloudDiskOffering) {
  return { id, name, customized, size_gib: customized ? null : sizeGiB };
}

export function databaseCheckReply(report: DatabaseReport) {
  const { migrations, owner } = databaseCheckSchema.shape;
  return replyOf(databaseCheckSchema, {
    ...report,
    roundTripMs: rounded(report.roundTripMs),
    clockSkewMs: rounded(report.clockSkewMs),
    migrations: report.migrations.map((migration) => replyOf(migrations.element, migration)),
    pool: { in_use: report.pool.inUse, waiting: report.pool.waiting },
    owner: report.owner && replyOf(owner.unwrap(), report.owner),
  });
}
