import { setMaxListeners } from 'node:events';
import { type Clock, type Random, sleepUntilAny } from '../core/clock';
import type { ClockSteps } from '../core/clock-steps';
import type { TurnGate } from '../core/concurrency/turn-gate';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { Epoch, Ledger, OperationFilter, Release } from '../model/ledger';
import {
  CANCELLED_UNCHANGED,
  type Caller,
  callerNames,
  isTerminal,
  type JournalEntry,
  type Operation,
  type OperationType,
  type RequestOf,
} from '../model/operation';
import type { OperationEvents } from '../model/operation-events';
import { abandonElsewhere } from './abandon-elsewhere';
import type { Engine } from './engine';
import { aboutRequest } from './new-request';

/** What the service uses of the daemon. */
export interface ServiceParts {
  readonly ledger: Ledger;
  readonly events: OperationEvents;
  readonly clock: Clock;
  readonly turns: TurnGate;
  readonly clockSteps: ClockSteps;
  readonly random: Random;
  readonly logger: Logger;
  readonly stopping: AbortSignal;
  /**
   * The engine of the current epoch; throws STANDBY, STARTING or STOPPING when this process may not write.
   */
  writer(): { engine: Engine; epoch: Epoch };
  /** Whether this process owns the appliance now. */
  isOwner(): boolean;
  /** The held operation that blocks this volume, or null. */
  heldOn(volumeId: string): Operation | null;
  /** The operation of this appliance that runs on this volume, or null. */
  runningOn(volumeId: string): Operation | null;
  /** The one that waits on this volume because the database refuses its row, or null. */
  refusedOn(volumeId: string): Operation | null;
  /** Why what this operation has done, or that it begins, could not be written yet; or null. */
  whyUnwritten(operation: Operation): string | null;
  /** The appliance whose journal is the feed. */
  applianceId(): string;
  /** Throws APPLIANCE_UNKNOWN when requests of this type cannot be served, or why this request is refused. */
  admit<T extends OperationType>(type: T, request: RequestOf[T]): void;
}

/**
 * What callers do with operations: request, read, list, cancel, wait ("Operation Tracking" in the
 * specification).
 */
export class OperationService {
  constructor(private readonly parts: ServiceParts) {
    // Every caller who waits listens to it, which is not the leak that Node would warn of.
    setMaxListeners(LIMITS.STOP_LISTENERS, parts.stopping);
  }

  /**
   * Accepts a request durably and returns the operation (`pending`, or the one it joined).
   * Throws STANDBY, STOPPING, APPLIANCE_UNKNOWN, QUEUE_FULL, IDEMPOTENCY_KEY_REUSED, DATABASE_UNAVAILABLE.
   */
  async request<T extends OperationType>(
    type: T,
    request: RequestOf[T],
    options: { idempotencyKey?: string | null; caller?: Caller } = {},
  ): Promise<Operation> {
    const { engine, epoch } = this.parts.writer();
    this.parts.admit(type, request);
    const id = this.parts.random.uuid();
    const { ledger, turns, clock, clockSteps } = this.parts;
    const accepted = await turns.urgently(() =>
      ledger.accept(epoch, {
        ...aboutRequest(type, request),
        id,
        idempotencyKey: options.idempotencyKey ?? null,
        caller: options.caller ?? null,
        at: clock.now(),
        clockStepped: clockSteps.hasSteppedSince(clock.monotonic() - LIMITS.IDEMPOTENCY_TTL_MS),
      }),
    );
    const { operation, outcome } = accepted;
    this.parts.logger.info(outcome === 'accepted' ? 'Operation accepted' : 'Request joined an operation', {
      operation_id: operation.id,
      type,
      volume_id: operation.volumeId,
      vm_id: operation.vmId,
      actor: options.caller?.actor,
      request_id: options.caller?.requestId,
      traceparent: options.caller?.traceparent ?? undefined,
      outcome,
    });
    if (accepted.entry) this.parts.events.publish([accepted.entry]);
    engine.wakeSoon();
    return this.withWaitReason(operation);
  }

  /** Throws OPERATION_NOT_FOUND. */
  async read(id: string): Promise<Operation> {
    return this.orNotFound(id, await this.parts.ledger.readOperation(id));
  }

  /** As `read`; of one that has ended, also says what of its journal is not understood. */
  async examined(id: string): Promise<Operation> {
    return this.orNotFound(id, await this.parts.ledger.readExamined(id));
  }

  private async orNotFound(id: string, operation: Operation | null): Promise<Operation> {
    if (operation === null) throw notFound(id);
    const [told = operation] = await this.withForeignBlockers([this.withWaitReason(operation)]);
    return told;
  }

  /** Newest first. */
  async list(filter: OperationFilter): Promise<Operation[]> {
    const found = await this.parts.ledger.listOperations(filter);
    return this.withForeignBlockers(found.map((operation) => this.withWaitReason(operation)));
  }

  /** Throws OPERATION_NOT_FOUND. */
  async journal(id: string): Promise<JournalEntry[]> {
    await this.read(id);
    return this.parts.ledger.readJournal(id);
  }

  /**
   * A pending operation is cancelled at once, an executing one before its next call to CloudStack. Throws
   * OPERATION_NOT_FOUND, TOO_LATE_TO_CANCEL.
   */
  async cancel(id: string, caller: Caller | null = null): Promise<Operation> {
    const { engine, epoch } = this.parts.writer();
    const tooLate = () =>
      new DaemonError(
        'TOO_LATE_TO_CANCEL',
        `Operation ${id} can no longer be cancelled: CloudStack has been asked, or it has ended`,
        { details: { operation_id: id } },
      );
    if (engine.isCommitted(id)) throw tooLate();
    const before = await this.parts.ledger.readOperation(id);
    if (before === null) throw notFound(id);
    const outcome = await this.parts.ledger.requestCancel(epoch, id, caller);
    const asked = {
      cancelRequested: true,
      cancelRequestedBy: before.cancelRequested ? before.cancelRequestedBy : caller,
    };
    switch (outcome) {
      case 'missing':
        throw await this.notOurs(id);
      case 'ended':
        throw tooLate();
      case 'requested':
        engine.noteCancel(id, caller);
        return this.readAfter({ ...before, ...asked });
      case 'cancelled': {
        const error = CANCELLED_UNCHANGED;
        const operation = await this.readAfter(
          this.asEnded({ ...before, ...asked, status: 'cancelled', error }),
        );
        await this.publishNewest(id);
        this.parts.events.ended(operation);
        void engine.wake();
        return operation;
      }
      default:
        return outcome satisfies never;
    }
  }

  /** A held operation is run again. Throws OPERATION_NOT_FOUND, OPERATION_NOT_HELD. */
  async retry(id: string, caller: Caller | null = null): Promise<Operation> {
    const { engine, epoch } = this.parts.writer();
    const before = await this.parts.ledger.readOperation(id);
    if (before === null) throw notFound(id);
    const outcome = await this.parts.ledger.retryHeld(epoch, id, caller);
    if (outcome === 'missing') throw await this.notOurs(id);
    assertReleased(id, outcome);
    await this.publishNewest(id);
    this.parts.logger.warn('A held operation is run again', { operation_id: id, ...callerNames(caller) });
    await engine.sweep();
    return this.readAfter({ ...before, held: null });
  }

  /**
   * A held operation ends as failed, and its error says what it may have left; so does one of an appliance
   * without a daemon that has not ended. Throws OPERATION_NOT_FOUND, OPERATION_NOT_HELD.
   */
  async abandon(id: string, caller: Caller | null = null): Promise<Operation> {
    const { engine, epoch } = this.parts.writer();
    const { ledger } = this.parts;
    const asked = await this.read(id);
    const isHere = asked.applianceId === epoch.applianceId;
    const outcome = isHere
      ? await ledger.abandonHeld(epoch, id, caller)
      : await abandonElsewhere({ ...this.parts, neighbours: engine.neighbours }, asked, caller);
    assertReleased(id, outcome);
    const because = asked.held === null ? '' : ` while it was held (${asked.held})`;
    const error = `Abandoned${because}. What it has left could not be read again: the database is away`;
    const operation = await this.readAfter(
      this.asEnded({ ...asked, status: 'failed', error, errorCode: 'OPERATION_ABANDONED' }),
    );
    this.parts.logger.warn('A held operation was abandoned', {
      operation_id: id,
      ...(isHere ? {} : { appliance: asked.applianceId }),
      reason: operation.error,
      ...callerNames(caller),
    });
    // The feed is that of this appliance.
    if (isHere) await this.publishNewest(id);
    this.parts.events.ended(operation);
    await engine.sweep();
    return operation;
  }

  /**
   * This appliance has no such operation. Another one with this database may have it, and then it is shown
   * here.
   */
  private async notOurs(id: string): Promise<DaemonError> {
    const theirs = await this.parts.ledger.readOperation(id);
    return notFound(id, theirs?.applianceId);
  }

  /**
   * Publishes the entry that the ledger has just written by itself. What was asked for is done: where the
   * database is away by now, the look at what was missed tells it.
   */
  private async publishNewest(id: string): Promise<void> {
    try {
      this.parts.events.publish((await this.parts.ledger.readJournal(id)).slice(-1));
    } catch (error) {
      assertAway(error);
    }
  }

  /**
   * An operation of which something that was asked for is done. Where the database is away by now, as that
   * has left it: told as not done, it would be asked for once more, and refused.
   */
  private async readAfter(left: Operation): Promise<Operation> {
    try {
      return await this.read(left.id);
    } catch (error) {
      assertAway(error);
      return left;
    }
  }

  /** It waits for nothing any more. */
  private asEnded(operation: Operation): Operation {
    const at = this.parts.clock.now();
    const rest = { held: null, waitReason: null, nextAttemptAt: null };
    return { ...operation, ...rest, updatedAt: at, completedAt: at };
  }

  /**
   * Says of an operation that waits behind one that is held, or waits itself, which it is. One that only has
   * its turn before this one is held up by nothing. Derived at every read, because the row of an operation
   * does not change with that of another one.
   */
  private withWaitReason(operation: Operation): Operation {
    const { status, held, volumeId } = operation;
    const unwritten = isTerminal(status) ? null : this.parts.whyUnwritten(operation);
    if (unwritten !== null) return { ...operation, waitReason: unwritten };
    if (status === 'executing' && held !== null) return { ...operation, waitReason: `held: ${held}` };
    if (status !== 'pending' || volumeId === '') return operation;
    const first =
      this.parts.heldOn(volumeId) ?? this.parts.runningOn(volumeId) ?? this.parts.refusedOn(volumeId);
    if (first === null) return operation;
    const reason = this.parts.whyUnwritten(first) ?? (first.held === null ? first.waitReason : null);
    const { id } = first;
    if (reason !== null)
      return { ...operation, waitReason: `operation ${id} on this volume waits itself: ${reason}` };
    if (first.held === null) return operation;
    return {
      ...operation,
      waitReason: `operation ${id} on this volume is held: retry or abandon that one first`,
    };
  }

  /** The same for those that wait behind an operation of another appliance, which may never come back. */
  private async withForeignBlockers(operations: readonly Operation[]): Promise<Operation[]> {
    const mayWait = ({ status, waitReason, volumeId }: Operation) =>
      status === 'pending' &&
      waitReason === null &&
      volumeId !== '' &&
      this.parts.runningOn(volumeId) === null;
    const volumes = new Set(operations.filter(mayWait).map(({ volumeId }) => volumeId));
    if (volumes.size === 0) return [...operations];
    const blockers = await this.parts.ledger.executingOn([...volumes]);
    return operations.map((operation) => {
      const blocker = mayWait(operation) ? blockers.get(operation.volumeId) : undefined;
      if (blocker === undefined || blocker.applianceId === operation.applianceId) return operation;
      const reason = `operation ${blocker.id} of appliance ${blocker.applianceId} executes on this volume; where that appliance is gone for good, abandon that one`;
      return { ...operation, waitReason: reason };
    });
  }

  /**
   * Resolves with the operation once it has ended, or as it is after `timeoutMs` or when the
   * daemon stops. The owner hears of every end of its appliance; for the others, or while it
   * stands by, a daemon has to look.
   */
  async waitForEnd(id: string, timeoutMs: number, signal?: AbortSignal): Promise<Operation> {
    const { clock, events, stopping } = this.parts;
    let ended: Operation | null = null;
    const done = new AbortController();
    const finish = (operation: Operation) => {
      ended = operation;
      done.abort();
    };
    const signals = [done.signal, stopping, ...(signal ? [signal] : [])];
    const until = clock.monotonic() + Math.min(timeoutMs, LIMITS.LONG_POLL_SECONDS * 1000);
    // Listens first and reads after, so that an end between the two is not missed.
    const unsubscribe = events.onEnd(id, finish);
    try {
      for (;;) {
        const current = ended ?? (await this.read(id));
        const isOver = () => signals.some(({ aborted }) => aborted) || clock.monotonic() >= until;
        if (isTerminal(current.status) || isOver()) return current;
        const hearsOfIt = () => this.parts.isOwner() && current.applianceId === this.parts.applianceId();
        for (let hears = true; hears && !isOver(); hears = hearsOfIt())
          await sleepUntilAny(clock, Math.min(until - clock.monotonic(), LIMITS.END_LOOK_MS), signals);
      }
    } finally {
      unsubscribe();
    }
  }

  /** Journal entries with an id above `after`, for event streams; `subscribe` reports new ones. */
  feed(after: number, limit: number): Promise<JournalEntry[]> {
    return this.parts.ledger.feed(this.parts.applianceId(), after, limit);
  }

  /** Entries below `after` that a reader who goes on from there may not have seen; see OperationEvents. */
  overtaken(after: number): JournalEntry[] {
    return this.parts.events.overtaken(after);
  }

  /** Called with every entry that this process writes or finds. Returns the unsubscribe function. */
  subscribe(listener: (entry: JournalEntry) => void): () => void {
    return this.parts.events.onEntry(listener);
  }
}

/** @param applianceId the other appliance whose operation it is; '' for one of the previous daemon */
function notFound(id: string, applianceId?: string): DaemonError {
  const known =
    applianceId === ''
      ? ' here: it is of the previous daemon'
      : ` here: it is of appliance ${applianceId}, and only its daemon cancels it or runs it again; where that is gone for good, abandon it`;
  return new DaemonError(
    'OPERATION_NOT_FOUND',
    `Operation ${id} not found${applianceId === undefined ? '' : known}`,
    {
      details: {
        operation_id: id,
        ...(applianceId === undefined ? {} : { appliance_id: applianceId }),
      },
    },
  );
}

/** Throws it again unless it says that the database is away. */
function assertAway(error: unknown): void {
  if (!(error instanceof DaemonError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
}

/** Throws OPERATION_NOT_FOUND, OPERATION_NOT_HELD. */
function assertReleased(id: string, outcome: Release): void {
  switch (outcome) {
    case 'released':
      return;
    case 'missing':
      throw notFound(id);
    case 'not-held':
      throw new DaemonError('OPERATION_NOT_HELD', `Operation ${id} is not held`, {
        details: { operation_id: id },
      });
    default:
      outcome satisfies never;
  }
}
