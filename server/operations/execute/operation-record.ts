import { backOffMs } from '../../core/back-off';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { changedOperation } from '../../model/changed-operation';
import { type Epoch, mayRepeat } from '../../model/ledger';
import type { OperationChange } from '../../model/ledger-writes';
import type { Caller, JournalEntry, NewJournalEntry, RunnableOperation } from '../../model/operation';
import type { ActiveSteps } from '../active-steps';
import { Journal } from '../journal';
import type { EngineParts } from '../parts';
import type { NewChange, Waiting, WaitsFor } from './run-context';

const DATABASE_RETRIES = { baseMs: 200, capMs: LIMITS.DATABASE_BACKOFF_CAP_MS };

/** The step of a wait until a change is written. */
export const WRITING = 'journal';

/** What a record writes with; the same for all operations of an epoch. */
export interface RecordParts {
  readonly parts: Pick<EngineParts, 'ledger' | 'events' | 'clock' | 'logger'>;
  readonly epoch: Epoch;
  readonly steps: ActiveSteps;
  /** Aborted when the engine stops. */
  readonly signal: AbortSignal;
}

/**
 * The row and the journal of an operation that runs: what the ledger has of them, kept in memory so that
 * nothing is read again. While the database is away a write is repeated: it reports what has already
 * happened, and without it the next run would have to ask CloudStack again.
 */
export class OperationRecord {
  journal = new Journal([]);
  /** By sequence: when this process wrote the entry (monotonic ms). */
  private readonly writtenAt = new Map<number, number>();
  /** The row may say that this operation waits. */
  waitIsStored: boolean;
  /** The writes of `noteSeen`, one after the other; a change waits for them. */
  private pendingNotes: Promise<void> = Promise.resolve();

  constructor(
    private readonly own: RecordParts,
    public operation: RunnableOperation,
    /** Called when it waits for the database, and with null when it has waited. */
    private readonly onWaiting: (waiting: Waiting | null) => void,
  ) {
    this.waitIsStored = operation.waitReason !== null || operation.nextAttemptAt !== null;
  }

  /** See RunContext. */
  writtenMonotonic({ sequence }: JournalEntry): number | null {
    return this.writtenAt.get(sequence) ?? null;
  }

  /** The stored journal; null when the engine has stopped before that. */
  async readJournal(): Promise<readonly JournalEntry[] | null> {
    const { parts, steps, signal } = this.own;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        return await steps.use(() => parts.ledger.readJournal(this.operation.id));
      } catch (error) {
        await this.waitForDatabase(error, attempt);
      }
    }
    return null;
  }

  /** A cancel that the ledger has noted. */
  noteCancel(caller: Caller | null): void {
    const { cancelRequested, cancelRequestedBy } = this.operation;
    this.operation = {
      ...this.operation,
      cancelRequested: true,
      cancelRequestedBy: cancelRequested ? cancelRequestedBy : caller,
    };
  }

  /** See RunContext. */
  write(change: NewChange, waitsFor: WaitsFor = 'database-and-volume'): Promise<JournalEntry[]> {
    return this.untilWritten(() => this.append(change), waitsFor);
  }

  /** Writes it unless the database is away. */
  async tryToWrite(change: NewChange): Promise<void> {
    try {
      await this.append(change);
    } catch (error) {
      if (!(error instanceof DaemonError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
    }
  }

  /** See RunContext. */
  noteSeen(entry: NewJournalEntry, volumeId?: string): void {
    const made = volumeId === undefined ? {} : { volumeId };
    const change = this.changeOf({ entries: [entry], ...made, waiting: null });
    // Its number in the feed is not known yet; nothing is decided by it.
    const place = { id: 0, operationId: this.operation.id, sequence: change.after + 1, at: change.at };
    this.journal = this.journal.with([{ ...place, ...entry }]);
    this.pendingNotes = this.pendingNotes.then(async () => {
      await this.untilWritten(() => this.store(change), 'database-and-volume');
    });
    // Whoever waits for it hears of it.
    this.pendingNotes.catch(() => {});
  }

  /** See RunContext. */
  written(): Promise<void> {
    return this.pendingNotes;
  }

  private async untilWritten<T>(write: () => Promise<T>, waitsFor: WaitsFor): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const written = await write();
        if (attempt > 1) this.onWaiting(null);
        return written;
      } catch (error) {
        const isBusy = error instanceof DaemonError && error.code === 'VOLUME_BUSY';
        if (isBusy && waitsFor === 'database') throw error;
        await this.waitForDatabase(error, attempt);
      }
    }
  }

  /** Sleeps while the database is away; rethrows every other error, and any once the engine stops. */
  private async waitForDatabase(error: unknown, attempt: number): Promise<void> {
    const { parts, signal } = this.own;
    if (!mayRepeat(error) || signal.aborted) throw error;
    this.onWaiting({ step: WRITING, reason: error.message, attempt, nextAttemptAt: null });
    parts.logger.warn('Operation waits for the database', {
      operation_id: this.operation.id,
      attempt,
      error,
    });
    await parts.clock.sleep(backOffMs(DATABASE_RETRIES, attempt), signal);
  }

  private async append(wanted: NewChange): Promise<JournalEntry[]> {
    await this.written();
    const entries = await this.store(this.changeOf(wanted));
    for (const { sequence } of entries) this.writtenAt.set(sequence, this.own.parts.clock.monotonic());
    this.journal = this.journal.with(entries);
    return entries;
  }

  private changeOf(wanted: NewChange): OperationChange {
    const { waiting, ...others } = wanted;
    // The end of a wait that the row does not know of is not written: nearly every step would write its row.
    const change: NewChange = waiting === null && !this.waitIsStored ? others : wanted;
    if (change.waiting) this.waitIsStored = true;
    const { entries: journal, lastSequence: after } = this.journal;
    return { ...change, after, journal, at: this.own.parts.clock.now() };
  }

  private async store(change: OperationChange): Promise<JournalEntry[]> {
    const { parts, steps, epoch } = this.own;
    const entries = await steps.use(() => parts.ledger.append(epoch, this.operation.id, change));
    if (change.waiting === null) this.waitIsStored = false;
    // Of an earlier try whose answer was lost, when that was written.
    this.operation = changedOperation(this.operation, { ...change, at: entries.at(-1)?.at ?? change.at });
    parts.events.publish(entries);
    return entries;
  }
}
