import type { ErrorCode } from '../core/errors';
import type {
  ExportRecord,
  ExportStatus,
  JournalEntry,
  JsonObject,
  Mapping,
  NewExport,
  NewJournalEntry,
  NewMapping,
  Operation,
  OperationStatus,
  OperationType,
  RequestOf,
  TerminalStatus,
} from './operation';

/**
 * The ledger port: everything durable that the domain needs, in the domain's words. Implemented by
 * MySQL/MariaDB (../database/mysql-ledger.ts) and in memory (../database/memory/memory-ledger.ts); one
 * contract suite tests both.
 *
 * Errors: DATABASE_UNAVAILABLE when the database is away (the caller may wait and repeat), LEASE_LOST when
 * the epoch is no longer the current one (the caller must stop).
 */
export interface Ledger {
  // ---- one writer -------------------------------------------------------------------------------------------------
  /**
   * Makes this process the owner of the appliance: raises the epoch and records the owner. The caller holds
   * the named lock. Operations left `executing` by an earlier epoch are resumed by `resumable`.
   */
  takeOver(applianceId: string, owner: string): Promise<Epoch>;
  /** Who owns the appliance by the row (not by the lock), or null when nobody ever did. */
  readOwner(applianceId: string): Promise<{ owner: string; epoch: number; since: number } | null>;

  // ---- operations -------------------------------------------------------------------------------------------------
  /**
   * Stores a request as `pending` together with its first journal entry (step `operation`, state `pending`),
   * atomically.
   * - same idempotency key, same body hash → `replayed`; other hash → IDEMPOTENCY_KEY_REUSED
   * - identical (type, VM and body) to the *last* operation not yet ended on that volume → `joined` (only the last: detach →
   *   attach → detach must stay three operations); a create joins any unfinished create with the same body; an operation whose
   *   cancellation was asked for is not joined
   * - LIMITS.PENDING_MAX waiting already → QUEUE_FULL
   */
  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted>;
  readOperation(id: string): Promise<Operation | null>;
  /** Newest first. `before` is the sequence of the last row of the previous page. */
  listOperations(filter: OperationFilter): Promise<Operation[]>;
  /**
   * Every operation of this appliance that is `executing`, re-leased to this epoch, in order of acceptance:
   * those of an earlier owner, and those whose claim was committed but never answered. The caller knows which
   * of them it already runs.
   */
  resumable(epoch: Epoch): Promise<Operation[]>;
  /**
   * Moves up to `limit` operations from pending to executing: per volume only the first not yet ended one, in
   * order of acceptance. A volume already executing (database fact: unique generated column) is skipped.
   */
  claim(epoch: Epoch, limit: number): Promise<Operation[]>;
  readJournal(operationId: string): Promise<JournalEntry[]>;
  /** Entries of all operations of the appliance with id > after, oldest first. */
  feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]>;
  /**
   * Appends journal entries and applies the patch to the row and the effects, all in one transaction, only
   * while the row is `executing` under this epoch; otherwise LEASE_LOST and nothing is written.
   */
  append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]>;
  /**
   * pending → cancelled at once (returns `cancelled`); executing → marks the request (returns `requested`);
   * ended → `ended`.
   */
  requestCancel(epoch: Epoch, operationId: string): Promise<'cancelled' | 'requested' | 'ended' | 'missing'>;
  /**
   * Detach jobs on this volume whose end was never journaled, from operations that have ended: they may still
   * act, and a new attach must wait for them (apache/cloudstack#14214).
   */
  openDetachJobs(volumeId: string): Promise<OpenDetachJob[]>;
  /** Journals how a straggling job has ended, so that it is not waited for again. */
  settleOpenDetachJob(epoch: Epoch, straggler: OpenDetachJob, data: JsonObject): Promise<void>;

  // ---- mappings and exports ---------------------------------------------------------------------------------------
  /** Volumes of this appliance with an operation that has not ended. */
  busyVolumes(applianceId: string): Promise<Set<string>>;
  readMapping(volumeId: string): Promise<Mapping | null>;
  readMappingByDevice(vmId: string, devicePath: string): Promise<Mapping | null>;
  /** All mappings, or those of one VM; ordered by device path. */
  listMappings(vmId?: string): Promise<Mapping[]>;
  readExport(volumeId: string): Promise<ExportRecord | null>;
  listExports(filter?: {
    volumeId?: string;
    status?: ExportStatus;
    vmName?: string;
    limit?: number;
  }): Promise<ExportRecord[]>;
  /**
   * Repairs outside an operation (sync, exports API): applies effects in one transaction under the epoch, and
   * journals `audit` (operation id '' = of the appliance itself) in the feed. Returns that entry, for those
   * who follow the events.
   */
  repair(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<JournalEntry>;

  // ---- figures and housekeeping -----------------------------------------------------------------------------------
  counts(applianceId?: string): Promise<OperationCounts>;
  /** Deletes ended operations completed before `olderThan` (ms), at most `limit`; returns how many. */
  prune(epoch: Epoch, olderThan: number, limit: number): Promise<number>;
  /** Cheap round trip; throws DATABASE_UNAVAILABLE. */
  ping(): Promise<void>;
}

/** A detach job that was sent and whose end was never journaled. */
export interface OpenDetachJob {
  readonly operationId: string;
  readonly step: string;
  readonly jobId: string;
}

/** The proof of ownership that every write carries. */
export interface Epoch {
  readonly applianceId: string;
  readonly number: number;
}

export interface NewOperation<T extends OperationType = OperationType> {
  readonly id: string;
  readonly type: T;
  /** '' for create. */
  readonly volumeId: string;
  readonly vmId: string | null;
  readonly request: RequestOf[T];
  readonly idempotencyKey: string | null;
  /** SHA-256 hex of the canonical request; what "same body" means. */
  readonly requestHash: string;
  /** Wall clock ms. */
  readonly at: number;
}

export interface Accepted {
  readonly operation: Operation;
  /** The first journal entry when the operation is new. */
  readonly entry?: JournalEntry;
  readonly outcome: 'accepted' | 'joined' | 'replayed';
}

export interface OperationFilter {
  readonly type?: OperationType | undefined;
  readonly status?: OperationStatus | undefined;
  readonly volumeId?: string | undefined;
  readonly vmId?: string | undefined;
  /** Wall clock ms: accepted at or after. */
  readonly since?: number | undefined;
  readonly limit: number;
  readonly before?: number | undefined;
}

export interface OperationChange {
  /**
   * Sequence of the last journal entry the writer has seen. Makes an append safe to repeat: after a lost
   * COMMIT the same change finds its own entries and is done; anybody else's entries there mean LEASE_LOST.
   */
  readonly after: number;
  readonly entries: NewJournalEntry[];
  /** Wall clock ms written to updated_at and the entries. */
  readonly at: number;
  /**
   * A create has learned its volume and joins that volume's queue. While another operation executes on the
   * volume the append is refused with DATABASE_UNAVAILABLE: the writer waits and repeats, as for the database
   * itself.
   */
  readonly volumeId?: string;
  readonly waiting?: { attempt: number; nextAttemptAt: number; reason: string } | null;
  /** Ends the operation; adds the status entry itself. */
  readonly end?: {
    status: TerminalStatus;
    response: JsonObject | null;
    error: string | null;
    errorCode: ErrorCode | null;
  };
  readonly effects?: MappingEffect[];
}

/** Changes to mappings and exports that commit together with the journal entry that reports them. */
export type MappingEffect =
  /**
   * Inserts or replaces the mapping of the volume. A *stale* mapping of another volume on the same (vm, path)
   * makes it fail with DEVICE_IDENTITY_MISMATCH unless the path is named in `displaces` (volume ids whose
   * mapping may lose the path; they become linux_state `missing` with path `missing-<volume id>`, and their
   * active export `failed`).
   */
  | { readonly kind: 'put-mapping'; readonly mapping: NewMapping; readonly displaces?: readonly string[] }
  /** Deletes the mapping only when it belongs to this VM; its export row goes with it (cascade). */
  | { readonly kind: 'delete-mapping'; readonly volumeId: string; readonly vmId: string }
  /** MAPPING_NOT_FOUND when the volume has no mapping (it may have been deleted by another program). */
  | { readonly kind: 'put-export'; readonly record: NewExport }
  | { readonly kind: 'set-export-status'; readonly volumeId: string; readonly status: ExportStatus }
  | { readonly kind: 'delete-export'; readonly volumeId: string };

export interface OperationCounts {
  readonly byType: Record<OperationType, number>;
  readonly byStatus: Record<OperationStatus, number>;
  /** Mean of completed_at − created_at over completed operations, ms; 0 when there are none. */
  readonly averageResponseMs: number;
  readonly activeMappings: number;
  /** Age of the oldest pending / executing operation, ms by the database rows; null when there is none. */
  readonly oldestPendingAt: number | null;
  readonly oldestExecutingAt: number | null;
}
