import { Gauge, Registry } from 'prom-client';
import type { HealthReport, MetricsReport } from './daemon';

/** The same figures for Prometheus. Gauges throughout: the ledger holds the truth, this process only reports it. */
export async function renderPrometheus(
  metrics: MetricsReport,
  health: HealthReport,
): Promise<{ contentType: string; body: string }> {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `volume_daemon_${name}`, help, labelNames, registers: [registry] });
  const byStatus = gauge('operations', 'Operations in the ledger by status.', ['status']);
  for (const [status, count] of Object.entries(metrics.operationsByStatus)) byStatus.set({ status }, count);
  const byType = gauge('operations_by_type', 'Operations in the ledger by type.', ['type']);
  for (const [type, count] of Object.entries(metrics.operationsByType)) byType.set({ type }, count);
  gauge('mappings', 'Attached volumes with a mapping.').set(metrics.activeMappings);
  gauge('operation_duration_average_seconds', 'Mean time from acceptance to completion.').set(
    metrics.averageResponseMs / 1000,
  );
  gauge('cloudstack_calls', 'Calls to CloudStack since start.').set(metrics.details.cloudstackApiCalls);
  gauge('cloudstack_errors', 'Calls to CloudStack that failed since start.').set(
    metrics.details.cloudstackApiErrors,
  );
  gauge('device_events', 'Device events since start.').set(metrics.details.deviceEventsProcessed);
  gauge('epoch', 'Epoch of the ownership of the appliance, 0 in standby.').set(metrics.details.epoch ?? 0);
  gauge('uptime_seconds', 'Time since start.').set(metrics.details.uptimeSeconds);
  const up = gauge('dependency_up', '1 when the dependency is healthy.', ['dependency']);
  for (const [dependency, state] of Object.entries({
    cloudstack: health.cloudstack,
    database: health.database,
    devices: health.deviceMonitor,
    exports: health.exportServer,
    appliance: health.appliance,
  })) {
    up.set({ dependency }, state.status === 'healthy' || state.status === 'disabled' ? 1 : 0);
  }
  const drifts = gauge('drifts', 'Drifts that need a person, by kind.', ['kind']);
  for (const { kind } of health.drifts) drifts.inc({ kind });
  return { contentType: registry.contentType, body: await registry.metrics() };
}
