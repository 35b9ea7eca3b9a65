import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Accepted, Epoch, NewOperation } from '../../model/ledger';

/** What became of one request of a group. */
export type Answer = Accepted | DaemonError;

interface Waiting {
  readonly epoch: Epoch;
  readonly input: NewOperation;
  readonly resolve: (accepted: Accepted) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Stores requests that arrive during a transaction together in the next one, so that under load many share
 * its round trips and its wait for the disk. A single request does not wait. One transaction at a time keeps
 * the count of waiting operations exact and the order of arrival.
 */
export class GroupCommit {
  private waiting: Waiting[] = [];
  private running = false;

  /** `store` is one transaction; its answers have the order of the requests. */
  constructor(private readonly store: (epoch: Epoch, inputs: readonly NewOperation[]) => Promise<Answer[]>) {}

  add(epoch: Epoch, input: NewOperation): Promise<Accepted> {
    if (this.waiting.length >= LIMITS.DATABASE_QUEUE)
      return Promise.reject(
        new DaemonError(
          'DATABASE_UNAVAILABLE',
          `The database is slow: ${LIMITS.DATABASE_QUEUE} requests wait already`,
          { retryAfterSeconds: 5 },
        ),
      );
    return new Promise((resolve, reject) => {
      this.waiting.push({ epoch, input, resolve, reject });
      this.next();
    });
  }

  private next(): void {
    const [first] = this.waiting;
    if (!first || this.running) return;
    // A group has one epoch; a take-over may come between two requests.
    const end = this.waiting.findIndex(({ epoch }) => epoch.number !== first.epoch.number);
    const group = this.waiting.splice(0, Math.min(end < 0 ? Infinity : end, LIMITS.ACCEPT_GROUP_SIZE));
    this.running = true;
    void this.settle(group).finally(() => {
      this.running = false;
      this.next();
    });
  }

  private async settle(group: readonly Waiting[]): Promise<void> {
    const [first] = group;
    if (!first) return;
    try {
      const answers = await this.store(
        first.epoch,
        group.map(({ input }) => input),
      );
      for (const [index, { resolve, reject }] of group.entries()) {
        const answer = answers[index];
        if (answer === undefined || answer instanceof DaemonError) reject(answer);
        else resolve(answer);
      }
    } catch (error) {
      // A fault of the database or the epoch concerns all; any other is found by storing one by one.
      if (group.length === 1 || concernsAll(error)) for (const { reject } of group) reject(error);
      else for (const one of group) await this.settle([one]);
    }
  }
}

function concernsAll(error: unknown): boolean {
  return (
    error instanceof DaemonError && (error.code === 'LEASE_LOST' || error.code === 'DATABASE_UNAVAILABLE')
  );
}
