import type { CloudError } from '../../cloudstack/cloud';
import type { DeviceEvent } from '../../devices/device';
import type { ExportFigures } from '../../exports/export-server';
import type { ActiveExport } from '../../exports/export-traffic';
import type { OperationCounts } from '../../model/ledger';
import {
  EXPORT_STATUSES,
  type ExportRecord,
  type JournalEntry,
  type Operation,
  type TerminalStatus,
} from '../../model/operation';
import { DRIFT_KINDS } from '../../sync/drift';
import type { SyncService } from '../../sync/sync-service';
import type { HealthReport } from '../daemon';
import type { SpanCounts } from '../tracing/bounded-spans';
import { type Catalogue, createCatalogue } from './catalogue';
import { JournalObserver } from './journal-observer';

/** Values read at a scrape. Unavailable values are null and omitted, so that an alert sees the gap. */
export interface Gathered {
  readonly version: string;
  readonly health: HealthReport;
  readonly counts: OperationCounts | null;
  readonly exports: readonly ExportRecord[] | null;
  /** At most LIMITS.METRICS_EXPORTS. */
  readonly activeExports: readonly ActiveExport[] | null;
  readonly exportFigures: ExportFigures | null;
  /** How many more disks this VM takes; null: not known. */
  readonly freeSlots: number | null;
  /** `devices` null: nobody has looked yet. */
  readonly devices: { readonly devices: number | null; readonly failedScans: number };
  readonly clockSkewMs: number | null;
  readonly sync: Pick<SyncService, 'last' | 'lastJudgedAt' | 'lastFailure'>;
  readonly pool: { readonly inUse: number; readonly waiting: number };
  /** null: no traces are sent. */
  readonly spans: SpanCounts | null;
}

/**
 * The figures of this process for Prometheus: events are counted as they happen, states are read at the
 * scrape.
 */
export class Metrics {
  private readonly catalogue: Catalogue = createCatalogue();
  private readonly observer: JournalObserver;

  constructor(
    running: (operationId: string) => Operation | null,
    onEnded?: (status: TerminalStatus, durationMs: number) => void,
  ) {
    this.observer = new JournalObserver(this.catalogue, running, onEnded);
  }

  readonly entry = (entry: JournalEntry): void => this.observer.observe(entry);

  pruned(operations: number): void {
    this.catalogue.pruned.inc(operations);
  }

  readonly deviceEvent = ({ type }: DeviceEvent): void => this.catalogue.deviceEvents.inc({ type });

  readonly cloudCall = (call: { command: string; ms: number; error: CloudError | null }): void => {
    const { cloudCalls, cloudErrors, cloudDuration } = this.catalogue;
    const { command, ms, error } = call;
    cloudCalls.inc({ command });
    cloudDuration.observe({ command }, ms / 1000);
    if (error) cloudErrors.inc({ command, kind: error.kind });
  };

  async render(gathered: Gathered): Promise<{ contentType: string; body: string }> {
    const { registry } = this.catalogue;
    this.ledger(gathered);
    this.health(gathered);
    this.exports(gathered);
    this.traffic(gathered.activeExports);
    this.rest(gathered);
    this.spans(gathered.spans);
    return { contentType: registry.contentType, body: await registry.metrics() };
  }

  private ledger({ counts, health }: Gathered): void {
    const { operations, operationsByType, oldest, mappings } = this.catalogue;
    for (const gauge of [operations, operationsByType, oldest, mappings]) gauge.reset();
    mappings.remove();
    if (!counts) return;
    for (const [status, count] of Object.entries(counts.byStatus)) operations.set({ status }, count);
    for (const [type, count] of Object.entries(counts.byType)) operationsByType.set({ type }, count);
    const age = (at: number | null) => (at === null ? 0 : Math.max(0, health.at - at) / 1000);
    oldest.set({ status: 'pending' }, age(counts.oldestPendingAt));
    oldest.set({ status: 'executing' }, age(counts.oldestExecutingAt));
    mappings.set(counts.activeMappings);
  }

  private health({ version, health, sync }: Gathered): void {
    const { info, phase, dependencyUp, dependencyDegraded, epoch, drifts, waiting, held } = this.catalogue;
    info.set({ version }, 1);
    phase.reset();
    phase.set({ phase: health.phase }, 1);
    const isAway = health.database.status === 'unhealthy' || health.database.status === 'unknown';
    dependencyUp.reset();
    dependencyDegraded.reset();
    for (const [dependency, state] of Object.entries({
      cloudstack: health.cloudstack,
      database: health.database,
      devices: health.deviceMonitor,
      exports: health.exportServer,
      appliance: health.appliance,
    })) {
      // The sample of the database says it: an alert for each of them would send people to look for faults in
      // what nobody could ask.
      if (state.status === 'unknown' && isAway && dependency !== 'database') continue;
      dependencyUp.set({ dependency }, state.status === 'unhealthy' || state.status === 'unknown' ? 0 : 1);
      dependencyDegraded.set({ dependency }, state.status === 'degraded' ? 1 : 0);
    }
    // Under the name that the appliance has now; empty until it is known.
    epoch.reset();
    epoch.set({ appliance: health.appliance.vmId ?? '' }, health.appliance.epoch ?? 0);
    drifts.reset();
    // Before a sync has looked at everything there may be any.
    if (sync.lastJudgedAt !== null) for (const kind of DRIFT_KINDS) drifts.set({ kind }, 0);
    for (const { kind } of health.drifts) drifts.inc({ kind });
    held.remove();
    if (health.appliance.epoch !== null) held.set(health.held.length);
    waiting.reset();
    for (const { step } of health.operations.waiting) waiting.inc({ step });
  }

  private exports({ exports, exportFigures }: Gathered): void {
    const { exports: byStatus, reloads, restarts, probes, probeFailures } = this.catalogue;
    byStatus.reset();
    if (exports) {
      for (const status of EXPORT_STATUSES)
        byStatus.set({ status }, exports.filter((record) => record.status === status).length);
    }
    if (!exportFigures) return;
    for (const [counter, total] of [
      [reloads, exportFigures.reloads],
      [restarts, exportFigures.restarts],
      [probes, exportFigures.probes],
      [probeFailures, exportFigures.probeFailures],
    ] as const) {
      counter.reset();
      counter.inc(total);
    }
  }

  /** What is not known of an export is omitted. */
  private traffic(exports: readonly ActiveExport[] | null): void {
    const { exportClients, exportConnected, exportRead, exportWritten, exportExpected, exportLastIo } =
      this.catalogue;
    for (const metric of [exportConnected, exportRead, exportWritten, exportExpected, exportLastIo])
      metric.reset();
    exportClients.remove();
    const counts = exports?.map(({ activity: { clients } }) =>
      clients.kind === 'seen' ? clients.value : null,
    );
    // A sum of what is known would look like all of it.
    if (counts?.every((count) => count !== null))
      exportClients.set(counts.reduce((sum, count) => sum + count, 0));
    for (const { record, activity } of exports ?? []) {
      const { clients, traffic, progress } = activity;
      const volume = { volume_id: record.volumeId };
      if (clients.kind === 'seen') exportConnected.set(volume, clients.value);
      if (progress.expectedBytes !== null) exportExpected.set(volume, progress.expectedBytes);
      if (traffic.kind !== 'seen') continue;
      exportRead.inc(volume, traffic.value.readBytes);
      exportWritten.inc(volume, traffic.value.writtenBytes);
      const { lastIoAgoMs } = traffic.value;
      if (lastIoAgoMs !== null) exportLastIo.set(volume, (traffic.at - lastIoAgoMs) / 1000);
    }
  }

  private spans(counts: SpanCounts | null): void {
    const { traceSpans } = this.catalogue;
    traceSpans.reset();
    for (const outcome of ['sent', 'dropped', 'failed'] as const)
      if (counts !== null) traceSpans.inc({ outcome }, counts[outcome]);
  }

  private rest({ devices, freeSlots, clockSkewMs, health, sync, pool }: Gathered): void {
    const {
      devices: seen,
      freeSlots: free,
      scanFailures,
      cloudSkew,
      lastSync,
      lastSyncJudged,
      poolInUse,
      poolWaiting,
    } = this.catalogue;
    seen.remove();
    if (devices.devices !== null) seen.set(devices.devices);
    free.remove();
    if (freeSlots !== null) free.set(freeSlots);
    scanFailures.reset();
    scanFailures.inc(devices.failedScans);
    cloudSkew.remove();
    if (clockSkewMs !== null) cloudSkew.set(clockSkewMs / 1000);
    lastSync.remove();
    if (sync.lastJudgedAt !== null) lastSync.set(sync.lastJudgedAt / 1000);
    lastSyncJudged.remove();
    const judged = sync.lastFailure === null && sync.last?.judged === true;
    if (health.appliance.epoch !== null) lastSyncJudged.set(judged ? 1 : 0);
    poolInUse.set(pool.inUse);
    poolWaiting.set(pool.waiting);
  }
}
