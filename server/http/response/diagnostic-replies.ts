import type { CloudDiskOffering } from '../../cloudstack/cloud';
import type {
  CloudReport,
  CorrelationReport,
  DatabaseReport,
  GuestReport,
  ZoneReport,
} from '../../diagnostics/reports';
import type {
  CloudCheckReply,
  CorrelationReply,
  DatabaseCheckReply,
  GuestReply,
} from '../schemas/diagnostics';
import { deviceEventReply, mappingReply, time } from './replies';

const timeOrNull = (ms: number | null) => (ms === null ? null : time(ms));
/** Tenths of a millisecond are enough for people. */
const rounded = (ms: number | null) => (ms === null ? null : Math.round(ms * 10) / 10);

export function guestReply({ snapshot, owners, rootDevices }: GuestReport): GuestReply {
  return {
    scanned_at: time(snapshot.at),
    scanned: snapshot.scanned,
    boot_id: snapshot.bootId,
    devices: snapshot.devices.map(({ name, path, size, serial, serialState, diskseq, dev, controller }) => ({
      name,
      device_path: path,
      size,
      serial,
      serial_state: serialState,
      diskseq,
      dev,
      controller,
      root: rootDevices.has(name),
      volume_id: owners.get(path)?.volumeId ?? null,
    })),
  };
}

export function correlationReply(report: CorrelationReport): CorrelationReply {
  const { volume, answer, mapping } = report;
  return {
    volume_id: volume.id,
    volume_name: volume.name,
    volume_size: volume.size,
    volume_state: volume.state,
    vm_id: volume.vmId,
    attached_here: report.attachedHere,
    expected_serial: report.expectedSerial,
    answer: answer.kind,
    device_path: answer.kind === 'found' ? answer.device.path : null,
    matched_by: answer.kind === 'found' ? answer.matchedBy : null,
    code: answer.kind === 'refused' ? answer.code : null,
    reason: answer.reason,
    considered: answer.considered.map(({ path, serial, size, diskseq, verdict }) => ({
      device_path: path,
      serial,
      size,
      diskseq,
      verdict,
    })),
    mapping: mapping && mappingReply(mapping),
    mapping_problem: report.mappingProblem,
    submitted_at: timeOrNull(report.submittedAt),
    recent_events: report.events.map(deviceEventReply),
    window_ms: report.window,
    size_tolerance: report.tolerance,
  };
}

export function cloudCheckReply(report: CloudReport): CloudCheckReply {
  const { ok, problems, configuration, endpoint, version, roundTrip, clockSkew, appliance } = report;
  return {
    ok,
    problems: [...problems],
    configuration,
    endpoint,
    version,
    round_trip_ms: rounded(roundTrip),
    clock_skew_ms: rounded(clockSkew),
    appliance: { vm_id: appliance.vmId, verdict: appliance.verdict },
    commands: report.commands.map(({ name, purpose, allowed }) => ({ name, purpose, allowed })),
  };
}

export function zoneReply({ id, name, allocationState, configured }: ZoneReport) {
  return { id, name, allocation_state: allocationState, configured };
}

export function offeringReply({ id, name, customized, sizeGiB }: CloudDiskOffering) {
  return { id, name, customized, size_gib: customized ? null : sizeGiB };
}

export function databaseCheckReply(report: DatabaseReport): DatabaseCheckReply {
  const { ok, problems, database, version, roundTrip, clockSkew, pool, owner } = report;
  return {
    ok,
    problems: [...problems],
    database,
    version,
    round_trip_ms: rounded(roundTrip),
    clock_skew_ms: rounded(clockSkew),
    migrations: report.migrations.map(({ id, appliedAt }) => ({ id, applied_at: timeOrNull(appliedAt) })),
    pool: { in_use: pool.inUse, waiting: pool.waiting },
    owner: owner && { owner: owner.owner, epoch: owner.epoch, since: time(owner.since) },
  };
}
