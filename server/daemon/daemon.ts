import type { CloudVolume } from '../cloudstack/cloud';
import type { DeviceEvent, DeviceSnapshot } from '../devices/device';
import type { DiagnosticsApi } from '../diagnostics/reports';
import type { OperationFilter } from '../model/ledger';
import type {
  ExportRecord,
  ExportStatus,
  JournalEntry,
  Mapping,
  Operation,
  OperationStatus,
  OperationType,
  RequestOf,
} from '../model/operation';

/**
 * What the HTTP routes, the tasks and the command line see of the daemon: one object, built in ./compose.ts, found through
 * ./current.ts. A route parses, calls one of these functions, and shapes the answer. All of them throw DaemonError.
 */
export interface Daemon {
  readonly version: string;
  /** starting: nothing is ready. ready: owner of the appliance. standby: reads work, changes answer 503. stopping: draining. */
  readonly phase: DaemonPhase;
  /** Why the phase is not `ready`, for people. */
  readonly phaseReason: string | null;
  readonly operations: OperationsApi;
  readonly volumes: VolumesApi;
  readonly exports: ExportsApi;
  readonly sync: SyncApi;
  readonly diagnostics: DiagnosticsApi;
  /** Cheap: cached observations, never waits on CloudStack. */
  health(): HealthReport;
  metrics(): Promise<MetricsReport>;
  /** Prometheus text and its content type. */
  prometheus(): Promise<{ contentType: string; body: string }>;
  /** One look at the guest now (Nitro task devices:poll). */
  poll(): Promise<DeviceSnapshot>;
  /** Hands overdue and orphaned operations back to the engine (Nitro task operations:sweep). */
  sweep(): Promise<{ resumed: number; claimed: number }>;
  /** Deletes history older than HISTORY_DAYS in small batches (Nitro task history:prune). */
  prune(): Promise<{ deleted: number }>;
  /** Aborted when the daemon begins to stop: long polls and event streams end on it. */
  readonly stopping: AbortSignal;
}

export type DaemonPhase = 'starting' | 'ready' | 'standby' | 'stopping' | 'failed';

export interface OperationsApi {
  /**
   * Accepts a request durably and returns the operation (`pending`, or the one it joined).
   * Errors: STANDBY, STOPPING, APPLIANCE_UNKNOWN, QUEUE_FULL, IDEMPOTENCY_KEY_REUSED, DATABASE_UNAVAILABLE.
   */
  request<T extends OperationType>(
    type: T,
    request: RequestOf[T],
    options?: { idempotencyKey?: string | null },
  ): Promise<Operation>;
  /** OPERATION_NOT_FOUND when there is none. */
  read(id: string): Promise<Operation>;
  list(filter: OperationFilter): Promise<Operation[]>;
  journal(id: string): Promise<JournalEntry[]>;
  /** Pending → cancelled; executing → honoured before the next mutation; otherwise TOO_LATE_TO_CANCEL. */
  cancel(id: string): Promise<Operation>;
  /** Resolves with the operation as soon as it has ended, or as it is after `timeoutMs` (or when the daemon stops). */
  waitForEnd(id: string, timeoutMs: number, signal?: AbortSignal): Promise<Operation>;
  /** Journal entries after `after` (id), for event streams; `subscribe` rings when there are more. */
  feed(after: number, limit: number): Promise<JournalEntry[]>;
  subscribe(listener: (entry: JournalEntry) => void): () => void;
}

export interface VolumesApi {
  /** VOLUME_NOT_FOUND, CLOUDSTACK_UNAVAILABLE. */
  describe(volumeId: string): Promise<VolumeDescription>;
  /** MAPPING_NOT_FOUND when there is none; never a mapping whose device is another disk (then linux_state is `missing`). */
  mapping(volumeId: string): Promise<Mapping>;
  /** By device name (`vdb`) or path (`/dev/vdb`) on this appliance, or by a remote placeholder path. */
  mappingByDevice(path: string): Promise<Mapping>;
  /** Every device of this guest with the mapping that owns it, and every mapping. */
  devices(): Promise<{ mappings: Mapping[]; snapshot: DeviceSnapshot }>;
  /** All volumes of one VM, from the mappings. */
  ofVm(vmId: string): Promise<Mapping[]>;
  recentDeviceEvents(): readonly DeviceEvent[];
  /** Rings when there is one more. Returns the unsubscribe function. */
  onDeviceEvent(listener: () => void): () => void;
}

/** GET /volumes/{id}: what CloudStack, the guest and the ledger say of one volume. */
export interface VolumeDescription {
  readonly volume: CloudVolume;
  readonly mapping: Mapping | null;
  /** The guest's device when its identity is verified. */
  readonly device: { path: string; size: number; controller: string | null } | null;
  readonly export: ExportRecord | null;
  readonly lastOperation: Operation | null;
}

export interface ExportsApi {
  list(filter: {
    volumeId?: string;
    status?: ExportStatus;
    vmName?: string;
    limit?: number;
  }): Promise<ExportRecord[]>;
  /** EXPORT_NOT_FOUND. */
  read(volumeId: string): Promise<ExportRecord>;
  /** Publishes the export of a mapped volume (idempotent). MAPPING_NOT_FOUND, DEVICE_IDENTITY_MISMATCH, EXPORT_SERVER_UNHEALTHY. */
  publish(volumeId: string, metadata: Record<string, string>): Promise<ExportRecord>;
  /** Withdraws it; fine when there is none. DEVICE_IN_USE while a client is connected and force is false. */
  withdraw(volumeId: string, options: { force: boolean }): Promise<{ existed: boolean }>;
  /** Probes every export. */
  validate(): Promise<ExportValidation[]>;
}

export interface ExportValidation {
  readonly volumeId: string;
  readonly exportName: string;
  readonly ok: boolean;
  readonly message: string;
  /** Bytes the export answered with, null when it did not. */
  readonly size: number | null;
  readonly expectedSize: number;
}

export interface SyncApi {
  run(options: { dryRun: boolean; reason: string }): Promise<SyncReport>;
  readonly last: SyncReport | null;
}

export const DRIFT_KINDS = [
  'ghost-disk',
  'phantom-attach',
  'letter-moved',
  'resized',
  'unmapped-volume',
  'stale-mapping',
  'missing-export',
  'orphan-export',
  'unhealthy-export',
  'stuck-state',
  'identity-conflict',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

export interface Drift {
  readonly kind: DriftKind;
  readonly volumeId: string | null;
  readonly vmId: string | null;
  readonly devicePath: string | null;
  /** What is wrong, in words. */
  readonly message: string;
  /** The exact command or click that mends it, when the daemon does not. */
  readonly remedy: string;
  /** repaired: done. planned: would be done (dry run). reported: left to a person. failed: tried, see message. */
  readonly action: 'repaired' | 'planned' | 'reported' | 'failed';
}

export interface SyncReport {
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly dryRun: boolean;
  readonly reason: string;
  readonly observed: { cloudVolumes: number; devices: number; mappings: number; exports: number };
  /** Views that could not be read; drifts that need them are not judged. */
  readonly unavailable: string[];
  readonly drifts: Drift[];
  /** Volumes left alone because an operation is in flight. */
  readonly skippedVolumes: number;
}

export type ComponentStatus = 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';

export interface ComponentHealth {
  readonly status: ComponentStatus;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface HealthReport {
  readonly status: 'healthy' | 'degraded' | 'unhealthy';
  /** Wall clock ms. */
  readonly at: number;
  readonly phase: DaemonPhase;
  readonly cloudstack: ComponentHealth;
  readonly database: ComponentHealth;
  readonly deviceMonitor: ComponentHealth;
  readonly exportServer: ComponentHealth;
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
      type: OperationType;
      step: string;
      reason: string;
      attempt: number;
      nextAttemptAt: number | null;
    }[];
  };
  readonly drifts: readonly Drift[];
  readonly uptimeSeconds: number;
  readonly pollIntervalMs: number;
}

/** GET /api/v1/metrics with the specification's arithmetic: error rate = failed / total, in percent with two decimals. */
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
