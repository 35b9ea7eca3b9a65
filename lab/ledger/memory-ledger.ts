import { type Random, systemRandom } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { keyReused, mayJoin, queueFull } from '~/server/database/accept/deduplication';
import { firstEntry, newOperation } from '~/server/database/accept/new-operation';
import { endEntry } from '~/server/database/journal/append-change';
import { leaseLost } from '~/server/database/journal/fencing';
import { abandonedText } from '~/server/database/journal/hold-operation';
import { findOpenJobs } from '~/server/database/journal/open-jobs';
import { sameEntries } from '~/server/database/journal/write-journal';
import { hasKeyExpired, type Pruned, type Pruning, whyClocksDiffer } from '~/server/model/age';
import { changedOperation, storedText } from '~/server/model/changed-operation';
import type { Claim, Owner } from '~/server/model/lease';
import {
  type CancelOutcome,
  type Crash,
  crashText,
  type Epoch,
  type Ledger,
  type OpenJob,
  type Release,
  volumeBusy,
} from '~/server/model/ledger';
import type {
  Accepted,
  Claimed,
  MappingEffect,
  NewOperation,
  OperationChange,
  Refusals,
} from '~/server/model/ledger-writes';
import {
  CANCELLED_UNCHANGED,
  type Caller,
  callerNames,
  isTerminal,
  type JournalEntry,
  type JsonObject,
  type NewJournalEntry,
  type Operation,
  type OperationType,
} from '~/server/model/operation';
import { MemoryReads, provesOurs } from './memory-reads';
import { applyToStore, MemoryStore, type StoredOperation, type StoredOwner } from './memory-store';

interface MemoryLedgerParts {
  readonly store?: MemoryStore;
  /** Wall clock ms. */
  readonly now: () => number;
  /** Wall clock ms of the database server, which leases are measured by; `now` unless it has its own. */
  readonly databaseNow?: () => number;
  readonly random?: Random;
  readonly pendingMax?: number;
}

/**
 * The ledger without a database, for simulation and tests; the same contract suite tests both. Every method
 * is one synchronous step, and so as atomic as a transaction.
 */
export class MemoryLedger extends MemoryReads implements Ledger {
  private readonly now: () => number;
  private readonly databaseNow: () => number;
  private readonly random: Random;
  private readonly pendingMax: number;

  constructor(parts: MemoryLedgerParts) {
    super(parts.store ?? new MemoryStore());
    this.now = parts.now;
    this.databaseNow = parts.databaseNow ?? parts.now;
    this.random = parts.random ?? systemRandom;
    this.pendingMax = parts.pendingMax ?? LIMITS.PENDING_MAX;
  }

  async probe(): Promise<number> {
    return this.databaseNow();
  }

  async takeOver(applianceId: string, owner: string, claim?: Claim): Promise<Epoch> {
    const before = this.store.appliances.get(applianceId);
    if (claim && !isAsSeen(before, claim.seen)) throw leaseLost();
    const number = (before?.epoch ?? 0) + 1;
    this.store.appliances.set(applianceId, {
      epoch: number,
      owner,
      renewals: 0,
      since: this.now(),
      instance: claim?.instance ?? '',
      leaseUntil: this.databaseNow() + LIMITS.LEASE_MS,
    });
    return { applianceId, number };
  }

  async readOwner(applianceId: string): Promise<Owner | null> {
    const row = this.store.appliances.get(applianceId);
    if (!row) return null;
    const { leaseUntil: until, ...owner } = row;
    return { ...owner, lease: until === null ? null : { until, leftMs: until - this.databaseNow() } };
  }

  readNeighbour(applianceId: string): Promise<Owner | null> {
    return this.readOwner(applianceId);
  }

  async renewLease(epoch: Epoch): Promise<number> {
    this.assertEpoch(epoch);
    const renewals = (this.store.appliances.get(epoch.applianceId)?.renewals ?? 0) + 1;
    this.setLease(epoch, { leaseUntil: this.databaseNow() + LIMITS.LEASE_MS, renewals });
    return renewals;
  }

  async releaseLease(epoch: Epoch): Promise<void> {
    this.setLease(epoch, { leaseUntil: null });
  }

  private setLease({ applianceId, number }: Epoch, change: Partial<StoredOwner>): void {
    const row = this.store.appliances.get(applianceId);
    if (row?.epoch === number) this.store.appliances.set(applianceId, { ...row, ...change });
  }

  async accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
    this.assertEpoch(epoch);
    const repeated = this.byIdempotencyKey(epoch, input) ?? this.identicalLast(epoch, input);
    if (repeated) return repeated;
    if (this.mine(epoch.applianceId, ['pending']).length >= this.pendingMax) throw queueFull(this.pendingMax);
    const operation = newOperation(epoch.applianceId, input, this.store.nextSequence());
    this.store.operations.set(input.id, {
      operation,
      requestHash: input.requestHash,
      acceptedAt: this.databaseNow(),
      epoch: 0,
    });
    const [entry] = this.write(epoch.applianceId, input.id, 0, input.at, [firstEntry(input)]);
    return { operation, outcome: 'accepted', ...(entry ? { entry } : {}) };
  }

  private byIdempotencyKey(epoch: Epoch, input: NewOperation): Accepted | null {
    if (input.idempotencyKey === null) return null;
    const found = this.all().find(
      ({ operation }) =>
        operation.applianceId === epoch.applianceId && operation.idempotencyKey === input.idempotencyKey,
    );
    if (!found) return null;
    const acceptedAt = { localMs: found.operation.createdAt, databaseMs: found.acceptedAt };
    if (hasKeyExpired(acceptedAt, this.databaseNow(), input)) {
      this.patch(found, { idempotencyKey: null });
      return null;
    }
    if (found.requestHash !== input.requestHash) throw keyReused(found.operation.id);
    return { operation: found.operation, outcome: 'replayed' };
  }

  private identicalLast(epoch: Epoch, input: NewOperation): Accepted | null {
    const unfinished = this.mine(epoch.applianceId, ['pending', 'executing']);
    const last = unfinished.findLast(({ operation, requestHash }) =>
      input.volumeId === '' ? requestHash === input.requestHash : operation.volumeId === input.volumeId,
    );
    if (!last || !mayJoin(last.operation, last.requestHash, input)) return null;
    // It takes the key of the request when it has none; see Ledger.accept.
    const idempotencyKey = last.operation.idempotencyKey ?? input.idempotencyKey;
    this.patch(last, { idempotencyKey });
    return { operation: { ...last.operation, idempotencyKey }, outcome: 'joined' };
  }

  async resumable(epoch: Epoch): Promise<Operation[]> {
    this.assertEpoch(epoch);
    const executing = this.mine(epoch.applianceId, ['executing']);
    for (const stored of executing)
      this.store.operations.set(stored.operation.id, { ...stored, epoch: epoch.number });
    return executing.map(({ operation }) => operation);
  }

  async claim(epoch: Epoch, limit: number, refused: Refusals = new Map()): Promise<Claimed[]> {
    const waiting = new Set<string>();
    const candidates = this.mine(epoch.applianceId, ['pending']).filter(({ operation: { id, volumeId } }) => {
      const first = volumeId === '' || (!waiting.has(volumeId) && !this.isExecuting(volumeId));
      waiting.add(volumeId);
      return first && !refused.has(id);
    });
    if (candidates.length > 0) this.assertEpoch(epoch);
    const claim = this.random.uuid();
    return candidates.slice(0, limit).map((stored) => {
      const at = this.now();
      const operation: Operation = { ...stored.operation, status: 'executing', updatedAt: at };
      this.store.operations.set(operation.id, { ...stored, operation, epoch: epoch.number });
      this.write(epoch.applianceId, operation.id, 1, at, [
        { step: 'operation', state: 'executing', data: { epoch: epoch.number, claim } },
      ]);
      return { operation, journal: this.journal(operation.id) };
    });
  }

  async append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]> {
    this.assertEpoch(epoch);
    const stored = this.store.operations.get(operationId);
    const entries = [...change.entries, ...endEntry(change)];
    const there = this.journal(operationId).filter(({ sequence }) => sequence > change.after);
    if (there.length > 0) {
      if (sameEntries(there, entries)) return there;
      throw leaseLost();
    }
    if (
      stored?.operation.status !== 'executing' ||
      stored.epoch !== epoch.number ||
      stored.operation.applianceId !== epoch.applianceId
    )
      throw leaseLost();
    const { volumeId } = change;
    if (volumeId !== undefined && volumeId !== stored.operation.volumeId && this.isExecuting(volumeId))
      throw volumeBusy(volumeId);
    applyToStore(this.store, change.effects ?? [], change.at);
    this.patch(stored, changedOperation(stored.operation, change));
    return this.write(epoch.applianceId, operationId, change.after, change.at, entries);
  }

  async requestCancel(
    epoch: Epoch,
    operationId: string,
    caller: Caller | null = null,
  ): Promise<CancelOutcome> {
    this.assertEpoch(epoch);
    const stored = this.store.operations.get(operationId);
    if (!stored || stored.operation.applianceId !== epoch.applianceId) return 'missing';
    const at = this.now();
    if (stored.operation.status === 'executing') {
      const before = stored.operation;
      const cancelRequestedBy = before.cancelRequested ? before.cancelRequestedBy : caller;
      this.patch(stored, { cancelRequested: true, cancelRequestedBy, updatedAt: at });
      return 'requested';
    }
    if (isTerminal(stored.operation.status)) return 'ended';
    this.patch(stored, {
      status: 'cancelled',
      error: CANCELLED_UNCHANGED,
      cancelRequested: true,
      cancelRequestedBy: caller,
      updatedAt: at,
      completedAt: at,
      held: null,
    });
    this.write(epoch.applianceId, operationId, 1, at, [
      { step: 'operation', state: 'cancelled', data: callerNames(caller) },
    ]);
    return 'cancelled';
  }

  async hold(epoch: Epoch, operationId: string, reason: string): Promise<void> {
    this.assertEpoch(epoch);
    const stored = this.store.operations.get(operationId);
    if (stored?.operation.status === 'executing' && stored.operation.held === null)
      this.patch(stored, { held: storedText(reason) });
  }

  async noteCrash(epoch: Epoch, operationId: string, { progress, error }: Crash): Promise<void> {
    this.assertEpoch(epoch);
    const stored = this.store.operations.get(operationId);
    if (stored?.operation.status !== 'executing' || stored.epoch !== epoch.number) return;
    const before = stored.crashes;
    const count = before?.progress === progress ? before.count + 1 : 1;
    const held =
      count >= LIMITS.CRASHES_UNTIL_HELD ? storedText(crashText(count, error)) : stored.operation.held;
    this.patch({ ...stored, crashes: { count, progress } }, { held });
  }

  async retryHeld(epoch: Epoch, operationId: string, caller: Caller | null = null): Promise<Release> {
    const held = this.held(epoch, operationId);
    if (typeof held === 'string') return held;
    const { operation, crashes: _forgotten, ...stored } = held;
    const after = this.journal(operationId).at(-1)?.sequence ?? 0;
    this.patch({ ...stored, operation }, { held: null });
    this.write(epoch.applianceId, operationId, after, this.now(), [
      {
        step: 'operation',
        state: 'note',
        data: { released: 'retry', held: operation.held, ...callerNames(caller) },
      },
    ]);
    return 'released';
  }

  async abandonHeld(
    epoch: Epoch,
    operationId: string,
    caller: Caller | null = null,
    because: string | null = null,
  ): Promise<Release> {
    const held = this.held(epoch, operationId, because);
    if (typeof held === 'string') return held;
    const at = this.now();
    const journal = this.journal(operationId);
    const error = abandonedText(held.operation.held ?? because ?? '', journal);
    const errorCode = 'OPERATION_ABANDONED';
    this.patch(held, {
      status: 'failed',
      error,
      errorCode,
      held: null,
      updatedAt: at,
      completedAt: at,
      nextAttemptAt: null,
      waitReason: null,
    });
    this.write(epoch.applianceId, operationId, journal.at(-1)?.sequence ?? 0, at, [
      { step: 'operation', state: 'failed', data: { error, error_code: errorCode, ...callerNames(caller) } },
    ]);
    return 'released';
  }

  private held(
    epoch: Epoch,
    operationId: string,
    because: string | null = null,
  ): StoredOperation | 'not-held' | 'missing' {
    this.assertEpoch(epoch);
    const stored = this.store.operations.get(operationId);
    if (stored?.operation.applianceId !== epoch.applianceId) return 'missing';
    const { status, held } = stored.operation;
    const isOpen = status === 'executing' || (because !== null && status === 'pending');
    return isOpen && (held ?? because) !== null ? stored : 'not-held';
  }

  async settleOpenJob(epoch: Epoch, job: OpenJob, data: JsonObject): Promise<JournalEntry[]> {
    this.assertEpoch(epoch);
    const { operationId, step, jobId } = job;
    const journal = this.journal(operationId);
    const open = findOpenJobs(journal).find((one) => one.step === step && one.jobId === jobId);
    if (!open) return [];
    return this.write(epoch.applianceId, operationId, journal.at(-1)?.sequence ?? 0, this.now(), [
      { step: open.step, state: 'finished', data: { job_id: jobId, ...data } },
    ]);
  }

  async auditedChange(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<JournalEntry> {
    this.assertEpoch(epoch);
    applyToStore(this.store, effects, this.now());
    const entry = {
      id: this.store.nextEntryId(),
      operationId: '',
      sequence: 0,
      at: this.now(),
      ...plain(audit),
    };
    this.store.entries.push({ applianceId: epoch.applianceId, entry });
    return entry;
  }

  async noteAdoptionShown(epoch: Epoch): Promise<void> {
    this.assertEpoch(epoch);
    const { adoption } = this.store;
    if (adoption?.shownAt === null) this.store.adoption = { ...adoption, shownAt: this.databaseNow() };
  }

  async prune(epoch: Epoch, pruning: Pruning): Promise<Pruned> {
    this.assertEpoch(epoch);
    const { ageMs, localNowMs, keepNewest, limit } = pruning;
    const refused = whyClocksDiffer(this.databaseNow(), localNowMs);
    if (refused !== null) return { deleted: 0, refused };
    const olderThanMs = this.databaseNow() - ageMs;
    const kept = new Set(
      this.all()
        .slice(Math.max(0, this.all().length - keepNewest))
        .map(({ operation }) => operation.id),
    );
    const entries = this.store.entries.filter(({ applianceId }) => applianceId === epoch.applianceId);
    const keptEntries = new Set(keepNewest === 0 ? [] : entries.slice(-keepNewest));
    const [open] = this.mine(epoch.applianceId, ['pending', 'executing']);
    const isOld = ({ completedAt }: Operation) => completedAt !== null && completedAt < olderThanMs;
    const old = this.mine(epoch.applianceId, ['completed', 'failed', 'cancelled'])
      .filter(({ acceptedAt }) => acceptedAt < olderThanMs)
      .map(({ operation }) => operation)
      .filter((operation) => !kept.has(operation.id) && isOld(operation))
      .filter(({ sequence }) => open === undefined || sequence < open.operation.sequence)
      .filter((operation) => !this.isReliedOn(operation, isOld))
      .sort((a, b) => (a.completedAt ?? 0) - (b.completedAt ?? 0))
      .slice(0, limit);
    const gone = new Set(old.map(({ id }) => id));
    for (const id of gone) this.store.operations.delete(id);
    this.store.entries = this.store.entries.filter((stored) => {
      const { applianceId, entry } = stored;
      if (entry.operationId !== '') return !gone.has(entry.operationId);
      return applianceId !== epoch.applianceId || keptEntries.has(stored) || entry.at >= olderThanMs;
    });
    return { deleted: old.length, refused: null };
  }

  /** See Ledger.prune. */
  private isReliedOn(operation: Operation, isOld: (later: Operation) => boolean): boolean {
    const { id, volumeId, sequence } = operation;
    if (volumeId === '') return false;
    if (findOpenJobs(this.journal(id)).length > 0) return true;
    if (!provesOurs(operation)) return false;
    return !this.all().some(
      ({ operation: later }) =>
        later.volumeId === volumeId &&
        later.sequence > sequence &&
        isOld(later) &&
        (provesOurs(later) || hasDeleted(later)),
    );
  }

  private assertEpoch(epoch: Epoch): void {
    if (this.store.appliances.get(epoch.applianceId)?.epoch !== epoch.number) throw leaseLost();
  }

  private patch(stored: StoredOperation, fields: Partial<Omit<Operation, 'type' | 'request'>>): void {
    this.store.operations.set(stored.operation.id, {
      ...stored,
      operation: { ...stored.operation, ...fields },
    });
  }

  private write(
    applianceId: string,
    operationId: string,
    after: number,
    at: number,
    entries: readonly NewJournalEntry[],
  ): JournalEntry[] {
    const written = entries.map((entry, index) => ({
      id: this.store.nextEntryId(),
      operationId,
      sequence: after + index + 1,
      at,
      ...plain(entry),
    }));
    for (const entry of written) this.store.entries.push({ applianceId, entry });
    return written;
  }
}

/** A delete into the trash has not: the volume may have been recovered. */
function hasDeleted({ type, status, response }: Operation): boolean {
  return type === 'delete' && status === 'completed' && response?.recoverable !== true;
}

function isAsSeen(row: StoredOwner | undefined, seen: Owner | null): boolean {
  if (row === undefined || seen === null) return row === undefined && seen === null;
  return row.epoch === seen.epoch && row.leaseUntil === (seen.lease?.until ?? null);
}

/** A copy that shares nothing with the writer's objects, as a row would be. */
function plain(entry: NewJournalEntry): NewJournalEntry {
  return { ...entry, data: JSON.parse(JSON.stringify(entry.data)) };
}
