import type { ComponentHealth, Daemon, HealthReport, MetricsReport } from '../../daemon/daemon';
import type { Drift, SyncReport } from '../../sync/drift';
import {
  type AliveReply,
  type DriftReply,
  driftSchema,
  type HealthReply,
  healthSchema,
  type MetricsReply,
  metricsSchema,
  type SyncReply,
  syncSchema,
} from '../schemas/service';
import { replyOf, timestampOf } from './reply-of';

/** The version is 'starting' until the daemon has been built; callers only look at the status. */
export function aliveReply(daemon: Daemon | null, now: number): AliveReply {
  return {
    status: 'healthy',
    timestamp: timestampOf(now),
    service: 'volume-management-daemon',
    version: daemon?.version ?? 'starting',
  };
}

/** The keys of the specification at the top, everything else under details. */
export function healthReply(
  daemon: Pick<Daemon, 'version' | 'phase' | 'phaseReason'>,
  report: HealthReport,
): HealthReply {
  const { cloudstack, database, deviceMonitor, exportServer, appliance, operations } = report;
  const waitingSchema = healthSchema.shape.details.shape.waiting.element;
  const devices = deviceMonitor.details?.device_count;
  return {
    status: report.status,
    timestamp: timestampOf(report.at),
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
      waiting: operations.waiting.map((operation) => replyOf(waitingSchema, operation)),
      drifts: report.drifts.map(driftReply),
    },
  };
}

function component({ status, message, details }: ComponentHealth) {
  return { status, message, ...(details && { details: { ...details } }) };
}

function driftReply(drift: Drift): DriftReply {
  return replyOf(driftSchema, drift);
}

export function metricsReply(report: MetricsReport): MetricsReply {
  return replyOf(metricsSchema, {
    ...report,
    timestamp: report.at,
    averageResponseTimeMs: Math.round(report.averageResponseMs * 10) / 10,
    details: replyOf(metricsSchema.shape.details, report.details),
  });
}

export function syncReply(report: SyncReport, now: number): SyncReply {
  const reportSchema = syncSchema.shape.report;
  return {
    message: summaryOf(report),
    timestamp: timestampOf(now),
    report: replyOf(reportSchema, {
      ...report,
      observed: replyOf(reportSchema.shape.observed, report.observed),
      drifts: report.drifts.map(driftReply),
    }),
  };
}

function summaryOf({ dryRun, drifts, unavailable }: SyncReport): string {
  const counts = (['repaired', 'planned', 'reported', 'failed'] as const)
    .map((action) => ({ action, count: drifts.filter((drift) => drift.action === action).length }))
    .filter(({ count }) => count > 0)
    .map(({ action, count }) => `${count} ${action}`);
  const found = drifts.length === 0 ? 'no drift' : `${drifts.length} drift(s): ${counts.join(', ')}`;
  const notJudged = unavailable.length === 0 ? '' : `; not judged: ${unavailable.join(', ')}`;
  return `${dryRun ? 'Dry run of the synchronization' : 'Synchronization'} completed: ${found}${notJudged}`;
}
