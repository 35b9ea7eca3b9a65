import { setMaxListeners } from 'node:events';
import { DaemonError, type ErrorCode, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { type Epoch, mayRepeat } from '../model/ledger';
import type { Refusal, Refusals } from '../model/ledger-writes';
import { NeighbourDaemons } from '../model/neighbour-daemons';
import type { Caller, JournalEntry, Operation, RunnableOperation } from '../model/operation';
import { ActiveSteps } from './active-steps';
import { JobDenials } from './execute/job-denials';
import { LastPlaces } from './execute/last-places';
import { WRITING } from './execute/operation-record';
import { OperationRun } from './execute/run';
import type { Waiting } from './execute/run-context';
import { tracedRun } from './execute/traced-run';
import type { EngineParts, OtherRuns } from './parts';
import { VmJobQueue } from './vm-job-queue';

/** What a run may end with without a mistake of this program. */
const EXPECTED: readonly ErrorCode[] = ['LEASE_LOST', 'DATABASE_UNAVAILABLE'];

/** An operation that this process runs, and what it waits for. */
export interface RunningOperation {
  readonly operation: Operation;
  readonly waiting: Waiting | null;
}

/** How many operations one round has continued and begun. */
export interface PumpReport {
  readonly resumed: number;
  readonly claimed: number;
}

/**
 * Claims operations and runs them to their end. There is one engine per epoch: it starts when this process
 * has become the owner of the appliance, and stops when the process drains or has lost the ownership. All
 * that remains of it is in the ledger.
 */
export class Engine implements OtherRuns {
  private readonly runs = new Map<string, { run: OperationRun; ended: Promise<void> }>();
  /** Executing operations that nobody may run, as of the last sweep. */
  private readonly held = new Map<string, Operation>();
  /** Operations whose rows the database did not take since the last sweep, and up to it. */
  private refused: Refusals = new Map();
  private refusedBefore: Refusals = new Map();
  /** Why the engine waits for the database; null: it does not. */
  private brokenOff: string | null = null;
  private readonly steps: ActiveSteps;
  readonly vmJobs = new VmJobQueue();
  readonly denials = new JobDenials();
  readonly neighbours: NeighbourDaemons;
  readonly lastPlaces: LastPlaces;
  private readonly stopping = new AbortController();
  /**
   * Cancels noted since the last look began, of operations without a run: it may have read them before that.
   */
  private readonly cancels = new Map<string, Caller | null>();
  private pumping: Promise<PumpReport> | null = null;
  private pumpAgain = false;
  private lookPlanned = false;
  private resumeWanted = false;
  private retrying = false;
  /** Resolves `start`. */
  private resolveStarted = () => {};

  constructor(
    private readonly parts: EngineParts,
    readonly epoch: Epoch,
    /** Called when a write was refused because another owner has taken over. */
    private readonly onLeaseLost: () => void,
  ) {
    this.steps = new ActiveSteps(parts.turns);
    this.neighbours = new NeighbourDaemons(parts.ledger, parts.clock);
    this.lastPlaces = new LastPlaces(parts.ledger, parts.clock);
    // Every waiting operation listens to it.
    setMaxListeners(LIMITS.EXECUTING_MAX * 2, this.stopping.signal);
  }

  /**
   * Continues what an earlier owner left executing, then claims pending operations. Resolves after the first
   * round: under load there is always something more to claim.
   */
  start(): Promise<void> {
    const started = new Promise<void>((resolve) => {
      this.resolveStarted = resolve;
    });
    void this.sweep();
    return started;
  }

  /**
   * Called after every accept. The caller's answer goes out first, and what is accepted in the next moment is
   * claimed together; an engine at rest claims at once.
   */
  wakeSoon(): void {
    if (this.lookPlanned) return;
    this.lookPlanned = true;
    const delayMs = this.runs.size === 0 ? 0 : LIMITS.CLAIM_DELAY_MS;
    void this.parts.clock.sleep(delayMs, this.stopping.signal).then(() => {
      this.lookPlanned = false;
      return this.wake();
    });
  }

  /** Called when there may be new work, as after every end. Never rejects. */
  wake(): Promise<PumpReport> {
    this.pumpAgain = true;
    this.pumping ??= this.pump().finally(() => {
      this.pumping = null;
      // Asked for after the last look and before now.
      if (this.pumpAgain && !this.stopping.signal.aborted) void this.wake();
    });
    return this.pumping;
  }

  /** The sweep: continues operations that no run works on, and claims pending ones that were missed. */
  sweep(): Promise<PumpReport> {
    this.resumeWanted = true;
    return this.wake();
  }

  running(): Operation[] {
    return [...this.runs.values()].map(({ run }) => run.operation);
  }

  /** A held operation may have sent an attach, whose disk may still come. */
  attachingDisks(): Operation[] {
    const running = [...this.runs.values()].filter(({ run }) => run.mayAttachDisk);
    return [...running.map(({ run }) => run.operation), ...this.held.values()];
  }

  /** Operations about which a person has to decide, named in health, metrics and page. */
  heldOperations(): Operation[] {
    return [...this.held.values()].filter(({ id }) => !this.refused.has(id));
  }

  /** Operations that cannot begin, go on or be ended, because the database does not take their rows. */
  refusals(): Refusal[] {
    const all = [...new Map([...this.refusedBefore, ...this.refused]).values()];
    return all.filter(({ operation }) => !this.runs.has(operation.id));
  }

  /** The held operation that blocks this volume, or null. */
  heldOn(volumeId: string): Operation | null {
    if (volumeId === '') return null;
    return [...this.held.values()].find((operation) => operation.volumeId === volumeId) ?? null;
  }

  /** The operation of this appliance that waits on this volume because its row is refused, or null. */
  refusedOn(volumeId: string): Operation | null {
    const { applianceId } = this.epoch;
    const isOn = (one: Operation) => one.volumeId === volumeId && one.applianceId === applianceId;
    return this.refusals().find(({ operation }) => isOn(operation))?.operation ?? null;
  }

  takingSlots(): Operation[] {
    return [...this.runs.values()].filter(({ run }) => run.hasSlot).map(({ run }) => run.operation);
  }

  status(): RunningOperation[] {
    return [...this.runs.values()].map(({ run }) => ({ operation: run.operation, waiting: run.waiting }));
  }

  /** The running operation of this id, or null. */
  find(operationId: string): Operation | null {
    return this.runs.get(operationId)?.run.operation ?? null;
  }

  /**
   * Why what this operation has done, or that it begins, could not be written yet; null when all of it is.
   */
  whyUnwritten({ id, applianceId }: Operation): string | null {
    const own = this.runs.get(id);
    if (own) {
      const { waiting } = own.run;
      return waiting?.step === WRITING ? waiting.reason : null;
    }
    const refusal = this.refused.get(id) ?? this.refusedBefore.get(id);
    if (refusal) return refusal.reason;
    return applianceId === this.epoch.applianceId && !this.held.has(id) ? this.brokenOff : null;
  }

  /** The operation that runs on this volume, or null. */
  runningOn(volumeId: string): Operation | null {
    return this.running().find((operation) => operation.volumeId === volumeId) ?? null;
  }

  isBusyWith(volumeId: string): boolean {
    return this.runningOn(volumeId) !== null || this.heldOn(volumeId) !== null;
  }

  /** Tells the run of a cancel that the ledger has noted; the run honours it before its first effect. */
  noteCancel(operationId: string, caller: Caller | null): void {
    const run = this.runs.get(operationId)?.run;
    if (run) run.noteCancel(caller);
    else this.cancels.set(operationId, caller);
  }

  /** True once CloudStack has accepted anything for the operation: it can no longer be cancelled. */
  isCommitted(operationId: string): boolean {
    return this.runs.get(operationId)?.run.journal.hasEffect ?? false;
  }

  /**
   * Stops claiming, lets every run finish its step, and resolves when all have stopped or after `timeoutMs`.
   */
  async stop(timeoutMs: number): Promise<{ unfinished: number }> {
    this.stopping.abort();
    const all = Promise.allSettled([...this.runs.values()].map(({ ended }) => ended));
    await Promise.race([all, this.parts.clock.sleep(timeoutMs)]);
    return { unfinished: this.runs.size };
  }

  /** One at a time, so that an operation between claim and launch is never taken for an orphan. */
  private async pump(): Promise<PumpReport> {
    const report = { resumed: 0, claimed: 0 };
    try {
      while (this.pumpAgain && !this.stopping.signal.aborted) {
        this.pumpAgain = false;
        this.cancels.clear();
        if (this.resumeWanted) report.resumed += await this.resume();
        this.resolveStarted();
        report.claimed += await this.claim();
        this.brokenOff = null;
      }
    } catch (error) {
      // Nothing is claimed before another look.
      this.resumeWanted = true;
      this.failed(error);
    }
    this.resolveStarted();
    return report;
  }

  private async resume(): Promise<number> {
    // Who asks for a sweep from now on wants another look: for what has broken off since this one began.
    this.resumeWanted = false;
    // A run may end while the answer is under way, which then still names its operation. None begins
    // meanwhile.
    const running = new Set(this.runs.keys());
    this.refusedBefore = this.refused;
    // Each claim costs a transaction of its own: some of them at a sweep, in turn.
    const pending = [...this.refused].filter(([, { operation }]) => operation.status === 'pending');
    const notTried = pending.slice(LIMITS.CLAIM_BATCH);
    const refused: Refusals = new Map();
    const executing = await this.steps.use(() => this.parts.ledger.resumable(this.epoch, refused));
    this.refused = new Map([...notTried, ...refused]);
    const open = new Set([...executing.map(({ id }) => id), ...refused.keys()]);
    for (const id of this.held.keys()) if (!open.has(id)) this.held.delete(id);
    // What it has sent may still have its effect, as with every other that is held.
    for (const [id, { operation, reason }] of refused) {
      const isOurs = operation.applianceId === this.epoch.applianceId && operation.status === 'executing';
      if (isOurs && !running.has(id)) this.held.set(id, { ...operation, held: reason });
    }
    const orphans = executing.filter(({ id }) => !running.has(id) && !refused.has(id));
    let resumed = 0;
    for (const operation of orphans) {
      if (operation.held !== null || operation.type === 'unreadable') {
        await this.hold(operation, operation.held ?? 'its type is not known');
        continue;
      }
      resumed += 1;
      this.held.delete(operation.id);
      this.parts.logger.info('Operation resumed', {
        operation_id: operation.id,
        type: operation.type,
        volume_id: operation.volumeId,
      });
      this.launch(operation, null);
    }
    return resumed;
  }

  /** Everybody else goes on; what this one has done is not known, so its volume stays blocked. */
  private async hold(operation: Operation, reason: string): Promise<void> {
    try {
      await this.steps.use(() => this.parts.ledger.hold(this.epoch, operation.id, reason));
    } catch (error) {
      if (!mayRepeat(error)) throw error;
      void this.retry();
    }
    if (!this.held.has(operation.id))
      this.parts.logger.error('An operation is held: a person has to decide about it', {
        operation_id: operation.id,
        type: operation.type,
        volume_id: operation.volumeId,
        reason,
        remedy: 'volumectl operation retry, or volumectl operation abandon',
      });
    this.held.set(operation.id, { ...operation, held: reason });
  }

  private async claim(): Promise<number> {
    const room = Math.min(LIMITS.EXECUTING_MAX - this.runs.size, LIMITS.CLAIM_BATCH);
    if (room <= 0) return 0;
    const before = this.refused.size;
    const claimed = await this.steps.use(() => this.parts.ledger.claim(this.epoch, room, this.refused));
    const tried = claimed.length + this.refused.size - before;
    for (const { operation, journal } of claimed) {
      if (operation.held === null && operation.type !== 'unreadable') this.launch(operation, journal);
      else await this.hold(operation, operation.held ?? 'its type is not known');
    }
    // There may be more of them; what waits for another operation is looked for at its end.
    if (tried >= room) this.pumpAgain = true;
    else this.tellRefused();
    return claimed.length;
  }

  /** Nothing wakes the engine when what refuses them is mended. */
  private tellRefused(): void {
    for (const [operationId, { reason }] of this.refused)
      if (this.refusedBefore.get(operationId)?.reason !== reason)
        this.parts.logger.warn('The database refuses the row of an operation', {
          operation_id: operationId,
          reason,
        });
    this.refusedBefore = new Map(this.refused);
    if (this.refused.size > 0) void this.retry();
  }

  /** `claimed`: the journal of one that was just claimed; null: it is resumed. */
  private launch(operation: RunnableOperation, claimed: readonly JournalEntry[] | null): void {
    const { parts, epoch, steps } = this;
    const run = new OperationRun(
      { parts, epoch, steps, otherRuns: this, signal: this.stopping.signal },
      operation,
      claimed,
    );
    const ended = this.execute(run, claimed === null)
      .catch((error: unknown) => this.runFailed(run, error))
      .finally(() => {
        this.runs.delete(operation.id);
        void this.wake();
      });
    this.runs.set(operation.id, { run, ended });
    const cancel = this.cancels.get(operation.id);
    if (cancel !== undefined) run.noteCancel(cancel);
  }

  private async execute(run: OperationRun, resumed: boolean): Promise<void> {
    const { tracing, clock } = this.parts;
    const begun = { resumed, nowMs: clock.now() };
    const { ended } = await tracedRun(tracing, run.operation, begun, async () => ({
      ended: await run.toTheEnd(),
      held: run.held,
    }));
    if (run.held !== null) await this.hold(run.operation, run.held);
    if (!ended) return;
    this.lastPlaces.note(ended, run.journal);
    this.parts.events.ended(ended);
  }

  /** Resumes and claims again soon after a database fault; the periodic sweep would do it much later. */
  private async retry(): Promise<void> {
    if (this.retrying) return;
    this.retrying = true;
    await this.parts.clock.sleep(LIMITS.RETRY_BASE_MS, this.stopping.signal);
    this.retrying = false;
    void this.sweep();
  }

  /**
   * A programming error ends the process. That this operation has met it is noted first: an operation that
   * ends every process at the same step must not take everybody else along for ever.
   */
  private async runFailed(run: OperationRun, error: unknown): Promise<void> {
    const isExpected = error instanceof DaemonError && EXPECTED.includes(error.code);
    if (!isExpected && !this.stopping.signal.aborted) {
      const crash = { progress: run.journal.progress, error: messageOf(error) };
      const noted = this.parts.ledger.noteCrash(this.epoch, run.operation.id, crash).catch(() => undefined);
      await Promise.race([noted, this.parts.clock.sleep(LIMITS.CRASH_NOTE_MS)]);
    }
    this.failed(error);
  }

  /** Errors that no decision covers. Lease lost: the engine stops. Database away: it tries again soon. */
  private failed(error: unknown): void {
    if (this.stopping.signal.aborted) return;
    if (error instanceof DaemonError && error.code === 'LEASE_LOST') {
      this.stopping.abort();
      this.onLeaseLost();
      return;
    }
    if (error instanceof DaemonError && error.code === 'DATABASE_UNAVAILABLE') {
      // Once a second for as long as it is away.
      if (this.brokenOff !== error.message)
        this.parts.logger.warn('The engine waits for the database', { error });
      this.brokenOff = error.message;
      void this.retry();
      return;
    }
    this.parts.onFatal(error);
  }
}
