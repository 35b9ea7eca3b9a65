import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { Epoch, Ledger } from '../model/ledger';
import type { OwnershipLock } from '../model/ownership-lock';
import { Engine } from '../operations/engine';
import type { EngineParts } from '../operations/parts';

export interface OwnershipParts {
  readonly lock: OwnershipLock;
  readonly ledger: Ledger;
  readonly engineParts: EngineParts;
  readonly clock: Clock;
  readonly logger: Logger;
  /** This process, as the row and a standby daemon show it: host, pid, address. */
  readonly owner: string;
}

/**
 * One writer per appliance: two daemons would send the same mutation twice. Holds the named lock, raises the
 * epoch, and runs the engine of that epoch. When the lock is lost the engine stops at once, and because every
 * write is checked against the epoch, none of its late writes is accepted.
 */
export class Ownership {
  engine: Engine | null = null;
  /** The owner of the appliance when it is another process. */
  otherOwner: string | null = null;
  /** Why the last try to become the owner failed. */
  private trouble: string | null = null;
  private readonly stopping = new AbortController();
  private loop: Promise<void> = Promise.resolve();
  private lost = new AbortController();

  constructor(
    private readonly parts: OwnershipParts,
    private readonly onChange: (state: 'owner' | 'standby') => void,
  ) {
    parts.lock.onLost((reason) => this.onOwnershipLost(reason));
  }

  /** Why this daemon is not the owner. */
  get reason(): string {
    if (this.trouble !== null) return `it could not be settled who owns this appliance: ${this.trouble}`;
    if (this.otherOwner !== null) return `another daemon owns this appliance: ${this.otherOwner}`;
    return 'the daemon is taking over the appliance';
  }

  /** Tries to become the owner, again and again until `stop`. */
  start(applianceId: string): void {
    this.loop = this.strive(applianceId);
  }

  /** Drains: no new steps, current steps end (≤ LIMITS.DRAIN_MS), the lock is released for the next owner. */
  async stop(): Promise<{ unfinished: number }> {
    this.stopping.abort();
    const drained = (await this.engine?.stop(LIMITS.DRAIN_MS)) ?? { unfinished: 0 };
    await this.loop;
    this.engine = null;
    await this.parts.lock.release().catch(() => undefined);
    return drained;
  }

  private async strive(applianceId: string): Promise<void> {
    const { clock, logger } = this.parts;
    while (!this.stopping.signal.aborted) {
      try {
        // Created before the lock is taken: it can be lost at any moment after that.
        this.lost = new AbortController();
        if (await this.parts.lock.acquire(applianceId)) await this.own(applianceId);
        else await this.standBy(applianceId);
      } catch (error) {
        this.engine = null;
        this.trouble = messageOf(error);
        logger.warn('The ownership of the appliance could not be settled', {
          appliance: applianceId,
          reason: messageOf(error),
        });
        this.onChange('standby');
      }
      await clock.sleep(LIMITS.OWNERSHIP_RETRY_MS, this.stopping.signal);
    }
  }

  /** Owner until the lock is lost or the daemon stops. */
  private async own(applianceId: string): Promise<void> {
    const epoch: Epoch = await this.parts.ledger.takeOver(applianceId, this.parts.owner);
    this.otherOwner = null;
    this.trouble = null;
    const engine = new Engine(this.parts.engineParts, epoch, () =>
      this.onOwnershipLost('another owner has taken over'),
    );
    this.engine = engine;
    this.parts.logger.info('This daemon owns the appliance', {
      appliance: applianceId,
      epoch: epoch.number,
      owner: this.parts.owner,
    });
    await engine.start();
    this.onChange('owner');
    await until(AbortSignal.any([this.lost.signal, this.stopping.signal]));
    if (!this.lost.signal.aborted) return;
    void engine.stop(0);
    this.engine = null;
    this.onChange('standby');
    await this.parts.lock.release().catch(() => undefined);
  }

  private async standBy(applianceId: string): Promise<void> {
    const current = await this.parts.ledger.readOwner(applianceId);
    const owner = current?.owner ?? 'unknown';
    if (this.otherOwner !== owner)
      this.parts.logger.info('Standing by: another daemon owns the appliance', {
        appliance: applianceId,
        owner,
      });
    this.otherOwner = owner;
    this.trouble = null;
    this.onChange('standby');
  }

  private onOwnershipLost(reason: string): void {
    if (this.lost.signal.aborted) return;
    this.parts.logger.error('The ownership of the appliance is lost; nothing more is written', { reason });
    this.lost.abort();
    void this.engine?.stop(0);
  }
}

function until(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
