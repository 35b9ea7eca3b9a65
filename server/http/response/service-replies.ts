import type { ComponentHealth, Daemon, HealthReport, MetricsReport } from '../../daemon/daemon';
import type { Drift, SyncReport } from '../../sync/drift';
import type { AliveReply, DriftReply, HealthReply, MetricsReply, SyncReply } from '../schemas/service';
import { time } from './replies';

/** The version is 'starting' until the daemon is there; callers only look at the status. */
export function aliveReply(daemon: Daemon | null, now: number): AliveReply {
  return {
    status: 'healthy',
    timestamp: time(now),
    service: 'volume-management-daemon',
    version: daemon?.version ?? 'starting',
  };
}

/** The specification's keys at the top, everything else under details. */
export function healthReply(
  daemon: Pick<Daemon, 'version' | 'phase' | 'phaseReason'>,
  report: HealthReport,
): HealthReply {
  const { cloudstack, database, deviceMonitor, exportServer, appliance, operations } = report;
  const devices = deviceMonitor.details?.device_count;
  return {
    status: report.status,
    timestamp: time(report.at),
    cloudstack_health: cloudstack.status,
    database_health: database.status,
    device_monitor: deviceMonitor.status,
    details: {
      implementation_status: 'production_ready',
      version: daemon.version,
      phase: report.phase,
      phase_reason: daemon.phaseReason,
      polling_interval: `${report.pollIntervalMs / 1000}s`,
      active_operations: operations.executing,
      pending_operations: operations.pending,
      device_count: typeof devices === 'number' ? devices : null,
      uptime_seconds: report.uptimeSeconds,
      appliance: {
        vm_id: appliance.vmId,
        source: appliance.source,
        epoch: appliance.epoch,
        owner: appliance.owner,
      },
      components: {
        cloudstack: component(cloudstack),
        database: component(database),
        device_monitor: component(deviceMonitor),
        export_server: component(exportServer),
        appliance: component(appliance),
      },
      waiting: operations.waiting.map(({ id, type, step, reason, attempt, nextAttemptAt }) => ({
        id,
        type,
        step,
        reason,
        attempt,
        next_attempt_at: nextAttemptAt === null ? null : time(nextAttemptAt),
      })),
      drifts: report.drifts.map(driftReply),
    },
  };
}

function component({ status, message, details }: ComponentHealth) {
  return { status, message, ...(details && { details: { ...details } }) };
}

function driftReply({ kind, volumeId, vmId, devicePath, message, remedy, action }: Drift): DriftReply {
  return { kind, volume_id: volumeId, vm_id: vmId, device_path: devicePath, message, remedy, action };
}

export function metricsReply(report: MetricsReport): MetricsReply {
  const { details } = report;
  return {
    timestamp: time(report.at),
    total_operations: report.totalOperations,
    pending_operations: report.pendingOperations,
    active_mappings: report.activeMappings,
    operations_by_type: { ...report.operationsByType },
    operations_by_status: { ...report.operationsByStatus },
    average_response_time_ms: Math.round(report.averageResponseMs * 10) / 10,
    error_rate_percent: report.errorRatePercent,
    details: {
      cloudstack_api_calls: details.cloudstackApiCalls,
      cloudstack_api_errors: details.cloudstackApiErrors,
      device_events_processed: details.deviceEventsProcessed,
      uptime_seconds: details.uptimeSeconds,
      epoch: details.epoch,
    },
  };
}

export function syncReply(report: SyncReport, now: number): SyncReply {
  return {
    message: summary(report),
    timestamp: time(now),
    report: {
      started_at: time(report.startedAt),
      finished_at: time(report.finishedAt),
      dry_run: report.dryRun,
      reason: report.reason,
      observed: {
        cloud_volumes: report.observed.cloudVolumes,
        devices: report.observed.devices,
        mappings: report.observed.mappings,
        exports: report.observed.exports,
      },
      unavailable: [...report.unavailable],
      skipped_volumes: report.skippedVolumes,
      drifts: report.drifts.map(driftReply),
    },
  };
}

function summary({ dryRun, drifts, unavailable }: SyncReport): string {
  const count = (action: Drift['action']) => drifts.filter((drift) => drift.action === action).length;
  const what =
    drifts.length === 0
      ? 'no drift'
      : `${drifts.length} drift(s): ${(['repaired', 'planned', 'reported', 'failed'] as const)
          .filter((action) => count(action) > 0)
          .map((action) => `${count(action)} ${action}`)
          .join(', ')}`;
  const blind = unavailable.length === 0 ? '' : `; not judged: ${unavailable.join(', ')}`;
  return `${dryRun ? 'Dry run of the synchronization' : 'Synchronization'} completed: ${what}${blind}`;
}
