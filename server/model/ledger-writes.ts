import type { ErrorCode } from '../core/errors';
import type {
  Caller,
  ExportStatus,
  JournalEntry,
  JsonObject,
  NewExport,
  NewJournalEntry,
  NewMapping,
  Operation,
  OperationType,
  RequestOf,
  TerminalStatus,
} from './operation';

/** A request to be accepted. */
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
  /** This machine's clock was set within LIMITS.IDEMPOTENCY_TTL_MS: no age can be told by it. */
  readonly clockStepped?: boolean;
  /** Who asked; what is not known is stored as not known. */
  readonly caller?: Caller | null;
}

/** What has become of a request. */
export interface Accepted {
  readonly operation: Operation;
  /** The first journal entry when the operation is new. */
  readonly entry?: JournalEntry;
  readonly outcome: 'accepted' | 'joined' | 'replayed';
}

/** An operation whose row the database does not take, and why. */
export interface Refusal {
  readonly operation: Operation;
  readonly reason: string;
}

/** By the id of the operation. */
export type Refusals = Map<string, Refusal>;

/** An operation that was moved to executing, and its journal up to then. */
export interface Claimed {
  readonly operation: Operation;
  readonly journal: readonly JournalEntry[];
}

/**
 * What one write adds to an operation: journal entries, changes of its row, effects on mappings and exports.
 */
export interface OperationChange {
  /**
   * Sequence of the last journal entry the writer has seen. It makes an append safe to repeat: after a lost
   * answer the same change finds its own entries; anybody else's entries there mean LEASE_LOST.
   */
  readonly after: number;
  readonly entries: NewJournalEntry[];
  /** All entries up to `after`, from a writer that has them: an end need not read them again. */
  readonly journal?: readonly JournalEntry[];
  /**
   * Wall clock ms of the entries, and of the row when it changes: an entry by itself leaves the row as it is.
   */
  readonly at: number;
  /**
   * A create has learned its volume and joins that volume's queue. Refused with VOLUME_BUSY while another
   * operation executes on the volume.
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
   * Inserts or replaces the mapping of the volume. A mapping of another volume on the same VM and path makes
   * it fail with DEVICE_IDENTITY_MISMATCH, unless that volume is named in `displaces`: it then gets
   * linux_state `missing` and the path `missing-<volume id>`, and its active export becomes `failed`.
   */
  | { readonly kind: 'put-mapping'; readonly mapping: NewMapping; readonly displaces?: readonly string[] }
  /** Deletes the mapping only when it belongs to this VM; its export row goes with it (cascade). */
  | { readonly kind: 'delete-mapping'; readonly volumeId: string; readonly vmId: string }
  /** MAPPING_NOT_FOUND when the volume has no mapping (it may have been deleted by another program). */
  | { readonly kind: 'put-export'; readonly record: NewExport }
  | { readonly kind: 'set-export-status'; readonly volumeId: string; readonly status: ExportStatus };
