import { type Clock, untilWholeSecond } from '../core/clock';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { judgeLease, LeaseWatch, type Owner } from '../model/lease';
import type { Epoch, Ledger } from '../model/ledger';
import { Engine } from '../operations/engine';
import type { EngineParts } from '../operations/parts';
import { fencedCloud } from './fenced-cloud';
import { KnownRow } from './known-row';
import type { LastWrittenStore } from './last-written-file';
import type { Instances } from './process-instance';

export interface OwnershipParts {
  readonly ledger: Pick<Ledger, 'readOwner' | 'takeOver' | 'renewLease' | 'releaseLease'>;
  readonly engineParts: EngineParts;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This process, as the row and a standby daemon show it: host, pid, address. */
  readonly owner: string;
  readonly instances: Instances;
  /** Absent: only what this process has seen itself counts. */
  readonly lastWritten?: LastWrittenStore;
}

/** An ownership, from its take-over to its end. */
interface Tenure {
  readonly engine: Engine;
  /** Monotonic ms until which it counts for us. */
  until: number;
  /** Why the last renewal failed; null: it did not. */
  unrenewed: string | null;
  /** Aborted when it is lost or given up. */
  readonly over: AbortController;
}

/**
 * One writer per appliance: two daemons would send the same mutation twice. Takes the lease in the row of the
 * appliance (../model/lease.ts has the rules), renews it, and runs the engine of that epoch. When the lease
 * has ended or somebody else has it, the engine stops at once; and because every write is checked against the
 * epoch, none of its late writes is accepted.
 */
export class Ownership {
  /** The owner of the appliance when it is another process, as it was last seen. */
  otherOwner: string | null = null;
  /** Why the last try to become the owner failed. */
  private trouble: string | null = null;
  /** What has failed since it was last settled who owns the appliance: each is logged once. */
  private readonly failing = new Set<'look' | 'take-over'>();
  private tenure: Tenure | null = null;
  private readonly row: KnownRow;
  private readonly stopping = new AbortController();
  private readonly watch = new LeaseWatch();
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly parts: OwnershipParts,
    private readonly onChange: (state: 'owner' | 'standby') => void,
  ) {
    this.row = new KnownRow(parts.lastWritten);
  }

  /** The engine while we own the appliance; judged by the clock whenever it is asked for. */
  get engine(): Engine | null {
    const { tenure } = this;
    return tenure !== null && this.isHeld(tenure) ? tenure.engine : null;
  }

  /** Tells later whether the lease that is held now is held still; what begins without one is never right. */
  watchTenure(): () => boolean {
    const { tenure } = this;
    return () => tenure !== null && this.isHeld(tenure);
  }

  /** The other owner, when the last look has shown it: while nobody can look it may have ended. */
  get shownOwner(): string | null {
    return this.trouble === null ? this.otherOwner : null;
  }

  /** Why the last try to become the owner failed; null: it did not. */
  get unsettled(): string | null {
    if (this.trouble === null) return null;
    return `it could not be settled who owns this appliance: ${this.trouble}`;
  }

  /** Why this daemon is not the owner. */
  get reason(): string {
    if (this.unsettled !== null) return this.unsettled;
    if (this.otherOwner !== null) return `another daemon owns this appliance: ${this.otherOwner}`;
    return 'the daemon is taking over the appliance';
  }

  /**
   * What a change is refused with while this daemon is not the owner. That another daemon owns the appliance
   * is said only of one that was seen by the last look.
   */
  get refusal(): DaemonError {
    if (this.trouble !== null)
      return new DaemonError('DATABASE_UNAVAILABLE', this.reason, { retryAfterSeconds: 2 });
    if (this.otherOwner !== null)
      return new DaemonError('STANDBY', `Another daemon owns this appliance: ${this.otherOwner}`, {
        details: { owner: this.otherOwner },
        retryAfterSeconds: 5,
      });
    return new DaemonError('STARTING', 'The daemon is taking over the appliance', { retryAfterSeconds: 1 });
  }

  /** Tries to become the owner, again and again until `stop`. */
  start(applianceId: string): void {
    this.loop = this.keepTrying(applianceId);
  }

  /**
   * Drains: no new steps, current steps end (≤ LIMITS.DRAIN_MS), the lease is released for the next owner.
   */
  async stop(): Promise<{ unfinished: number }> {
    this.stopping.abort();
    const { tenure } = this;
    const drained = (await tenure?.engine.stop(LIMITS.DRAIN_MS)) ?? { unfinished: 0 };
    await this.loop;
    this.tenure = null;
    tenure?.over.abort();
    if (tenure) await this.row.saveLast(tenure.engine.epoch.applianceId);
    if (tenure) await this.parts.ledger.releaseLease(tenure.engine.epoch).catch(() => undefined);
    return drained;
  }

  private isHeld({ until, over }: Tenure): boolean {
    return !over.signal.aborted && this.parts.clock.monotonic() < until;
  }

  private async keepTrying(applianceId: string): Promise<void> {
    const { clock } = this.parts;
    while (!this.stopping.signal.aborted) {
      await clock.sleep(await this.tryOnce(applianceId), this.stopping.signal);
    }
  }

  /** Looks, and owns when the appliance is free. Returns ms after which to look again. */
  private async tryOnce(applianceId: string): Promise<number> {
    let step: 'look' | 'take-over' = 'look';
    try {
      const seen = await this.parts.ledger.readOwner(applianceId);
      step = 'take-over';
      return await this.ownIfFree(applianceId, seen);
    } catch (error) {
      return this.failed(applianceId, step, error);
    }
  }

  private async ownIfFree(applianceId: string, seen: Owner | null): Promise<number> {
    const { ledger, clock, logger, instances, owner } = this.parts;
    const isOlder = seen !== null && (await this.row.isOlder(applianceId, seen));
    const unchangedMs = this.watch.unchangedMs(seen, clock.monotonic());
    const hasEnded = seen !== null && instances.hasEnded(seen.instance);
    const verdict = judgeLease({ owner: seen, unchangedMs, hasEnded });
    if (!verdict.free) {
      this.standBy(applianceId, seen);
      return Math.min(LIMITS.LEASE_LOOK_MS, verdict.waitMs);
    }
    // An old row may have been read from a node that lags: the next look shows the one that is.
    if (isOlder) throw older();
    if (this.stopping.signal.aborted) return 0;
    const sentAt = clock.monotonic();
    const epoch = await ledger.takeOver(applianceId, owner, { seen, instance: instances.mine });
    logger.info('This daemon owns the appliance', {
      appliance: applianceId,
      epoch: epoch.number,
      owner,
      because: verdict.because,
    });
    this.row.written(applianceId, { epoch: epoch.number, renewals: 0 });
    await this.own(epoch, sentAt);
    return 0;
  }

  /** Owner until the lease is lost or the daemon stops. */
  private async own(epoch: Epoch, sentAt: number): Promise<void> {
    const { engineParts, ledger } = this.parts;
    this.otherOwner = null;
    this.settled();
    const over = new AbortController();
    const isOwner = () => this.isHeld(tenure);
    const engine = new Engine({ ...engineParts, cloud: fencedCloud(engineParts.cloud, isOwner) }, epoch, () =>
      this.lose(tenure, 'another owner has taken over'),
    );
    const tenure: Tenure = { engine, until: sentAt + LIMITS.LEASE_HOLD_MS, unrenewed: null, over };
    if (this.stopping.signal.aborted) {
      await ledger.releaseLease(epoch);
      return;
    }
    this.tenure = tenure;
    void this.renew(tenure);
    void this.stopInTime(tenure);
    await Promise.race([engine.start(), aborted([over.signal])]);
    if (!over.signal.aborted) this.onChange('owner');
    await aborted([over.signal, this.stopping.signal]);
    if (this.stopping.signal.aborted && !over.signal.aborted) return;
    this.tenure = null;
    this.onChange('standby');
    await this.row.saveLast(epoch.applianceId);
  }

  /** Keeps the lease; also while the daemon drains. */
  private async renew(tenure: Tenure): Promise<void> {
    const { clock, ledger, logger } = this.parts;
    const { over, engine } = tenure;
    const { applianceId, number: epoch } = engine.epoch;
    for (;;) {
      const pauseMs =
        tenure.unrenewed === null
          ? untilWholeSecond(LIMITS.LEASE_RENEW_MS, clock.now())
          : LIMITS.LEASE_RETRY_MS;
      await clock.sleep(pauseMs, over.signal);
      if (over.signal.aborted) return;
      const sentAt = clock.monotonic();
      try {
        const renewals = await ledger.renewLease(engine.epoch);
        if (!over.signal.aborted) this.row.written(applianceId, { epoch, renewals });
        tenure.until = Math.max(tenure.until, sentAt + LIMITS.LEASE_HOLD_MS);
        tenure.unrenewed = null;
      } catch (error) {
        if (isLeaseLost(error))
          return this.lose(tenure, 'another owner has taken over, or the database is an older one');
        const reason = messageOf(error);
        if (tenure.unrenewed === null) logger.warn('The lease of the appliance was not renewed', { reason });
        tenure.unrenewed = reason;
      }
    }
  }

  /** Ends the tenure before its lease can have ended for others. */
  private async stopInTime(tenure: Tenure): Promise<void> {
    const { clock } = this.parts;
    while (this.isHeld(tenure)) {
      // Whole ms: the rest after rounding could be too short for a clock to show.
      const leftMs = Math.ceil(tenure.until - clock.monotonic());
      // Until the last moment only where nothing renews it.
      const pauseMs = leftMs < 1_500 ? leftMs : untilWholeSecond(leftMs - 500, clock.now());
      await clock.sleep(pauseMs, tenure.over.signal);
    }
    // What the next look would say, a second later.
    if (!tenure.over.signal.aborted) this.trouble = tenure.unrenewed;
    this.lose(tenure, 'its lease could not be renewed in time');
  }

  private lose({ engine, over }: Tenure, reason: string): void {
    if (over.signal.aborted) return;
    this.parts.logger.error('The ownership of the appliance is lost; nothing more is written', { reason });
    over.abort();
    void engine.stop(0);
  }

  private standBy(applianceId: string, seen: Owner | null): void {
    const owner = seen?.owner ?? 'unknown';
    if (this.otherOwner !== owner)
      this.parts.logger.info('Standing by: another daemon owns the appliance', {
        appliance: applianceId,
        owner,
      });
    this.otherOwner = owner;
    this.settled();
    this.onChange('standby');
  }

  private settled(): void {
    this.trouble = null;
    this.failing.clear();
  }

  private failed(applianceId: string, step: 'look' | 'take-over', error: unknown): number {
    // Somebody else was faster; the next look says who. Not at once: a proxy may let us read of a replica
    // that lags, where the row is not yet as it is, or never again.
    if (isLeaseLost(error)) return LIMITS.LEASE_RETRY_MS;
    this.trouble = messageOf(error);
    // Twice a second for as long as the database is away: health tells the reason that there is now. One that
    // answers, and is not taken, is another matter.
    if (!this.failing.has(step))
      this.parts.logger.warn('The ownership of the appliance could not be settled', {
        appliance: applianceId,
        reason: this.trouble,
      });
    this.failing.add(step);
    this.onChange('standby');
    return LIMITS.LEASE_LOOK_MS;
  }
}

function older(): DaemonError {
  return new DaemonError(
    'DATABASE_UNAVAILABLE',
    'the database is older than what this daemon has written to it, or seen in it (a restored backup, or a replica that lagged), and operations that have ended since could be done a second time; the runbook "The database was restored from a backup" says what to do',
  );
}

function isLeaseLost(error: unknown): boolean {
  return error instanceof DaemonError && error.code === 'LEASE_LOST';
}

/** Resolves when one of the signals has aborted. */
function aborted(signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      for (const signal of signals) signal.removeEventListener('abort', end);
      resolve();
    };
    for (const signal of signals) {
      if (signal.aborted) return end();
      signal.addEventListener('abort', end, { once: true });
    }
  });
}
