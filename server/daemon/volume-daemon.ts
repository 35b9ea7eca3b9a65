import { hostname } from 'node:os';
import { systemClock, systemRandom } from '../core/clock';
import { type DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { MONITOR_STARTED } from '../core/log/log-events';
import type { Logger } from '../core/log/logger';
import type { Redactor } from '../core/redaction';
import { VERSION } from '../core/version';
import type { DeviceEvent, DeviceSnapshot } from '../devices/device';
import { readOwnDisks } from '../devices/sysfs/own-disks-file';
import type { Diagnostics } from '../diagnostics/diagnostics-service';
import type { ExportService } from '../exports/export-service';
import type { ExportTraffic } from '../exports/export-traffic';
import type { Engine } from '../operations/engine';
import type { OperationService } from '../operations/operation-service';
import type { Policy } from '../operations/policy';
import { freeSlots } from '../operations/slots';
import type { SyncReport } from '../sync/drift';
import type { OrphanedExports } from '../sync/orphaned-exports';
import { PeriodicSync } from '../sync/periodic-sync';
import type { SyncService } from '../sync/sync-service';
import type { Access } from './access/access';
import { type Adapters, createAdapters } from './adapters';
import { compose, type Domain, type DomainSettings } from './compose';
import type { Configuration } from './configuration/configuration';
import { createDiagnostics } from './create-diagnostics';
import type { Daemon, DaemonPhase, HealthReport, MetricsReport } from './daemon';
import { deviceHealth, watchDependencies } from './health/dependencies';
import { type HealthMonitor, healthReport } from './health/health';
import { SlotWatch } from './health/slot-watch';
import { applianceUnknown, unknownText } from './identity';
import { Metrics } from './metrics/metrics';
import {
  MetricsHistory,
  type MetricsHistoryReport,
  type QueueLook,
  type SpanName,
} from './metrics/metrics-history';
import { metricsReport } from './metrics/metrics-report';
import { Statistics } from './metrics/statistics';
import { PreparedDatabase } from './prepared-database';
import { processInstances } from './process-instance';
import { pruneHistory } from './prune-history';
import { recordCloudCall } from './tracing/cloud-spans';
import type { DaemonTracing } from './tracing/start-tracing';
import { VolumeQueries } from './volumes/volume-queries';

interface Parts {
  readonly configuration: Configuration;
  readonly logger: Logger;
  readonly redactor: Redactor;
  readonly access: Access;
  readonly traces: DaemonTracing;
  readonly onFatal: (error: unknown) => void;
}

/**
 * The daemon itself: builds the parts, starts them in the order of their dependencies, answers requests, and
 * stops them. It has no rules about volumes; those are in operations, devices, exports and sync.
 */
export class VolumeDaemon implements Daemon {
  readonly version = VERSION;
  private stage: DaemonPhase = 'starting';
  private stageReason: string | null = null;
  readonly operations: OperationService;
  readonly volumes: VolumeQueries;
  readonly exports: ExportService;
  readonly orphanedExports: OrphanedExports;
  readonly traffic: ExportTraffic;
  readonly sync: SyncService;
  readonly diagnostics: Diagnostics;
  private readonly stop$ = new AbortController();
  readonly stopping = this.stop$.signal;
  private readonly startedAt = systemClock.now();
  private readonly startedMonotonic = systemClock.monotonic();
  private polledAt = Number.NEGATIVE_INFINITY;
  private readonly adapters: Adapters;
  private readonly database: PreparedDatabase;
  private readonly domain: Domain;
  private readonly periodicSync: PeriodicSync;
  private readonly monitor: HealthMonitor;
  private readonly statistics: Statistics;
  private readonly slots: SlotWatch;
  private readonly charts = new MetricsHistory(systemClock);
  private readonly figures = new Metrics((id) => this.engine?.find(id) ?? null, this.charts.ended);
  private readonly recent: DeviceEvent[] = [];
  private stopped: Promise<void> | null = null;

  constructor(private readonly parts: Parts) {
    const { configuration, logger } = parts;
    this.adapters = createAdapters(configuration, logger, parts.redactor, (call) => {
      this.figures.cloudCall(call);
      recordCloudCall(parts.traces.tracing, call);
    });
    const { database, cloud, guest, counters, watcher, handsOff, exports, identity } = this.adapters;
    this.database = new PreparedDatabase(database);
    this.domain = compose(
      {
        ledger: database.ledger,
        cloud,
        guest,
        counters,
        handsOff,
        watcher,
        exports,
        clock: systemClock,
        random: systemRandom,
        logger,
        tracing: parts.traces.tracing,
      },
      this.domainSettings(),
    );
    this.domain.events.onEntry(this.figures.entry);
    this.operations = this.domain.operations;
    this.exports = this.domain.exports;
    this.orphanedExports = this.domain.orphanedExports;
    this.traffic = this.domain.traffic;
    this.sync = this.domain.sync;
    this.sync.onSynced = ({ judged }) => {
      if (!judged) identity.doubt();
    };
    this.volumes = new VolumeQueries({
      exports,
      clock: systemClock,
      ledger: () => this.database.ledger,
      cloud: this.domain.cloud,
      catalogue: this.domain.catalogue,
      watcher,
      guest,
      recentEvents: () => this.recent,
      onEvent: (listener) => watcher.onEvent(listener),
      devDir: configuration.devices.devDir,
      applianceVmId: () => identity.view.vmId,
    });
    this.periodicSync = new PeriodicSync(this.sync, configuration.reconcileIntervalMs, systemClock);
    this.diagnostics = createDiagnostics(
      this.adapters,
      () => this.database.ledger,
      configuration,
      this.domain.ownership,
    );
    this.statistics = new Statistics(
      () => this.database.ledger,
      () => identity.view.vmId ?? undefined,
      this.domain.events,
      () => this.engine !== null,
    );
    this.slots = new SlotWatch({
      cloud,
      guest,
      watcher: { scan: async () => watcher.snapshot() },
      clock: systemClock,
      applianceVmId: () => identity.view.vmId,
      coming: () => (this.engine?.takingSlots() ?? []).map(({ volumeId }) => volumeId),
    });
    this.monitor = watchDependencies(
      this.adapters,
      () =>
        this.database.health(this.engine?.epoch ?? null, systemClock.now, this.adapters.lastWritten.trouble),
      logger,
    );
    database.onAway(() => this.monitor.doubt('database'));
  }

  /**
   * Resolves when everything is up (as owner or in standby); rejects only when the start can never succeed.
   */
  async start(): Promise<void> {
    const { watcher } = this.adapters;
    const { logger, configuration } = this.parts;
    this.monitor.start();
    watcher.onEvent((event) => this.deviceEvent(event));
    watcher.onEvent(this.figures.deviceEvent);
    // It may be that of another volume than the one whose export leads there: until it was
    // read, nothing told so.
    watcher.onSerial(() => void this.domain.revokeExports());
    await watcher.start();
    // What was unplugged while no daemon ran makes no event when there is no inventory; the database
    // may be away for long.
    this.dropUnplugged();
    await this.domain.revokeExports();
    logger.info(MONITOR_STARTED, {
      interval_ms: configuration.devices.pollIntervalMs,
      devices: watcher.snapshot().devices.length,
    });
    await this.database.prepare(this.stopping);
    if (this.stopping.aborted) return;
    this.monitor.doubt('database');
    this.stage = 'standby';
    this.stageReason = 'finding out which VM the daemon runs on';
    void this.resolveIdentity();
  }

  /** Runs the operations of the epoch that is ours; null while the lease is not held. */
  private get engine(): Engine | null {
    return this.domain.ownership.engine;
  }

  /** Ready only while the lease is held, by the clock at this very moment. */
  get phase(): DaemonPhase {
    return this.stage === 'ready' && this.engine === null ? 'standby' : this.stage;
  }

  get phaseReason(): string | null {
    if (this.stage === 'starting') return this.database.waitsFor;
    const database = this.monitor.of('database');
    return this.stage === 'ready' && this.phase === 'standby'
      ? 'the lease of the appliance has ended and was not renewed'
      : (this.stageReason ?? (database.status === 'unhealthy' ? database.message : null));
  }

  get refusal(): DaemonError {
    if (this.database.refusal !== null) return this.database.refusal;
    const { view } = this.adapters.identity;
    return view.vmId === null ? applianceUnknown(view) : this.domain.ownership.refusal;
  }

  /** Drains: stops accepting, ends streams, finishes current steps, releases the lease. Idempotent. */
  stop(): Promise<void> {
    this.stopped ??= this.drain();
    return this.stopped;
  }

  health(): HealthReport {
    const { watcher, handsOff, identity } = this.adapters;
    return healthReport({
      clock: systemClock,
      phase: this.phase,
      monitor: this.monitor,
      deviceMonitor: deviceHealth(watcher.health(), {
        capacity: this.slots.capacity,
        handsOff: handsOff.state(watcher.snapshot().devices),
        ownDisks: readOwnDisks(this.parts.configuration.devices.etcDir, []),
      }),
      access: this.parts.access.health(),
      appliance: identity.view,
      engine: this.engine,
      owner: this.phase === 'standby' ? this.domain.ownership.shownOwner : null,
      pending: this.statistics.pending(),
      sync: this.sync,
      reconcileIntervalMs: this.parts.configuration.reconcileIntervalMs,
      startedAt: this.startedAt,
      startedMonotonic: this.startedMonotonic,
      pollIntervalMs: this.parts.configuration.devices.pollIntervalMs,
      settingsNotes: this.parts.configuration.notes,
    });
  }

  async metrics(): Promise<MetricsReport> {
    const counts = await this.statistics.counts();
    const { cloud, watcher } = this.adapters;
    const { calls, errors } = cloud.statistics();
    const now = systemClock.now();
    return metricsReport(now, counts, {
      cloudstackApiCalls: calls,
      cloudstackApiErrors: errors,
      deviceEventsProcessed: watcher.health().eventsProcessed,
      uptimeSeconds: Math.floor((systemClock.monotonic() - this.startedMonotonic) / 1000),
      epoch: this.engine?.epoch.number ?? null,
    });
  }

  async prometheus(): Promise<{ contentType: string; body: string }> {
    const { database, cloud, exports, watcher } = this.adapters;
    const orNull = () => null;
    const records = await this.exports.listHere().catch(orNull);
    const { devices, failedScans } = watcher.health();
    return this.figures.render({
      version: this.version,
      health: this.health(),
      // While the database is away the other figures are still reported.
      counts: await this.statistics.counts().catch(orNull),
      exports: records,
      activeExports:
        records && (await this.traffic.describe(records.slice(0, LIMITS.METRICS_EXPORTS)).catch(orNull)),
      exportFigures: exports.figures ?? null,
      devices: { devices, failedScans },
      freeSlots: freeSlots(this.slots.capacity),
      clockSkewMs: cloud.statistics().clockSkewMs,
      sync: this.sync,
      pool: database.usage(),
      spans: this.parts.traces.counts(),
    });
  }

  /** The task ticks every 2 s; a longer POLL_INTERVAL skips ticks. */
  async poll(): Promise<DeviceSnapshot> {
    this.domain.clockSteps.look();
    const { watcher } = this.adapters;
    const snapshot = watcher.snapshot();
    const due = this.polledAt + this.parts.configuration.devices.pollIntervalMs - LIMITS.POLL_SLACK_MS;
    const now = systemClock.monotonic();
    if (snapshot.scanned && now < due) return snapshot;
    this.polledAt = now;
    const scanned = await watcher.scan();
    // CloudStack may be away: nobody waits for it here.
    void this.slots.refresh();
    this.charts.sample(this.queue(), await this.traffic.sample());
    return scanned;
  }

  history(span: SpanName): MetricsHistoryReport {
    return this.charts.report(span);
  }

  /** What waits and runs, by the last count; unknown while the database is away or another daemon runs it. */
  private queue(): QueueLook {
    const { engine } = this;
    const isKnown = engine !== null && this.monitor.of('database').status !== 'unhealthy';
    return isKnown
      ? { pending: this.statistics.pending(), executing: engine.status().length }
      : { pending: null, executing: null };
  }

  async reconcile(): Promise<SyncReport | null> {
    return this.periodicSync.tick();
  }

  async sweep(): Promise<{ resumed: number; claimed: number }> {
    const { engine } = this;
    if (engine === null) return { resumed: 0, claimed: 0 };
    const swept = await engine.sweep();
    await this.domain.tellMissed();
    return swept;
  }

  async prune(): Promise<{ deleted: number }> {
    const { historyDays } = this.parts.configuration;
    const { ledger } = this.adapters.database;
    const stepped = this.domain.clockSteps.hasSteppedSince(
      systemClock.monotonic() - LIMITS.IDEMPOTENCY_TTL_MS,
    );
    const pruned = await pruneHistory(ledger, this.domain.writer().epoch, {
      nowMs: systemClock.now(),
      historyDays,
      stepped,
      logger: this.parts.logger,
      stopping: this.stopping,
    });
    this.figures.pruned(pruned.deleted);
    return pruned;
  }

  private async drain(): Promise<void> {
    const begun = systemClock.monotonic();
    this.stage = 'stopping';
    this.stageReason = 'the daemon is stopping';
    this.stop$.abort();
    const { unfinished } = await this.domain.ownership.stop();
    this.monitor.stop();
    await this.adapters.watcher.stop();
    await this.adapters.exports.close();
    await this.adapters.database.close().catch(() => undefined);
    await this.parts.traces.stop();
    this.parts.logger.info('The daemon has stopped; operations continue with the next start', {
      ms: Math.round(systemClock.monotonic() - begun),
      unfinished,
    });
  }

  /** What the domain knows of its surroundings, and tells them. */
  private domainSettings(): DomainSettings {
    const { configuration, onFatal } = this.parts;
    return {
      owner: `${hostname()}:${configuration.http.port} pid ${process.pid}`,
      instances: processInstances(configuration.devices.procDir),
      lastWritten: this.adapters.lastWritten,
      sizeToleranceBytes: configuration.devices.sizeToleranceBytes,
      policy: () => this.policy(),
      ledger: () => this.database.ledger,
      identity: this.adapters.identity,
      stopping: this.stopping,
      onOwnershipChanged: (state) => this.ownershipChanged(state),
      onFatal,
    };
  }

  private policy(): Policy {
    const { operations, devices, exports } = this.parts.configuration;
    return {
      ...operations,
      applianceVmId: this.adapters.identity.view.vmId,
      exportsEnabled: exports.backend !== 'none',
      correlationTimeoutMs: devices.correlationTimeoutMs,
    };
  }

  private ownershipChanged(state: 'owner' | 'standby'): void {
    if (this.stage === 'stopping') return;
    const was = this.stage;
    this.stage = state === 'owner' ? 'ready' : 'standby';
    this.stageReason = state === 'owner' ? null : this.domain.ownership.reason;
    if (state === 'owner' && was !== 'ready') {
      void this.domain.tellMissed();
      void this.firstSync();
    }
    // What kept the lease from being renewed may have broken the other connections too, without a word.
    if (state === 'standby' && was === 'ready') this.adapters.database.distrust();
  }

  private async firstSync(): Promise<void> {
    await this.domain.revokeExports();
    try {
      await this.sync.run({ dryRun: false, reason: 'start' });
    } catch (error) {
      this.parts.logger.warn('The first sync did not run', { reason: messageOf(error) });
    }
  }

  /**
   * Finds out which VM this is, tries to become its owner once that is known, and keeps checking it with
   * CloudStack. Any of the sources may become available later (an inserted configuration row, a CloudStack
   * that is back).
   */
  private async resolveIdentity(): Promise<void> {
    const { identity } = this.adapters;
    let striving = false;
    while (!this.stopping.aborted) {
      const view = await identity.resolve().catch(() => identity.view);
      const { vmId } = view;
      if (vmId === null)
        this.stageReason = `the daemon does not know which VM it runs on: ${unknownText(view)}`;
      else if (!striving) this.domain.ownership.start(vmId);
      striving ||= vmId !== null;
      await identity.verify().catch(() => identity.view);
      await identity.untilDue(systemClock, this.stopping);
    }
  }

  private deviceEvent(event: DeviceEvent): void {
    this.recent.push(event);
    if (this.recent.length > LIMITS.RECENT_EVENTS) this.recent.shift();
    this.slots.outdate();
    // A disk that was resized: mapping and export follow.
    if (event.type === 'changed') this.periodicSync.hurry();
    this.dropUnplugged();
    void this.domain.revokeExports();
  }

  /** Only after a look that succeeded: a guest that cannot be read has lost no disk. */
  private dropUnplugged(): void {
    const { watcher, handsOff } = this.adapters;
    const { scanned, devices } = watcher.snapshot();
    if (scanned) handsOff.dropUnplugged(devices);
  }
}
