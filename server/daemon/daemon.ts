import type { DaemonError } from '../core/errors';
import type { DeviceSnapshot } from '../devices/device';
import type { Diagnostics } from '../diagnostics/diagnostics-service';
import type { ExportService } from '../exports/export-service';
import type { ExportTraffic } from '../exports/export-traffic';
import type { Operation, OperationStatus, OperationType } from '../model/operation';
import type { OperationService } from '../operations/operation-service';
import type { Drift, SyncReport } from '../sync/drift';
import type { OrphanedExports } from '../sync/orphaned-exports';
import type { SyncService } from '../sync/sync-service';
import type { MetricsHistoryReport, SpanName } from './metrics/metrics-history';
import type { VolumeQueries } from './volumes/volume-queries';

/** The public members of a class, which a test double has to offer. */
type PublicOf<T> = Pick<T, keyof T>;

/**
 * The daemon as HTTP routes and tasks see it: one object, found through ./current.ts. A route parses the
 * request, calls one of these functions, and formats the answer. All of them throw DaemonError.
 */
export interface Daemon {
  readonly version: string;
  /**
   * starting: nothing is ready. ready: owner of the appliance. standby: reads work, changes answer 503.
   * stopping: draining.
   */
  readonly phase: DaemonPhase;
  /** Why the phase is not `ready`, or why nothing can be done although it is (the database is away). */
  readonly phaseReason: string | null;
  /**
   * What a change is refused with while it starts or stands by: what the start waits for; who owns the
   * appliance, or that this is not known.
   */
  readonly refusal: DaemonError;
  readonly operations: PublicOf<OperationService>;
  readonly volumes: PublicOf<VolumeQueries>;
  readonly exports: PublicOf<ExportService>;
  readonly orphanedExports: PublicOf<OrphanedExports>;
  /** Who is connected to the exports, and what flows. */
  readonly traffic: Pick<ExportTraffic, 'describe' | 'onFlow'>;
  readonly sync: Pick<SyncService, 'run' | 'last' | 'lastJudgedAt'>;
  readonly diagnostics: PublicOf<Diagnostics>;
  readonly reports: Reports;
  /** Scans the guest's disks now (Nitro task devices:poll). */
  poll(): Promise<DeviceSnapshot>;
  /**
   * The periodic sync, when RECONCILE_INTERVAL has passed; null when it is not due (Nitro task
   * sync:reconcile).
   */
  reconcile(): Promise<SyncReport | null>;
  /** Returns overdue and orphaned operations to the engine (Nitro task operations:sweep). */
  sweep(): Promise<{ resumed: number; claimed: number }>;
  /** Deletes history older than HISTORY_DAYS in small batches (Nitro task history:prune). */
  prune(): Promise<{ deleted: number }>;
  /** Aborted when the daemon begins to stop: long polls and event streams end on it. */
  readonly stopping: AbortSignal;
}

/** What the daemon tells of itself. */
export interface Reports {
  /** Cheap: uses cached observations and never waits for CloudStack. */
  health(): HealthReport;
  metrics(): Promise<MetricsReport>;
  /** What charts are drawn from: since this process has begun, at most for the span. */
  history(span: SpanName): MetricsHistoryReport;
  /** Prometheus text and its content type. */
  prometheus(): Promise<{ contentType: string; body: string }>;
}

export const DAEMON_PHASES = ['starting', 'ready', 'standby', 'stopping'] as const;
export type DaemonPhase = (typeof DAEMON_PHASES)[number];

export const HEALTH_STATUSES = ['healthy', 'degraded', 'unhealthy'] as const;
export const COMPONENT_STATUSES = [...HEALTH_STATUSES, 'unknown', 'disabled'] as const;
export type ComponentStatus = (typeof COMPONENT_STATUSES)[number];

export interface ComponentHealth {
  readonly status: ComponentStatus;
  readonly message: string;
  /** Wall clock ms when it was first found in this status, where that is kept. */
  readonly since?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface HealthReport {
  readonly status: (typeof HEALTH_STATUSES)[number];
  /** Wall clock ms. */
  readonly at: number;
  readonly phase: DaemonPhase;
  readonly cloudstack: ComponentHealth;
  readonly database: ComponentHealth;
  readonly deviceMonitor: ComponentHealth;
  readonly exportServer: ComponentHealth;
  /**
   * Whether CloudStack, guest, database and exports are compared; degraded while sync cannot read one of
   * them.
   */
  readonly sync: ComponentHealth;
  /** Whether the tokens that may be used are known. */
  readonly access: ComponentHealth;
  readonly appliance: ComponentHealth & {
    readonly vmId: string | null;
    readonly source: string | null;
    readonly epoch: number | null;
    readonly owner: string | null;
  };
  readonly operations: {
    readonly pending: number;
    readonly executing: number;
    /** Operations that wait, and for what. */
    readonly waiting: readonly {
      id: string;
      type: Operation['type'];
      step: string;
      reason: string;
      attempt: number;
      nextAttemptAt: number | null;
    }[];
  };
  /** Operations that nobody runs until a person decides. */
  readonly held: readonly { id: string; type: Operation['type']; volumeId: string; reason: string }[];
  readonly drifts: readonly Drift[];
  readonly uptimeSeconds: number;
  readonly pollIntervalMs: number;
  /**
   * Settings without effect, mistyped ones among them: no fault of the daemon, and nothing else tells of
   * them.
   */
  readonly settingsNotes: readonly string[];
}

/**
 * GET /api/v1/metrics with the specification's arithmetic: error rate = failed / total, in percent with two
 * decimals.
 */
export interface MetricsReport {
  readonly at: number;
  readonly totalOperations: number;
  readonly pendingOperations: number;
  readonly activeMappings: number;
  readonly operationsByType: Record<OperationType, number>;
  readonly operationsByStatus: Record<OperationStatus, number>;
  readonly averageResponseMs: number;
  readonly errorRatePercent: number;
  readonly details: {
    readonly cloudstackApiCalls: number;
    readonly cloudstackApiErrors: number;
    readonly deviceEventsProcessed: number;
    readonly uptimeSeconds: number;
    readonly epoch: number | null;
  };
}
