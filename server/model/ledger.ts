import { DaemonError } from '../core/errors';
import type { Pruned, Pruning } from './age';
import type { Claim, Owner } from './lease';
import type {
  Accepted,
  Claimed,
  MappingEffect,
  NewOperation,
  OperationChange,
  Refusals,
} from './ledger-writes';
import type {
  Caller,
  ExportRecord,
  ExportStatus,
  JournalEntry,
  JsonObject,
  Mapping,
  NewJournalEntry,
  Operation,
  OperationStatus,
  OperationType,
} from './operation';

/** Where a page of mappings ends. */
export type MappingPlace = Pick<Mapping, 'devicePath' | 'volumeId'>;

/**
 * The ledger port: everything durable that the domain needs. Implemented by MySQL/MariaDB
 * (../database/mysql-ledger.ts) and, for tests and simulation, in memory (lab/ledger); one
 * contract suite tests both.
 *
 * Errors: DATABASE_UNAVAILABLE when the database is away, VOLUME_BUSY (of `append`) while another operation
 * executes on the volume: in both cases the caller may wait and repeat (`mayRepeat`). LEASE_LOST when the
 * epoch is no longer the current one: the caller must stop.
 *
 * @example
 * const epoch = await ledger.takeOver(applianceId, 'host:1234');
 * const { operation } = await ledger.accept(epoch, input);
 * const [{ operation, journal }] = await ledger.claim(epoch, 1);
 */
export interface Ledger {
  // ---- one writer ---------------------------------------------------------------------------------------
  /**
   * Makes this process the owner of the appliance until LIMITS.LEASE_MS from now by the database's clock:
   * raises the epoch and records the owner. Only while the row is still as `claim.seen`, otherwise
   * LEASE_LOST; without a claim whatever the row says. Operations left `executing` by an earlier epoch are
   * resumed by `resumable`.
   *
   * @example
   * const seen = await ledger.readOwner(applianceId);
   * const epoch = await ledger.takeOver(applianceId, 'host:8090 pid 7', { seen, instance });
   */
  takeOver(applianceId: string, owner: string, claim?: Claim): Promise<Epoch>;
  /** Who owns the appliance by the row; null when nobody ever did. A cluster's node may lag behind others. */
  readOwner(applianceId: string): Promise<Owner | null>;
  /**
   * As readOwner, of the appliance of another daemon, and never older than the question: waits for
   * everything that any node of a cluster has committed before. The caller writes nothing that would fail on
   * an old row.
   */
  readNeighbour(applianceId: string): Promise<Owner | null>;
  /**
   * Another LIMITS.LEASE_MS from now by the database's clock. LEASE_LOST when another owner has taken over,
   * or another process renews under this very epoch: a copy of this one, as a snapshot of the machine with
   * its memory makes it; or when the row is from before the last renewal: another database, that lacks the
   * end. Resolves with the number of this renewal (Owner.renewals).
   */
  renewLease(epoch: Epoch): Promise<number>;
  /** Lets the next owner begin at once. Nothing when another owner has taken over. */
  releaseLease(epoch: Epoch): Promise<void>;

  // ---- operations ---------------------------------------------------------------------------------------
  /**
   * Stores a request as `pending` together with its first journal entry (step `operation`, state `pending`),
   * atomically.
   * - same idempotency key, same body hash → `replayed`; other hash → IDEMPOTENCY_KEY_REUSED
   * - identical (type, VM and body) to the *last* unfinished operation on that volume → `joined` (only the
   *   last: detach → attach → detach must stay three operations); a create joins any unfinished create with
   *   the same body; an operation whose cancellation was requested is not joined, nor one under another key;
   *   one without a key takes that of the request
   * - LIMITS.PENDING_MAX waiting already → QUEUE_FULL
   */
  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted>;
  readOperation(id: string): Promise<Operation | null>;
  /**
   * As readOperation; of an operation that has ended, `held` also says what of its journal is not understood
   * (journalFlaw). Of an open one the engine has said so, and holds it.
   */
  readExamined(id: string): Promise<Operation | null>;
  /** Newest first. `before` is the sequence of the last row of the previous page. */
  listOperations(filter: OperationFilter): Promise<Operation[]>;
  /**
   * Every operation of this appliance that is `executing`, re-leased to this epoch, in order of acceptance:
   * of an earlier owner, or claimed without an answer. The caller knows which of them it already runs. One
   * whose status is not understood is held first, and is among them. One whose row the database does not take
   * is added to `refused`, and may not be run.
   */
  resumable(epoch: Epoch, refused?: Refusals): Promise<Operation[]>;
  /**
   * Moves up to `limit` operations from pending to executing: per volume only the first unfinished one, in
   * order of acceptance. A volume on which an operation executes is skipped, as is what is `refused`, to
   * which those are added whose rows the database does not take.
   */
  claim(epoch: Epoch, limit: number, refused?: Refusals): Promise<Claimed[]>;
  readJournal(operationId: string): Promise<JournalEntry[]>;
  /** Entries of all operations of the appliance with id > after, oldest first. */
  feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]>;
  /**
   * Appends journal entries and applies the patch to the row and the effects, all in one transaction, only
   * while the row is `executing` under this epoch; otherwise LEASE_LOST and nothing is written.
   */
  append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]>;
  /**
   * A pending operation is cancelled at once; of an executing one the request is noted, with who asked first.
   */
  requestCancel(epoch: Epoch, operationId: string, caller?: Caller | null): Promise<CancelOutcome>;
  /**
   * From now on nobody runs this executing operation, until somebody decides (`retryHeld`,
   * `abandonHeld`): its row or its journal is not understood. It goes on blocking its volume, because its
   * effects are not known.
   */
  hold(epoch: Epoch, operationId: string, reason: string): Promise<void>;
  /**
   * Notes that this executing operation is about to end the process. At LIMITS.CRASHES_UNTIL_HELD times in a
   * row without progress it is held.
   */
  noteCrash(epoch: Epoch, operationId: string, crash: Crash): Promise<void>;
  /** A held operation may be run again, from where it was; its journal says who asked. */
  retryHeld(epoch: Epoch, operationId: string, caller?: Caller | null): Promise<Release>;
  /**
   * A held operation ends as `failed` with OPERATION_ABANDONED; its error says what it may have left, its
   * journal who asked. Nothing is undone.
   *
   * @param because for one of an appliance without a daemon: why it ends although it executes or
   * waits and is not held
   */
  abandonHeld(
    epoch: Epoch,
    operationId: string,
    caller?: Caller | null,
    because?: string | null,
  ): Promise<Release>;
  /**
   * Jobs on this volume whose end was never journaled, from operations that have ended: they may still act,
   * and every later mutation of the volume waits for them (apache/cloudstack#14214).
   */
  openJobs(volumeId: string): Promise<OpenJob[]>;
  /** Volumes with such a job that may still attach them to this VM. */
  volumesStillComing(vmId: string): Promise<string[]>;
  /**
   * Journals how an open job has ended, so that nobody waits for it again; returns the entry, if it is a new
   * one.
   */
  settleOpenJob(epoch: Epoch, job: OpenJob, data: JsonObject): Promise<JournalEntry[]>;

  // ---- mappings and exports -----------------------------------------------------------------------------
  /** Volumes of this appliance with an operation that has not ended. */
  busyVolumes(applianceId: string): Promise<Set<string>>;
  /** The id of the newest journal entry of any appliance; 0 when there is none. */
  newestEntry(): Promise<number>;
  /**
   * Does an operation of any appliance work on the volume, or has one written a journal entry above
   * `sinceEntry`? Entries are compared and not times: clocks are set, and differ between appliances.
   */
  isWorkedOn(volumeId: string, sinceEntry: number): Promise<boolean>;
  /**
   * The operations, of any appliance, that block these volumes: what waits for one of them begins after its
   * end. Those of the daemon before this one block nothing.
   */
  executingOn(volumeIds: readonly string[]): Promise<Map<string, Blocker>>;
  readMapping(volumeId: string): Promise<Mapping | null>;
  readMappingByDevice(vmId: string, devicePath: string): Promise<Mapping | null>;
  /** All mappings, or those of one VM; ordered by device path. */
  listMappings(vmId?: string): Promise<Mapping[]>;
  /**
   * At most `limit` mappings in the order of listMappings: the first, or those after a place, whether a
   * mapping is still there or not.
   */
  pageOfMappings(limit: number, after: MappingPlace | null): Promise<Mapping[]>;
  readExport(volumeId: string): Promise<ExportRecord | null>;
  /**
   * What the database has of each of these volumes, for a page of a list; a volume without a row has no
   * entry.
   *
   * @example
   * const rows = await ledger.readVolumeRows([volumeId]);
   * const path = rows.get(volumeId)?.mapping?.devicePath;
   */
  readVolumeRows(volumeIds: readonly string[]): Promise<Map<string, VolumeRows>>;
  /**
   * Which of these volumes are proven to be ours: a completed operation in this database, of whatever daemon,
   * has created or attached them, a mapping or an export names them, or the hub has them in its table. A
   * name, an owner or an attempt proves nothing. `prune` keeps what proves it.
   *
   * @example
   * const own = await ledger.ownVolumes([volumeId]);
   * if (own.has(volumeId)) return map(volume);
   */
  ownVolumes(volumeIds: readonly string[]): Promise<Set<string>>;
  /**
   * Volumes that this database knows, from operations or from the hub, and whose id begins with one of these
   * serials (hexadecimal, without dashes).
   *
   * @example
   * const [volumeId] = await ledger.volumesOfSerials(['0123456789abcdef0123']);
   */
  volumesOfSerials(serials: readonly string[]): Promise<string[]>;
  listExports(filter?: ExportFilter): Promise<ExportRecord[]>;
  /**
   * A change outside an operation (sync, exports API): applies the effects and journals `audit` in the feed
   * under operation id '', in one transaction. Returns that entry.
   */
  auditedChange(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<JournalEntry>;

  /**
   * When rows of the old daemon were adopted and shown to a person; null when there were none. Not shown
   * before this epoch has asked for what is `resumable`: what the old daemon has written since is found
   * there.
   */
  readAdoption(epoch: Epoch): Promise<Adoption | null>;
  /** A person has seen what sync would delete of the adopted rows. */
  noteAdoptionShown(epoch: Epoch): Promise<void>;

  // ---- figures and housekeeping -------------------------------------------------------------------------
  counts(applianceId?: string): Promise<OperationCounts>;
  /**
   * Deletes operations that ended long ago, at most `limit`; nothing when the clocks do not agree. Kept is
   * what is still relied on, whatever its age:
   * - what was accepted after an operation that has not ended: it may wait for it, or hold its key
   * - operations with a job that may still act (`openJobs`)
   * - of every volume the last proof that it is ours (`ownVolumes`), until its deletion has become old as
   *   well; one into the trash is none
   */
  prune(epoch: Epoch, pruning: Pruning): Promise<Pruned>;
  /** Cheap round trip; throws DATABASE_UNAVAILABLE. */
  ping(): Promise<void>;
  /**
   * Finds out whether work is possible, by doing what it does: reads our tables and, as owner (`epoch`),
   * writes under that epoch. Resolves with the database's wall clock, ms. Throws DATABASE_UNAVAILABLE.
   */
  probe(epoch: Epoch | null): Promise<number>;
}

/** Rows of the old daemon in this database. Times are wall clock ms. */
export interface Adoption {
  readonly adoptedAt: number;
  /** Until it is set, sync deletes no row. */
  readonly shownAt: number | null;
}

/** What became of a request to cancel. `missing`: the appliance has no such operation. */
export type CancelOutcome = 'cancelled' | 'requested' | 'ended' | 'missing';

/** What became of a held operation. `missing`: the appliance has no such operation. */
export type Release = 'released' | 'not-held' | 'missing';

/** An operation has ended the process. */
export interface Crash {
  /** Sequence of the last journal entry that took the operation further. */
  readonly progress: number;
  readonly error: string;
}

/** The reason of an operation that is held because of its crashes. */
export function crashText(crashes: number, error: string): string {
  return `it has ended the daemon ${crashes} times in a row at the same step: ${error}`;
}

/** The rows of one volume. */
export interface VolumeRows {
  readonly mapping: Mapping | null;
  readonly export: ExportRecord | null;
  /** The operation on it that was accepted last. */
  readonly lastOperation: LastOperation | null;
}

/** What a list says of an operation. */
export type LastOperation = Pick<Operation, 'id' | 'type' | 'status' | 'updatedAt'>;

/** What is told of an operation that others wait for. */
export type Blocker = Pick<Operation, 'id' | 'applianceId'>;

/** Fields that are left out match everything. */
export interface ExportFilter {
  readonly volumeId?: string | undefined;
  readonly status?: ExportStatus | undefined;
  /** metadata.vm_name */
  readonly vmName?: string | undefined;
}

/** Another operation executes on the volume: the writer waits for its end. */
export function volumeBusy(volumeId: string, cause?: unknown): DaemonError {
  return new DaemonError(
    'VOLUME_BUSY',
    `Another operation is executing on volume ${volumeId}; this one waits for its end`,
    { cause, retryAfterSeconds: 1 },
  );
}

/** Has the ledger written nothing and may the same write succeed later? */
export function mayRepeat(error: unknown): error is DaemonError {
  return (
    error instanceof DaemonError && (error.code === 'DATABASE_UNAVAILABLE' || error.code === 'VOLUME_BUSY')
  );
}

/** A job that changes a volume, was intended, and whose end was never journaled. */
export interface OpenJob {
  readonly operationId: string;
  readonly step: string;
  readonly jobId: string;
}

/** The proof of ownership that every write carries. */
export interface Epoch {
  readonly applianceId: string;
  readonly number: number;
}

/** The numbers of two appliances may be equal. */
export function isSameEpoch(one: Epoch, other: Epoch): boolean {
  return one.number === other.number && one.applianceId === other.applianceId;
}

/** Fields that are left out match everything. */
export interface OperationFilter {
  readonly type?: OperationType | undefined;
  readonly status?: OperationStatus | undefined;
  readonly volumeId?: string | undefined;
  readonly vmId?: string | undefined;
  /**
   * A whole UUID: of the operation, its volume or its VM. Any other text, without regard to case: a part of
   * an id, the error, its code, the caller, or the name with which the volume was created, in the newest
   * LIMITS.SEARCH_OPERATIONS.
   */
  readonly find?: string | undefined;
  /** Wall clock ms: accepted at or after. */
  readonly since?: number | undefined;
  readonly limit: number;
  readonly before?: number | undefined;
}

/** How many operations there are, for metrics and the page. */
export interface OperationCounts {
  readonly byType: Record<OperationType, number>;
  readonly byStatus: Record<OperationStatus, number>;
  /** Mean of completed_at − created_at over completed operations; 0 when there are none. */
  readonly averageResponseMs: number;
  readonly activeMappings: number;
  /** When the oldest pending or executing operation was accepted (wall clock ms); null when there is none. */
  readonly oldestPendingAt: number | null;
  readonly oldestExecutingAt: number | null;
}
