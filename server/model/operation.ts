import type { ErrorCode } from '../core/errors';

/**
 * The words of the engine: operation, request, journal entry. Requests have the field names of the REST API,
 * because they are stored and echoed exactly as accepted.
 */
export const OPERATION_TYPES = [
  'create',
  'attach',
  'detach',
  'delete',
  'recover',
  'cleanup',
  'resize',
  'snapshot',
  'delete-snapshot',
  'revert',
  'snapshot-group',
] as const;
export type OperationType = (typeof OPERATION_TYPES)[number];

export const OPERATION_STATUSES = ['pending', 'executing', 'completed', 'failed', 'cancelled'] as const;
export type OperationStatus = (typeof OPERATION_STATUSES)[number];
export type TerminalStatus = 'completed' | 'failed' | 'cancelled';

/** Has it ended? Nothing changes it any more. */
export function isTerminal(status: OperationStatus): status is TerminalStatus {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

/** The error of a cancelled operation that has changed nothing, whether it waited or executed. */
export const CANCELLED_UNCHANGED = 'Cancelled on request before anything was changed';

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

/** Of a value that came from JSON. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Also of what was accepted before this was stored. */
type Nullable<T> = { readonly [K in keyof T]: T[K] | null };

/** POST /volumes */
export interface CreateRequest {
  name: string;
  /** Bytes. CloudStack gets whole GiB, rounded up. */
  size: number;
  disk_offering_id: string;
  zone_id: string;
  metadata?: Record<string, string>;
}

/** POST /volumes/{id}/attach and /attach-root */
export interface AttachRequest {
  volume_id: string;
  vm_id: string;
  /** 0 with `attach_as: "root"` (POST …/attach-root); otherwise CloudStack chooses. */
  device_id?: number;
  attach_as?: 'root';
  /** Bytes that will be copied into the volume: what the share written is reckoned with. */
  expected_bytes?: number;
}

/** POST /volumes/{id}/detach */
export interface DetachRequest {
  volume_id: string;
  /** Overrides the in-use guard; absent = what DETACH_IN_USE and DETACH_CONNECTED say. */
  force?: boolean;
}

/** DELETE /volumes/{id} */
export interface DeleteRequest {
  volume_id: string;
  force?: boolean;
}

/** POST /volumes/{id}/recover */
export interface RecoverRequest {
  volume_id: string;
}

/** POST /volumes/{id}/resize */
export interface ResizeRequest {
  volume_id: string;
  /** Bytes. CloudStack gets whole GiB, rounded up; never less than the volume has. */
  size: number;
}

/** POST /volumes/{id}/snapshots, or a part of a group */
export interface SnapshotRequest {
  volume_id: string;
  /** What its name in CloudStack begins with; the id of the operation follows. */
  name?: string;
  /** The operation that it is a part of. */
  group?: string;
  /** The VM that the volume must be on; absent: it may be anywhere. */
  on_vm?: string;
}

/** DELETE /snapshots/{id}, or the undo of a part of a group */
export interface DeleteSnapshotRequest {
  snapshot_id: string;
  group?: string;
}

/** POST /snapshots/group */
export interface SnapshotGroupRequest {
  vm_id: string;
  volume_ids: string[];
  name?: string;
}

/** POST /volumes/{id}/revert */
export interface RevertRequest {
  volume_id: string;
  snapshot_id: string;
}

/** POST /cleanup/test-failover */
export interface CleanupRequest {
  volume_id: string;
  test_vm_id: string;
  /** The appliance the volume goes back to. */
  oma_vm_id: string;
  delete_vm: boolean;
  force_clean: boolean;
}

/** The request of each type of operation. */
export interface RequestOf {
  create: CreateRequest;
  attach: AttachRequest;
  detach: DetachRequest;
  delete: DeleteRequest;
  recover: RecoverRequest;
  cleanup: CleanupRequest;
  resize: ResizeRequest;
  snapshot: SnapshotRequest;
  'delete-snapshot': DeleteSnapshotRequest;
  revert: RevertRequest;
  'snapshot-group': SnapshotGroupRequest;
}

/** Who asked for something, and by which request. */
export interface Caller {
  /** The name of the token; `anonymous` where none is needed, `token-file` for that of TOKEN_FILE. */
  readonly actor: string;
  /** X-Request-Id. */
  readonly requestId: string;
  /** The caller's place in a trace (W3C Trace Context), or null. */
  readonly traceparent: string | null;
}

/** The caller as journal entries and the metadata of exports name it; what is not known is left out. */
export function callerNames(caller: Nullable<Caller> | null): Record<string, string> {
  const { actor = null, requestId = null, traceparent = null } = caller ?? {};
  return {
    ...(actor !== null && { actor }),
    ...(requestId !== null && { request_id: requestId }),
    ...(traceparent !== null && { traceparent }),
  };
}

interface OperationFields extends Nullable<Caller> {
  /** UUID v4. */
  readonly id: string;
  /** Order of acceptance within the database. */
  readonly sequence: number;
  /** CloudStack VM id of the appliance whose daemon owns this operation. */
  readonly applianceId: string;
  readonly status: OperationStatus;
  /**
   * '' for a create, and for the delete of a snapshot, until CloudStack has named the volume; and for a group
   * of several.
   */
  readonly volumeId: string;
  readonly vmId: string | null;
  readonly response: JsonObject | null;
  readonly error: string | null;
  readonly errorCode: ErrorCode | null;
  /** Times of the current step's retries; 0 = first try. */
  readonly attempt: number;
  /** Wall clock ms of the next try, null when not waiting. */
  readonly nextAttemptAt: number | null;
  /** Why the operation waits, in words; null when it does not. */
  readonly waitReason: string | null;
  readonly idempotencyKey: string | null;
  readonly cancelRequested: boolean;
  /** Who asked for that first; null when nobody has, or it is not known. */
  readonly cancelRequestedBy: Caller | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly completedAt: number | null;
  /**
   * Why nobody runs it, or why its row cannot be trusted; null when neither. Released by
   * `retry` or `abandon`.
   */
  readonly held: string | null;
}

export type OperationOf<T extends OperationType> = OperationFields & {
  readonly type: T;
  readonly request: RequestOf[T];
};
export type RunnableOperation = { [T in OperationType]: OperationOf<T> }[OperationType];

/** A row whose type this version does not know. It is shown, and never run. */
export type UnreadableOperation = OperationFields & {
  readonly type: 'unreadable';
  readonly request: JsonObject;
};

export type Operation = RunnableOperation | UnreadableOperation;

/**
 * States of a journal entry.
 * - `intent`: written before a foreign call; `data.job_id` is the customjobid it carries.
 * - `accepted`: CloudStack took the call (`data.job_id`, for create also `data.volume_id`, for a snapshot
 *   `data.snapshot_id`).
 * - `refused`: the call was answered with a final error and had no effect (`data.code`, `data.text`).
 * - `finished`: the job or synchronous call ended (`data.outcome` ok|failed|unknown, `data.code`,
 *   `data.text`).
 * - `done`: a step of our own ended (mapping committed, export published, …).
 * - `failing`: the operation has decided to fail; what follows is undo.
 * - `waiting`: a retry was scheduled (`data.reason`, `data.next_attempt_at`).
 * - `note`: something an auditor wants to know (a forced guard, a joined request).
 * - the status entries of step `operation`: accepted as `pending`, then `executing`, `completed`, `failed`,
 *   `cancelled`.
 */
export const JOURNAL_STATES = [
  'intent',
  'accepted',
  'refused',
  'finished',
  'done',
  'failing',
  'waiting',
  'note',
  'pending',
  'executing',
  'completed',
  'failed',
  'cancelled',
] as const;
export type JournalState = (typeof JOURNAL_STATES)[number];

/** Steps that change something in CloudStack. Every try has a job id of its own. */
export const MUTATION_STEPS = [
  'create-volume',
  'attach-volume',
  'detach-volume',
  'delete-volume',
  'recover-volume',
  'resize-volume',
  'create-snapshot',
  'delete-snapshot',
  'revert-volume',
  'stop-vm',
  'destroy-vm',
  'undo-detach-volume',
] as const;
export type MutationStep = (typeof MUTATION_STEPS)[number];

/** Every step whose entries decide how an operation goes on. An entry of another one is not understood. */
export const STEPS = [
  ...MUTATION_STEPS,
  'operation',
  'check',
  'read-back',
  'map',
  'unmap',
  'publish',
  'republish',
  'withdraw',
  'released',
  'guard',
  'begin-parts',
  'parts',
  'undo-parts',
] as const;
export type Step = (typeof STEPS)[number];

/** The states of entries that only tell; their step may be anything. */
export const TELLING_STATES = ['waiting', 'note'] as const satisfies readonly JournalState[];
type TellingState = (typeof TELLING_STATES)[number];

/** One line of the journal of an operation, or of the appliance itself (`operationId` is '' then). */
export interface JournalEntry {
  /** Position in the appliance-wide feed (event id). */
  readonly id: number;
  readonly operationId: string;
  /** 1, 2, … within the operation. */
  readonly sequence: number;
  readonly step: string;
  readonly state: JournalState;
  readonly data: JsonObject;
  /** Wall clock ms. */
  readonly at: number;
  /**
   * Why this version does not understand the entry; it then has the state `note`, and its data is what the
   * row holds. Nobody may act on a journal with such an entry.
   */
  readonly unreadable?: string;
}

export type NewJournalEntry =
  | { readonly step: Step; readonly state: Exclude<JournalState, TellingState>; readonly data: JsonObject }
  | { readonly step: string; readonly state: TellingState; readonly data: JsonObject };

export const CLOUDSTACK_STATES = ['attached', 'detached'] as const;
export const LINUX_STATES = ['detected', 'missing', 'n/a'] as const;
/** By what a device was found to be a volume. */
export const MATCHES = ['serial', 'size'] as const;
export type Match = (typeof MATCHES)[number];

/** The row that ties a volume to a VM and, on the appliance, to a device. */
export interface Mapping {
  readonly id: string;
  /** The hub's context of the volume; absent where no hub has written one. Never written by us. */
  readonly vmContextId?: string | undefined;
  readonly volumeId: string;
  readonly vmId: string;
  /** `/dev/vdX` on the appliance, `remote-vm-<vm id>-<volume id>` elsewhere. */
  readonly devicePath: string;
  readonly cloudstackState: (typeof CLOUDSTACK_STATES)[number];
  readonly linuxState: (typeof LINUX_STATES)[number];
  /** Bytes; of the device on the appliance, of the volume elsewhere. */
  readonly size: number;
  readonly controller: string | null;
  readonly serial: string | null;
  readonly diskseq: number | null;
  readonly bootId: string | null;
  readonly matchedBy: Match | null;
  readonly cloudstackDeviceId: number | null;
  readonly lastSync: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type NewMapping = Omit<Mapping, 'id' | 'vmContextId' | 'lastSync' | 'createdAt' | 'updatedAt'>;

export const EXPORT_STATUSES = ['pending', 'active', 'failed'] as const;
export type ExportStatus = (typeof EXPORT_STATUSES)[number];

/** One NBD export of a mapped volume; there is never one without its mapping (foreign key, cascade). */
export interface ExportRecord {
  readonly id: string;
  readonly volumeId: string;
  /** `migration-vol-<volume id>` */
  readonly exportName: string;
  readonly devicePath: string;
  readonly port: number;
  readonly status: ExportStatus;
  readonly metadata: Record<string, string>;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type NewExport = Pick<
  ExportRecord,
  'volumeId' | 'exportName' | 'devicePath' | 'port' | 'status' | 'metadata'
>;
