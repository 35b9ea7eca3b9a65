import type { ErrorCode } from '../../core/errors';
import type { Epoch, OperationChange } from '../../model/ledger';
import type { JournalEntry, Operation } from '../../model/operation';
import type { Facts } from '../decision';
import type { Journal } from '../journal';
import type { EngineParts, OtherRuns } from '../parts';

/** Why a run waits right now; shown by health, the operation and the logs. */
export interface Waiting {
  readonly step: string;
  readonly reason: string;
  readonly attempt: number;
  /** Wall clock ms; null when the wait has no fixed end. */
  readonly nextAttemptAt: number | null;
}

/** What an action sees of the run that performs it. Implemented by OperationRun (./run.ts). */
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
  /** Writes a change, waits for the database while it is away, and follows the change in memory. */
  record(change: Omit<OperationChange, 'at' | 'after'>): Promise<JournalEntry[]>;
  /** Says, in the log and the journal, what this run waits for now. */
  announce(step: string, reason: string): Promise<void>;
  /** A foreign call; bounded by the number of active steps. */
  active<T>(work: () => Promise<T>): Promise<T>;
  learn(found: Facts): void;
  forget(keys: readonly (keyof Facts)[]): void;
  /** Ends the operation with this code, after its undo. */
  giveUp(code: ErrorCode, message: string): Promise<Operation | null>;
  /** From now on, and until it ends, this run may attach a disk to the guest. */
  allowDisk(): void;
}
