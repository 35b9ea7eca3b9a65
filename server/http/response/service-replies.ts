import type { Identity } from '../../daemon/access/tokens';
import type { ComponentHealth, Daemon, HealthReport, MetricsReport } from '../../daemon/daemon';
import { DRIFT_ACTIONS, type Drift, type SyncReport } from '../../sync/drift';
import {
  aliveSchema,
  callerSchema,
  driftSchema,
  healthSchema,
  metricsSchema,
  syncSchema,
} from '../schemas/service';
import { replyOf, timestampOf } from './reply-of';

/** The version is 'starting' until the daemon has been built; callers only look at the status. */
export function aliveReply(daemon: Daemon | null, now: number) {
  return replyOf(aliveSchema, {
    status: 'healthy',
    timestamp: now,
    service: 'volume-management-daemon',
    version: daemon?.version ?? 'starting',
  });
}

export function callerReply(identity: Identity) {
  return replyOf(callerSchema, identity);
}

/** The keys of the specification at the top, everything else under details. */
export function healthReply(daemon: Pick<Daemon, 'version' | 'phaseReason'>, report: HealthReport) {
  const { cloudstack, database, deviceMonitor, exportServer, appliance, operations, sync, access } = report;
  const details = healthSchema.shape.details;
  const devices = deviceMonitor.details?.device_count;
  return replyOf(healthSchema, {
    status: report.status,
    timestamp: report.at,
    cloudstackHealth: cloudstack.status,
    databaseHealth: database.status,
    deviceMonitor: deviceMonitor.status,
    details: replyOf(details, {
      ...report,
      implementationStatus: 'production_ready',
      version: daemon.version,
      phaseReason: daemon.phaseReason,
      pollingInterval: `${report.pollIntervalMs / 1000}s`,
      activeOperations: operations.executing,
      pendingOperations: operations.pending,
      deviceCount: typeof devices === 'number' ? devices : null,
      appliance: replyOf(details.shape.appliance, appliance),
      components: {
        cloudstack: component(cloudstack),
        database: component(database),
        device_monitor: component(deviceMonitor),
        export_server: component(exportServer),
        sync: component(sync),
        appliance: component(appliance),
        access: component(access),
      },
      waiting: operations.waiting.map((operation) => replyOf(details.shape.waiting.element, operation)),
      held: report.held.map((operation) => replyOf(details.shape.held.element, operation)),
      drifts: report.drifts.map(driftReply),
      settingsNotes: [...report.settingsNotes],
    }),
  });
}

function component({ status, message, since, details }: ComponentHealth) {
  return {
    status,
    message,
    ...(since !== undefined && { since: timestampOf(since) }),
    ...(details && { details: { ...details } }),
  };
}

function driftReply(drift: Drift) {
  return replyOf(driftSchema, drift);
}

export function metricsReply(report: MetricsReport) {
  return replyOf(metricsSchema, {
    ...report,
    timestamp: report.at,
    averageResponseTimeMs: Math.round(report.averageResponseMs * 10) / 10,
    details: replyOf(metricsSchema.shape.details, report.details),
  });
}

export function syncReply(report: SyncReport, now: number) {
  const reportSchema = syncSchema.shape.report;
  return replyOf(syncSchema, {
    message: summaryOf(report),
    timestamp: now,
    report: replyOf(reportSchema, {
      ...report,
      observed: replyOf(reportSchema.shape.observed, report.observed),
      drifts: report.drifts.map(driftReply),
    }),
  });
}

function summaryOf({ dryRun, judged, drifts, unavailable, skippedVolumes }: SyncReport): string {
  const what = dryRun ? 'Dry run of the synchronization' : 'Synchronization';
  const unread = unavailable.length === 0 ? '' : `; not judged: ${unavailable.join(', ')}`;
  if (!judged) {
    const known = drifts.length === 0 ? '' : `; ${drifts.length} drift(s) are known from before`;
    return `${what} could not look${unread}${known}`;
  }
  const none = unread === '' ? 'no drift' : 'no drift in what could be read';
  const counts = DRIFT_ACTIONS.map((action) => ({
    action,
    count: drifts.filter((drift) => drift.action === action).length,
  }))
    .filter(({ count }) => count > 0)
    .map(({ action, count }) => `${count} ${action}`);
  const old = drifts.filter(({ notJudgedSince }) => notJudgedSince !== null).length;
  const kept = old === 0 ? '' : `, ${old} of them known from before and not judged now`;
  const found = drifts.length === 0 ? none : `${drifts.length} drift(s): ${counts.join(', ')}${kept}`;
  const skipped = skippedVolumes === 0 ? '' : `; ${skippedVolumes} volume(s) left alone`;
  return `${what} completed: ${found}${skipped}${unread}`;
}
