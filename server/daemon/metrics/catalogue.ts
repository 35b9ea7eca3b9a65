import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { measureEventLoopLag, NEVER_MS } from './event-loop-lag';

/** Operations wait for CloudStack, so they last from a tenth of a second to an hour. */
const OPERATION_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600];
const CALL = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const DETECTION = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 15, 30];

export type Catalogue = ReturnType<typeof createCatalogue>;

/**
 * All our metrics with their help texts (docs/guides/monitoring.md, checked by a test), and prom-client's for
 * process and event loop.
 */
export function createCatalogue(registry: Registry = new Registry()) {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  measureEventLoopLag(registry);
  const meters = metersOf(registry);
  return { registry, ...operationMetrics(meters), ...outsideMetrics(meters), ...exportMetrics(meters) };
}

type Meters = ReturnType<typeof metersOf>;

function metersOf(registry: Registry) {
  const registers = [registry];
  const named = (name: string, help: string) => ({ name: `volume_daemon_${name}`, help, registers });
  return {
    gauge: <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
      new Gauge({ ...named(name, help), labelNames }),
    counter: <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
      new Counter({ ...named(name, help), labelNames }),
    histogram: <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
      new Histogram({ ...named(name, help), labelNames, buckets }),
  };
}

/** The daemon itself and its operations. */
function operationMetrics({ gauge, counter, histogram }: Meters) {
  return {
    info: gauge('info', 'Always 1; the version is in the label.', ['version']),
    phase: gauge('phase', '1 for the phase the daemon is in.', ['phase']),
    dependencyUp: gauge(
      'dependency_up',
      '1 when the dependency does its work or is switched off; absent for what is not known because the database is away.',
      ['dependency'],
    ),
    dependencyDegraded: gauge(
      'dependency_degraded',
      '1 when the dependency does its work, but something about it needs a person.',
      ['dependency'],
    ),
    epoch: gauge('epoch', 'Epoch of the ownership of the appliance, 0 in standby.', ['appliance']),
    operations: gauge('operations', 'Operations in the ledger by status.', ['status']),
    operationsByType: gauge('operations_by_type', 'Operations in the ledger by type.', ['type']),
    oldest: gauge(
      'oldest_operation_age_seconds',
      'Age of the oldest operation in this status, 0 without one.',
      ['status'],
    ),
    waiting: gauge(
      'operations_held_up',
      'Operations that wait for a retry or a dependency, or whose rows the database refuses, by step.',
      ['step'],
    ),
    held: gauge(
      'operations_held',
      'Operations that nobody runs until a person retries or abandons them; absent in standby.',
    ),
    ended: counter('operations_ended_total', 'Operations that ended in this process, by type and outcome.', [
      'type',
      'status',
    ]),
    pruned: counter('operations_pruned_total', 'Operations that were deleted because they ended long ago.'),
    duration: histogram(
      'operation_duration_seconds',
      'From acceptance to the end of an operation, by type and outcome.',
      ['type', 'status'],
      OPERATION_SECONDS,
    ),
    stepDuration: histogram(
      'step_duration_seconds',
      'A step of an operation, from its intent (or the end of the step before it) to its answer.',
      ['type', 'step'],
      OPERATION_SECONDS,
    ),
    detection: histogram(
      'device_detection_seconds',
      'From the answer of CloudStack that a volume is attached to the mapping of its verified device.',
      [],
      DETECTION,
    ),
  };
}

/** CloudStack, the disks of the guest, mappings and sync. */
function outsideMetrics({ gauge, counter, histogram }: Meters) {
  return {
    cloudCalls: counter('cloudstack_calls_total', 'Calls to CloudStack.', ['command']),
    cloudErrors: counter('cloudstack_errors_total', 'Calls to CloudStack that failed, by kind of error.', [
      'command',
      'kind',
    ]),
    cloudDuration: histogram('cloudstack_call_duration_seconds', 'Calls to CloudStack.', ['command'], CALL),
    cloudSkew: gauge(
      'cloudstack_clock_skew_seconds',
      "CloudStack's clock minus ours, from a header of its answers or measured; absent while it is not known.",
    ),
    freeSlots: gauge('free_disk_slots', 'How many more disks this VM takes; absent while that is not known.'),
    devices: gauge(
      'devices',
      'Disks of this guest on buses on which volumes are looked for, at the last look; absent before one.',
    ),
    deviceEvents: counter('device_events_total', 'Disks that appeared, left or changed.', ['type']),
    scanFailures: counter('device_scan_failures_total', 'Looks at the guest that failed.'),
    mappings: gauge(
      'mappings',
      'Attached volumes with a mapping, of every appliance with the same database.',
    ),
    drifts: gauge(
      'drifts',
      'Drifts left to a person, by kind; those that could not be judged again stay. No 0 before a sync could look at everything.',
      ['kind'],
    ),
    lastSync: gauge(
      'last_sync_timestamp_seconds',
      'Unix time of the end of the last sync that could look at everything.',
    ),
    lastSyncJudged: gauge(
      'last_sync_judged',
      '1 when the last sync could look at everything, 0 when not or before one; absent in standby.',
    ),
  };
}

/** Exports, the pool of the database, and traces. */
function exportMetrics({ gauge, counter }: Meters) {
  return {
    exports: gauge('exports', 'NBD exports of this appliance in the ledger by status.', ['status']),
    exportClients: gauge('export_clients', 'Clients connected to the NBD exports.'),
    exportConnected: gauge('export_connected_clients', 'Clients connected to this export.', ['volume_id']),
    exportRead: counter(
      'export_read_bytes_total',
      'Bytes read from the disk of this export since it was plugged in, by the kernel.',
      ['volume_id'],
    ),
    exportWritten: counter(
      'export_written_bytes_total',
      'Bytes written to the disk of this export since it was plugged in, by the kernel.',
      ['volume_id'],
    ),
    exportExpected: gauge(
      'export_expected_bytes',
      'Bytes to be copied into this export: of the attach request, else the size of the volume.',
      ['volume_id'],
    ),
    exportLastIo: gauge(
      'export_last_io_timestamp_seconds',
      'Unix time of the last I/O of the disk of this export; absent when none was seen by this process.',
      ['volume_id'],
    ),
    reloads: counter('export_reloads_total', 'Reloads of the NBD server.'),
    restarts: counter('export_restarts_total', 'Restarts of the parent of the NBD server.'),
    probes: counter('export_probes_total', 'NBD handshakes made to check an export.'),
    probeFailures: counter('export_probe_failures_total', 'NBD handshakes that failed.'),
    poolInUse: gauge('database_connections_in_use', 'Connections of the pool that are at work.'),
    poolWaiting: gauge('database_requests_waiting', 'Requests that wait for a connection of the pool.'),
    traceSpans: counter(
      'trace_spans_total',
      'Spans of traces that were sent, dropped (too many waited) or failed (the collector has not taken them); absent while no traces are sent.',
      ['outcome'],
    ),
  };
}
