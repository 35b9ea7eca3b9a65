import { systemClock } from '../core/clock';
import { LIMITS } from '../core/limits';
import { VERSION } from '../core/version';
import { readOwnDisks } from '../devices/sysfs/own-disks-file';
import type { Ledger } from '../model/ledger';
import type { Engine } from '../operations/engine';
import { freeSlots } from '../operations/slots';
import type { Access } from './access/access';
import type { Adapters } from './adapters';
import type { Domain } from './compose';
import type { Configuration } from './configuration/configuration';
import type { DaemonPhase, HealthReport, MetricsReport, Reports } from './daemon';
import { deviceHealth } from './health/dependencies';
import { type HealthMonitor, healthReport } from './health/health';
import type { SlotWatch } from './health/slot-watch';
import { Metrics } from './metrics/metrics';
import {
  MetricsHistory,
  type MetricsHistoryReport,
  type QueueLook,
  type SpanName,
} from './metrics/metrics-history';
import { metricsReport } from './metrics/metrics-report';
import { Statistics } from './metrics/statistics';
import type { DaemonTracing } from './tracing/start-tracing';

interface ReportParts {
  readonly configuration: Configuration;
  readonly access: Access;
  readonly traces: DaemonTracing;
  readonly adapters: Adapters;
  readonly domain: Domain;
  readonly monitor: HealthMonitor;
  readonly slots: SlotWatch;
  /** Throws STARTING or DATABASE_UNAVAILABLE until the schema is there. */
  ledger(): Ledger;
  phase(): DaemonPhase;
}

/** What the daemon tells of itself. It only reads: nothing is decided by it. */
export class DaemonReports implements Reports {
  private readonly charts = new MetricsHistory(systemClock);
  readonly figures = new Metrics((id) => this.engine?.find(id) ?? null, this.charts.ended);
  private readonly statistics: Statistics;
  private readonly startedAt = systemClock.now();
  private readonly startedMonotonic = systemClock.monotonic();

  constructor(private readonly parts: ReportParts) {
    const { domain, adapters } = parts;
    domain.events.onEntry(this.figures.entry);
    this.statistics = new Statistics(
      () => parts.ledger(),
      () => adapters.identity.view.vmId ?? undefined,
      domain.events,
      () => this.engine !== null,
    );
  }

  health(): HealthReport {
    const { configuration, adapters, domain, monitor, slots, access } = this.parts;
    const { watcher, handsOff, identity } = adapters;
    const phase = this.parts.phase();
    return healthReport({
      clock: systemClock,
      phase,
      monitor,
      deviceMonitor: deviceHealth(watcher.health(), {
        capacity: slots.capacity,
        handsOff: handsOff.state(watcher.snapshot().devices),
        ownDisks: readOwnDisks(configuration.devices.etcDir, []),
      }),
      access: access.health(),
      appliance: identity.view,
      engine: this.engine,
      owner: phase === 'standby' ? domain.ownership.shownOwner : null,
      pending: this.statistics.pending(),
      sync: domain.sync,
      reconcileIntervalMs: configuration.reconcileIntervalMs,
      startedAt: this.startedAt,
      startedMonotonic: this.startedMonotonic,
      pollIntervalMs: configuration.devices.pollIntervalMs,
      settingsNotes: configuration.notes,
    });
  }

  async metrics(): Promise<MetricsReport> {
    const counts = await this.statistics.counts();
    const { cloud, watcher } = this.parts.adapters;
    const { calls, errors } = cloud.statistics();
    return metricsReport(systemClock.now(), counts, {
      cloudstackApiCalls: calls,
      cloudstackApiErrors: errors,
      deviceEventsProcessed: watcher.health().eventsProcessed,
      uptimeSeconds: Math.floor((systemClock.monotonic() - this.startedMonotonic) / 1000),
      epoch: this.engine?.epoch.number ?? null,
    });
  }

  async prometheus(): Promise<{ contentType: string; body: string }> {
    const { adapters, domain, slots, traces } = this.parts;
    const { database, cloud, exports, watcher } = adapters;
    // While something is away the other figures are still reported.
    const orNull = () => null;
    const records = await domain.exports.listHere().catch(orNull);
    const { devices, failedScans, lastScanAt } = watcher.health();
    return this.figures.render({
      version: VERSION,
      health: this.health(),
      counts: await this.statistics.counts().catch(orNull),
      exports: records,
      activeExports:
        records && (await domain.traffic.describe(records.slice(0, LIMITS.METRICS_EXPORTS)).catch(orNull)),
      exportFigures: exports.figures ?? null,
      devices: { devices: lastScanAt === null ? null : devices, failedScans },
      freeSlots: freeSlots(slots.capacity),
      clockSkewMs: cloud.statistics().clockSkewMs,
      sync: domain.sync,
      pool: database.usage(),
      spans: traces.counts(),
    });
  }

  history(span: SpanName): MetricsHistoryReport {
    return this.charts.report(span);
  }

  /** Takes the next point of the charts. */
  async sample(): Promise<void> {
    this.charts.sample(this.queue(), await this.parts.domain.traffic.sample());
  }

  /** What waits and runs, by the last count; unknown while the database is away or another daemon runs it. */
  private queue(): QueueLook {
    const { engine } = this;
    const isKnown = engine !== null && this.parts.monitor.of('database').status !== 'unhealthy';
    return isKnown
      ? { pending: this.statistics.pending(), executing: engine.status().length }
      : { pending: null, executing: null };
  }

  private get engine(): Engine | null {
    return this.parts.domain.ownership.engine;
  }
}
