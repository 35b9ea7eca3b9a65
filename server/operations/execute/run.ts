import { jitteredBackOffMs } from '../../core/back-off';
import { sleepUntilAny } from '../../core/clock';
import type { ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Epoch } from '../../model/ledger';
import type { OperationChange } from '../../model/ledger-writes';
import type {
  Caller,
  JournalEntry,
  JsonObject,
  NewJournalEntry,
  Operation,
  RunnableOperation,
} from '../../model/operation';
import type { Action } from '../action';
import { decide } from '../decide';
import type { Facts, Guards } from '../decision';
import { Journal } from '../journal';
import type { EngineParts, OtherRuns } from '../parts';
import { perform } from './actions';
import { logEnd } from './log-end';
import { OperationRecord, type RecordParts } from './operation-record';
import { reactionToError } from './reaction-to-error';
import type { NewChange, RunContext, Waiting, WaitsFor } from './run-context';

const RETRIES = { baseMs: LIMITS.RETRY_BASE_MS, capMs: LIMITS.RETRY_CAP_MS };

/** What a run needs beside its operation; the same for all runs of an engine. */
export interface RunParts extends RecordParts {
  readonly parts: EngineParts;
  readonly otherRuns: OtherRuns;
}

/**
 * One operation being executed: the loop of "decide, then act". All state that matters is in the journal: a
 * run that dies at any await is continued from there by another run.
 */
export class OperationRun implements RunContext {
  readonly parts: EngineParts;
  readonly epoch: Epoch;
  readonly otherRuns: OtherRuns;
  readonly signal: AbortSignal;
  /** Why this run must not go on: somebody has to look at its journal. */
  held: string | null = null;
  facts: Facts = {};
  waiting: Waiting | null = null;
  private readonly stored: OperationRecord;
  private journalRead = false;
  private disksPermitted = false;
  /** `next`: once its next call has had its turn. */
  private ahead: 'no' | 'next' | 'yes' = 'no';
  private slotTaken = false;
  /** By call: how often it has failed in a row. Another call's success does not reset it. */
  private readonly attempts = new Map<string, number>();
  /** By stage: when a decision first asked how long it has lasted (monotonic ms). */
  private readonly stages = new Map<string, number>();
  /** Ends the pause between two tries. */
  private wake = new AbortController();

  constructor(
    private readonly own: RunParts,
    operation: RunnableOperation,
    /** Of one that was just claimed; null: it has to be read. */
    private readonly claimed: readonly JournalEntry[] | null,
  ) {
    this.parts = own.parts;
    this.epoch = own.epoch;
    this.otherRuns = own.otherRuns;
    this.signal = own.signal;
    this.stored = new OperationRecord(own, operation, (waiting) => {
      this.waiting = waiting;
    });
  }

  get operation(): RunnableOperation {
    return this.stored.operation;
  }

  get journal(): Journal {
    return this.stored.journal;
  }

  /**
   * The ended operation, or null when the engine stops first or it is held. Throws LEASE_LOST and programming
   * errors.
   */
  async toTheEnd(): Promise<Operation | null> {
    const entries = this.claimed ?? (await this.stored.readJournal());
    if (entries !== null) this.begin(entries);
    if (this.held !== null) return null;
    while (!this.signal.aborted) {
      const action = decide({
        operation: this.operation,
        journal: this.journal,
        facts: this.facts,
        policy: this.parts.policy(),
        elapsed: (stage) => this.elapsed(stage),
        doubted: (name) => this.elapsed(this.doubt(name)),
      });
      const end = await this.act(action);
      if (end) return end;
    }
    await this.written();
    return null;
  }

  /** A cancel that the ledger has noted: honoured before the next effect, and at once while the run waits. */
  noteCancel(caller: Caller | null): void {
    this.stored.noteCancel(caller);
    this.wake.abort();
    this.wake = new AbortController();
  }

  /** From now on this run may attach a disk to the guest. Set before the intent, once no other run may. */
  allowDisk(): void {
    this.disksPermitted = true;
  }

  /** True also before the journal is read: this run may have sent an attach before a restart. */
  get mayAttachDisk(): boolean {
    return this.disksPermitted || !this.journalRead || this.journal.mutation('attach-volume').at !== 'none';
  }

  takeSlot(): void {
    this.slotTaken = true;
  }

  /** Unlike `mayAttachDisk` only what is certain: a slot is never refused because of what may be. */
  get hasSlot(): boolean {
    if (!this.journalRead || this.journal.failing) return false;
    return this.slotTaken || this.journal.mutation('attach-volume').at !== 'none';
  }

  writtenMonotonic(entry: JournalEntry): number | null {
    return this.stored.writtenMonotonic(entry);
  }

  /** The claim writes the second entry of a journal, which is published here, when the run begins. */
  private begin(entries: readonly JournalEntry[]): void {
    this.stored.journal = new Journal(entries);
    this.held = this.journal.unreadable;
    this.journalRead = true;
    const [, claimed, later] = entries;
    if (claimed?.data.epoch === this.epoch.number && later === undefined)
      this.parts.events.publish([claimed]);
  }

  private async act(action: Action): Promise<Operation | null> {
    switch (action.do) {
      case 'complete':
        return this.complete(action.response, { entries: [], effects: action.effects ?? [] });
      case 'fail':
        return this.fail(action.code, action.message, action.response ?? null);
      case 'cancel':
        return this.end({ status: 'cancelled', response: null, error: action.message, errorCode: null });
      case 'pause':
        await this.wait(action.step, action.reason, action.ms, 0);
        this.forget(action.forget);
        return null;
      case 'back-off':
        await this.backOff(`decision:${action.step}`, action.step, action.reason, null);
        this.forget(action.forget);
        return null;
      default:
        return this.tryToPerform(action);
    }
  }

  private async tryToPerform(action: Parameters<typeof perform>[1]): Promise<Operation | null> {
    const call = callOf(action);
    try {
      const ended = await perform(this, action);
      if (ended) return ended;
      this.attempts.delete(call);
      this.stages.delete(`retry:${call}`);
      this.waiting = null;
      return null;
    } catch (error) {
      const reaction = reactionToError(error, {
        kind: action.do,
        accepted: this.journal.hasEffect,
        begun: this.journal.hasIntent,
        elapsedMs: () => this.elapsed(`retry:${call}`),
      });
      return reaction.do === 'retry'
        ? this.backOff(call, call, reaction.reason, reaction.retryAfterMs)
        : this.giveUp(reaction.code, reaction.reason);
    }
  }

  /** Gives up outside a decision: begins the undo, or ends the operation when the undo itself has failed. */
  async giveUp(code: ErrorCode, message: string): Promise<Operation | null> {
    const { failing } = this.journal;
    if (failing) {
      const both = `${failing.message} (undo stopped: ${message})`;
      return this.fail(code, both, { undo_error: message });
    }
    const data = { code, message, details: {}, cancelled: false };
    await this.record({ entries: [{ step: 'operation', state: 'failing', data }] });
    this.forget(['volume']);
    return null;
  }

  /**
   * Backs off per call: base 1 s, cap 30 s, jitter over the upper half. Persisted, so readers see when and
   * why.
   */
  private async backOff(
    call: string,
    step: string,
    reason: string,
    retryAfterMs: number | null,
  ): Promise<null> {
    const attempt = (this.attempts.get(call) ?? 0) + 1;
    this.attempts.set(call, attempt);
    const delayMs = jitteredBackOffMs(RETRIES, attempt, this.parts.random);
    const askedMs = Math.min(retryAfterMs ?? 0, LIMITS.RETRY_AFTER_CAP_MS);
    await this.wait(step, reason, Math.max(delayMs, askedMs), attempt);
    return null;
  }

  private async wait(step: string, reason: string, ms: number, attempt: number): Promise<void> {
    const at = this.parts.clock.now();
    const known = this.waiting?.reason === reason && attempt === 0;
    this.waiting = { step, reason, attempt, nextAttemptAt: at + ms };
    const { signal } = this.wake;
    if (!known) await this.tell(this.waiting);
    await sleepUntilAny(this.parts.clock, ms, [this.signal, signal]);
  }

  async announce(step: string, reason: string): Promise<void> {
    this.waiting = { step, reason, attempt: 0, nextAttemptAt: null };
    await this.tell(this.waiting);
  }

  async announceInstead(step: string, reason: string): Promise<void> {
    if (this.stored.waitIsStored && this.operation.waitReason !== reason) await this.announce(step, reason);
  }

  /** One log line and one journal entry per reason; the operation's row says when the next try is. */
  private async tell({ step, reason, attempt, nextAttemptAt }: Waiting): Promise<void> {
    const said = this.journal.hasWaited(step, reason) || this.journal.waits >= LIMITS.JOURNALED_WAITS;
    if (!said)
      this.parts.logger.info('Operation is waiting', {
        operation_id: this.operation.id,
        type: this.operation.type,
        step,
        reason,
        attempt,
        next_attempt_ms: nextAttemptAt === null ? null : nextAttemptAt - this.parts.clock.now(),
      });
    // The wait is persisted for readers only, so a database that is away must not disturb it.
    await this.stored.tryToWrite({
      entries: said
        ? []
        : [{ step, state: 'waiting', data: { reason, attempt, next_attempt_at: nextAttemptAt } }],
      waiting: { attempt, nextAttemptAt: nextAttemptAt ?? this.parts.clock.now(), reason },
    });
  }

  record(change: NewChange, waitsFor?: WaitsFor): Promise<JournalEntry[]> {
    return this.stored.write(change, waitsFor);
  }

  noteSeen(entry: NewJournalEntry, volumeId?: string): void {
    this.stored.noteSeen(entry, volumeId);
  }

  written(): Promise<void> {
    return this.stored.written();
  }

  /** Runs a call to the outside; the number of concurrent calls is limited. */
  active<T>(work: () => Promise<T>): Promise<T> {
    return this.own.steps.use(() => {
      if (this.ahead === 'next') this.ahead = 'yes';
      return work();
    }, this.ahead === 'yes');
  }

  goAhead(): void {
    this.ahead = 'next';
  }

  goInTurn(): void {
    this.ahead = 'no';
  }

  learn(more: Facts): void {
    if (more.volume?.kind === 'seen') this.stages.delete(this.doubt('not-visible'));
    if (more.snapshot?.kind === 'seen') this.stages.delete(this.doubt('snapshot-not-visible'));
    if (more.guards && !hidesSomething(more.guards)) this.stages.delete(`not-shown:${more.guards.jobId}`);
    this.facts = { ...this.facts, ...more };
  }

  forget(keys: readonly (keyof Facts)[]): void {
    const facts = { ...this.facts };
    for (const key of keys) delete facts[key];
    this.facts = facts;
  }

  private doubt(name: string): string {
    return `${name}@${this.journal.turn}`;
  }

  private elapsed(stage: string): number {
    const now = this.parts.clock.monotonic();
    const since = this.stages.get(stage);
    if (since === undefined) this.stages.set(stage, now);
    return since === undefined ? 0 : now - since;
  }

  complete(
    response: JsonObject | null,
    change: Pick<OperationChange, 'entries' | 'effects'>,
  ): Promise<Operation | null> {
    return this.end({ status: 'completed', response, error: null, errorCode: null }, change);
  }

  private fail(code: ErrorCode, message: string, response: JsonObject | null): Promise<Operation> {
    return this.end({ status: 'failed', response, error: message, errorCode: code });
  }

  private async end(
    end: NonNullable<OperationChange['end']>,
    change: Pick<OperationChange, 'entries' | 'effects'> = { entries: [] },
  ): Promise<Operation> {
    await this.record({ ...change, end, waiting: null });
    logEnd(this, end.status, end.error);
    return this.operation;
  }
}

/**
 * By which the failures of a call are counted: the same kind of action for the same step is the same call.
 */
function callOf(action: Action): string {
  return 'step' in action ? `${action.do}:${action.step}` : action.do;
}

/** Is something out of sight that the call depends on? */
function hidesSomething({ volume, vm, snapshot }: Guards): boolean {
  return [volume, vm, snapshot].some((found) => found?.kind === 'unknown');
}
