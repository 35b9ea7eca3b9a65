import type { ErrorCode } from '../../core/errors';
import type { Epoch } from '../../model/ledger';
import type { OperationChange } from '../../model/ledger-writes';
import type { JournalEntry, JsonObject, NewJournalEntry, Operation } from '../../model/operation';
import type { Facts } from '../decision';
import type { Journal } from '../journal';
import type { EngineParts, OtherRuns } from '../parts';

/** Why a run is waiting; shown by health, the operation and the logs. */
export interface Waiting {
  readonly step: string;
  readonly reason: string;
  readonly attempt: number;
  /** Wall clock ms; null when the wait has no fixed end. */
  readonly nextAttemptAt: number | null;
}

/** A change as a run makes it; where in the journal it goes, and when, its record knows. */
export type NewChange = Omit<OperationChange, 'at' | 'after' | 'journal'>;

/** What a change waits for. */
export type WaitsFor = 'database' | 'database-and-volume';

/** What actions use of the run that performs them. Implemented by OperationRun (./run.ts). */
export interface RunContext {
  readonly parts: EngineParts;
  readonly epoch: Epoch;
  readonly otherRuns: OtherRuns;
  /** Aborted when the engine stops. */
  readonly signal: AbortSignal;
  readonly operation: Operation;
  readonly journal: Journal;
  readonly facts: Facts;
  waiting: Waiting | null;
  /** When this very run wrote this entry of its journal (monotonic ms); null when another did. */
  writtenMonotonic(entry: JournalEntry): number | null;
  /**
   * Writes a change, waiting while the database is away, and applies it in memory. A change that names the
   * volume of the operation waits for its turn on that volume, or with `database` throws VOLUME_BUSY.
   */
  record(change: NewChange, waitsFor?: WaitsFor): Promise<JournalEntry[]>;
  /**
   * Journals what was seen, and lets the run go on meanwhile: a run that finds no such entry sees it again.
   * The next change waits for it, and so does whatever changes the world (`written`). `volumeId`: the volume
   * that a create has made by this entry.
   */
  noteSeen(entry: NewJournalEntry, volumeId?: string): void;
  /**
   * Resolves when everything noted is durable. Throws LEASE_LOST, and once the engine stops
   * DATABASE_UNAVAILABLE.
   */
  written(): Promise<void>;
  /** Logs and journals what this run is waiting for. */
  announce(step: string, reason: string): Promise<void>;
  /** The same only where the row still tells of another wait, which is over. */
  announceInstead(step: string, reason: string): Promise<void>;
  /** Runs a call to the outside; the number of concurrent calls is limited. */
  active<T>(work: () => Promise<T>): Promise<T>;
  /**
   * From its next call on this run goes before all others, until `goInTurn`: what it looks at decides about a
   * call, and must not grow old before that leaves. The next call itself waits for its turn, so that few runs
   * do.
   */
  goAhead(): void;
  goInTurn(): void;
  learn(more: Facts): void;
  forget(keys: readonly (keyof Facts)[]): void;
  /** Writes this change with the end of the operation. Throws as `record`; then it has not ended. */
  complete(
    response: JsonObject | null,
    change: Pick<OperationChange, 'entries' | 'effects'>,
  ): Promise<Operation | null>;
  /** Makes the operation fail with this code, after its undo. */
  giveUp(code: ErrorCode, message: string): Promise<Operation | null>;
  /** From now on, and until it ends, this run may attach a disk to the guest. */
  allowDisk(): void;
  /** True also where it is not known yet. */
  readonly mayAttachDisk: boolean;
  /** A slot of the guest is this run's, until it ends. */
  takeSlot(): void;
  readonly hasSlot: boolean;
}

/**
 * How old an entry of this run's journal is, in ms. The wall clock may have been set meanwhile; only after a
 * restart there is nothing better.
 */
export function ageOf(run: RunContext, entry: JournalEntry): number {
  const { clock } = run.parts;
  const written = run.writtenMonotonic(entry);
  return written === null ? Math.max(0, clock.now() - entry.at) : clock.monotonic() - written;
}
