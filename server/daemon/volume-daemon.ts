import { hostname } from 'node:os';
import { systemClock, systemRandom } from '../core/clock';
import { type DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { MONITOR_STARTED } from '../core/log/log-events';
import type { Logger } from '../core/log/logger';
import type { Redactor } from '../core/redaction';
import { VERSION } from '../core/version';
import type { DeviceEvent, DeviceSnapshot } from '../devices/device';
import { requireScanned } from '../devices/identity';
import type { Diagnostics } from '../diagnostics/diagnostics-service';
import type { ExportService } from '../exports/export-service';
import type { ExportTraffic } from '../exports/export-traffic';
import type { Engine } from '../operations/engine';
import type { OperationService } from '../operations/operation-service';
import type { Policy } from '../operations/policy';
import type { SyncReport } from '../sync/drift';
import type { OrphanedExports } from '../sync/orphaned-exports';
import { PeriodicSync } from '../sync/periodic-sync';
import type { SyncService } from '../sync/sync-service';
import type { Access } from './access/access';
import { type Adapters, createAdapters } from './adapters';
import { compose, type Domain, type DomainSettings } from './compose';
import type { Configuration } from './configuration/configuration';
import { createDiagnostics } from './create-diagnostics';
import type { Daemon, DaemonPhase } from './daemon';
import { DaemonReports } from './daemon-reports';
import { watchDependencies } from './health/dependencies';
import type { HealthMonitor } from './health/health';
import { SlotWatch } from './health/slot-watch';
import { applianceUnknown, unknownText } from './identity';
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
 * The daemon itself: builds the parts, starts them in the order of their dependencies, runs what is done
 * every few seconds, and stops them. It has no rules about volumes; those are in operations, devices, exports
 * and sync.
 */
export class VolumeDaemon implements Daemon {
  readonly version = VERSION;
  readonly operations: OperationService;
  readonly volumes: VolumeQueries;
  readonly exports: ExportService;
  readonly orphanedExports: OrphanedExports;
  readonly traffic: ExportTraffic;
  readonly sync: SyncService;
  readonly diagnostics: Diagnostics;
  readonly reports: DaemonReports;
  private readonly stop$ = new AbortController();
  readonly stopping = this.stop$.signal;
  private stage: DaemonPhase = 'starting';
  private stageReason: string | null = null;
  /** Monotonic ms. */
  private polledAt = Number.NEGATIVE_INFINITY;
  private stopped: Promise<void> | null = null;
  private readonly adapters: Adapters;
  private readonly database: PreparedDatabase;
  private readonly domain: Domain;
  private readonly periodicSync: PeriodicSync;
  private readonly monitor: HealthMonitor;
  private readonly slots: SlotWatch;

  constructor(private readonly parts: Parts) {
    const { configuration, logger, redactor, traces } = parts;
    this.adapters = createAdapters(configuration, logger, redactor, (call) => {
      this.reports.figures.cloudCall(call);
      recordCloudCall(traces.tracing, call);
    });
    const { adapters } = this;
    const { database, identity } = adapters;
    this.database = new PreparedDatabase(database);
    const ledger = () => this.database.ledger;
    const applianceVmId = () => identity.view.vmId;

    const { cloud, guest, counters, watcher, exports, handsOff, clockNotes } = adapters;
    this.domain = compose(
      {
        ...{ cloud, guest, counters, watcher, exports, handsOff, clockNotes },
        ledger: database.ledger,
        clock: systemClock,
        random: systemRandom,
        logger,
        tracing: traces.tracing,
      },
      this.domainSettings(),
    );
    this.operations = this.domain.operations;
    this.exports = this.domain.exports;
    this.orphanedExports = this.domain.orphanedExports;
    this.traffic = this.domain.traffic;
    this.sync = this.domain.sync;
    this.sync.onSynced = ({ judged }) => {
      if (!judged) identity.doubt();
    };
    this.periodicSync = new PeriodicSync(this.sync, configuration.reconcileIntervalMs, systemClock);

    this.volumes = new VolumeQueries({
      ...{ guest, watcher, exports, ledger, applianceVmId },
      clock: systemClock,
      clockSteps: this.domain.clockSteps,
      cloud: this.domain.cloud,
      catalogue: this.domain.catalogue,
      devDir: configuration.devices.devDir,
    });
    this.diagnostics = createDiagnostics(adapters, ledger, configuration, this.domain.ownership);

    this.slots = new SlotWatch({
      ...{ cloud, guest, applianceVmId },
      watcher: { scan: async () => requireScanned(watcher.snapshot()) },
      clock: systemClock,
      coming: () => (this.engine?.takingSlots() ?? []).map(({ volumeId }) => volumeId),
    });
    const lookAtDatabase = () =>
      this.database.health(this.engine?.epoch ?? null, systemClock.now, adapters.lastWritten.trouble);
    this.monitor = watchDependencies(adapters, lookAtDatabase, logger);
    database.onAway(() => this.monitor.doubt('database'));
    const { domain, monitor, slots } = this;
    const phase = () => this.phase;
    this.reports = new DaemonReports({ ...parts, adapters, domain, monitor, slots, ledger, phase });
  }

  /**
   * Resolves when everything is up (as owner or in standby); rejects only when the start can never succeed.
   */
  async start(): Promise<void> {
    const { watcher } = this.adapters;
    const { logger, configuration } = this.parts;
    this.monitor.start();
    watcher.onEvent((event) => this.deviceEvent(event));
    watcher.onEvent(this.reports.figures.deviceEvent);
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

  /** The task ticks every 2 s; a longer POLL_INTERVAL skips ticks. */
  async poll(): Promise<DeviceSnapshot> {
    this.domain.clockSteps.look();
    const { watcher } = this.adapters;
    const snapshot = watcher.snapshot();
    const due = this.polledAt + this.parts.configuration.devices.pollIntervalMs - LIMITS.POLL_SLACK_MS;
    const now = systemClock.monotonic();
    if (snapshot.scanned && now < due) return snapshot;
    this.polledAt = now;
    // CloudStack may be away: nobody waits for it here.
    const scanned = await watcher.scan().finally(() => void this.slots.refresh());
    await this.reports.sample();
    return scanned;
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
    this.reports.figures.pruned(pruned.deleted);
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
    let hasStarted = false;
    while (!this.stopping.aborted) {
      const view = await identity.resolve().catch(() => identity.view);
      const { vmId } = view;
      if (vmId === null)
        this.stageReason = `the daemon does not know which VM it runs on: ${unknownText(view)}`;
      else if (!hasStarted) this.domain.ownership.start(vmId);
      hasStarted ||= vmId !== null;
      await identity.verify().catch(() => identity.view);
      await identity.untilDue(systemClock, this.stopping);
    }
  }

  private deviceEvent(event: DeviceEvent): void {
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
