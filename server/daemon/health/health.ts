import { type Clock, sleepUntilAny, untilWholeSecond } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Refusal } from '../../model/ledger-writes';
import type { Engine, RunningOperation } from '../../operations/engine';
import { WRITING } from '../../operations/execute/operation-record';
import type { SyncService } from '../../sync/sync-service';
import type { ComponentHealth, DaemonPhase, HealthReport } from '../daemon';
import { type ApplianceView, unknownText, unusableText } from '../identity';
import { syncHealth } from './sync-health';

/** One dependency: how to probe it, and how often. */
export interface HealthProbe {
  readonly everyMs: number;
  look(): Promise<ComponentHealth>;
}

type ProbeName = 'cloudstack' | 'database' | 'exportServer';

/**
 * Keeps the last known state of every dependency, so that a health request costs nothing and never waits for
 * CloudStack: load balancers and systemd poll it with short timeouts.
 */
export class HealthMonitor {
  private readonly last = new Map<ProbeName, ComponentHealth>();
  private readonly stopping = new AbortController();
  /** Ends the pause of a dependency. */
  private readonly pauses = new Map<ProbeName, AbortController>();

  constructor(
    private readonly clock: Clock,
    private readonly probes: Record<ProbeName, HealthProbe>,
    private readonly onChange: (name: ProbeName, health: ComponentHealth) => void,
  ) {}

  start(): void {
    for (const name of ['cloudstack', 'database', 'exportServer'] as const) void this.watch(name);
  }

  /**
   * No look that is under way is waited for: a dependency that does not answer must not hold
   * the end of the daemon.
   */
  stop(): void {
    this.stopping.abort();
  }

  /**
   * There is news of it: unless it is known to be away, which is looked at often anyway, it is looked at now.
   */
  doubt(name: ProbeName): void {
    if (this.of(name).status !== 'unhealthy') this.pauses.get(name)?.abort();
  }

  of(name: ProbeName): ComponentHealth {
    return this.last.get(name) ?? { status: 'unknown', message: 'not looked at yet' };
  }

  private async watch(name: ProbeName): Promise<void> {
    const probe = this.probes[name];
    while (!this.stopping.signal.aborted) {
      const before = this.last.get(name);
      const health = await probe
        .look()
        .catch((error: unknown): ComponentHealth => ({ status: 'unhealthy', message: messageOf(error) }));
      if (this.stopping.signal.aborted) return;
      const same = before?.status === health.status;
      this.last.set(name, { ...health, since: (same ? before.since : undefined) ?? this.clock.now() });
      if (!same) this.onChange(name, health);
      const pause =
        health.status === 'healthy' || health.status === 'disabled'
          ? probe.everyMs
          : Math.min(probe.everyMs, LIMITS.HEALTH_RETRY_MS);
      const paused = new AbortController();
      this.pauses.set(name, paused);
      const pauseMs = untilWholeSecond(pause, this.clock.now());
      await sleepUntilAny(this.clock, pauseMs, [paused.signal, this.stopping.signal]);
    }
  }
}

export interface HealthSources {
  readonly clock: Clock;
  readonly phase: DaemonPhase;
  readonly monitor: Pick<HealthMonitor, 'of'>;
  readonly deviceMonitor: ComponentHealth;
  readonly access: ComponentHealth;
  readonly appliance: ApplianceView;
  readonly engine: Pick<Engine, 'status' | 'heldOperations' | 'refusals' | 'epoch'> | null;
  readonly owner: string | null;
  readonly pending: number;
  readonly sync: Pick<SyncService, 'last' | 'lastJudgedAt' | 'lastJudgedMonotonic' | 'lastFailure'>;
  readonly reconcileIntervalMs: number;
  readonly startedAt: number;
  readonly startedMonotonic: number;
  readonly pollIntervalMs: number;
  readonly settingsNotes: readonly string[];
}

/**
 * Composes the report. Pure. Unhealthy: the database is away. Degraded: something waits or needs attention.
 */
export function healthReport(s: HealthSources): HealthReport {
  const cloudstack = s.monitor.of('cloudstack');
  const database = s.monitor.of('database');
  const exportServer = s.monitor.of('exportServer');
  const appliance = applianceHealth(s.appliance, s.phase);
  const running = s.engine?.status() ?? [];
  const held = (s.engine?.heldOperations() ?? []).map(({ id, type, volumeId, held }) => ({
    id,
    type,
    volumeId,
    reason: held ?? '',
  }));
  const refusals = s.engine?.refusals() ?? [];
  const drifts = (s.sync.last?.drifts ?? []).filter(
    (drift) => drift.action === 'reported' || drift.action === 'failed',
  );
  const sync = syncHealth(s);
  const parts = [cloudstack, database, exportServer, s.deviceMonitor, s.access, appliance, sync];
  const degraded =
    parts.some(({ status }) => status === 'unhealthy' || status === 'degraded') ||
    // What nobody has looked at yet is not in order.
    [cloudstack, database, exportServer].some(({ status }) => status === 'unknown') ||
    drifts.length > 0 ||
    held.length > 0 ||
    refusals.length > 0 ||
    s.phase !== 'ready';
  return {
    status: database.status === 'unhealthy' ? 'unhealthy' : degraded ? 'degraded' : 'healthy',
    at: s.clock.now(),
    phase: s.phase,
    cloudstack,
    database,
    deviceMonitor: s.deviceMonitor,
    exportServer,
    sync,
    access: s.access,
    appliance: {
      ...appliance,
      vmId: s.appliance.vmId,
      source: s.appliance.source,
      epoch: s.engine?.epoch.number ?? null,
      owner: s.owner,
    },
    operations: {
      pending: s.pending,
      executing: running.length,
      waiting: [...running.flatMap(waitingOf), ...refusals.map(refusedOf)],
    },
    held,
    drifts,
    uptimeSeconds: Math.floor((s.clock.monotonic() - s.startedMonotonic) / 1000),
    pollIntervalMs: s.pollIntervalMs,
    settingsNotes: s.settingsNotes,
  };
}

function applianceHealth(view: ApplianceView, phase: DaemonPhase): ComponentHealth {
  // One of the sources is in the database: before that is read even a set OMA_VM_ID has not been looked at.
  if (view.vmId === null && phase === 'starting')
    return { status: 'unknown', message: 'not looked at yet: the database comes first' };
  if (view.vmId === null) return { status: 'unhealthy', message: `unknown: ${unknownText(view)}` };
  const unusable = unusableText(view);
  if (unusable !== null) return { status: 'unhealthy', message: unusable };
  if (view.conflicts.length > 0) return { status: 'degraded', message: view.conflicts.join('; ') };
  return {
    status: view.verdict === 'confirmed' ? 'healthy' : 'unknown',
    message: `${view.vmId} (from ${view.source ?? 'nowhere'}, ${view.verdict})`,
  };
}

function waitingOf({ operation, waiting }: RunningOperation) {
  if (!waiting) return [];
  const { step, reason, attempt, nextAttemptAt } = waiting;
  return [{ id: operation.id, type: operation.type, step, reason, attempt, nextAttemptAt }];
}

/** Tried again within a second for as long as it waits, so neither tries nor times tell anything. */
function refusedOf({ operation: { id, type }, reason }: Refusal) {
  return { id, type, step: WRITING, reason, attempt: 0, nextAttemptAt: null };
}
