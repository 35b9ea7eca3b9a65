import { Batcher, type Waiting } from '../../core/concurrency/batcher';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Accepted, Epoch, NewOperation } from '../../model/ledger';

/** What became of one request of a group. */
export type Answer = Accepted | DaemonError;

interface Request {
  readonly epoch: Epoch;
  readonly input: NewOperation;
}

/**
 * Stores requests that arrive during a transaction together in the next one, so that under load many share
 * its round trips and its wait for the disk. A single request does not wait. One transaction at a time keeps
 * the count of waiting operations exact and the order of arrival.
 */
export class GroupCommit {
  private readonly batcher = new Batcher<Request, Accepted>(
    (batch) => this.settleAll(batch),
    LIMITS.ACCEPT_GROUP_SIZE,
  );

  /** `store` is one transaction; its answers have the order of the requests. */
  constructor(private readonly store: (epoch: Epoch, inputs: readonly NewOperation[]) => Promise<Answer[]>) {}

  async add(epoch: Epoch, input: NewOperation): Promise<Accepted> {
    if (this.batcher.waiting < LIMITS.DATABASE_QUEUE) return this.batcher.add({ epoch, input });
    throw new DaemonError(
      'DATABASE_UNAVAILABLE',
      `The database is slow: ${LIMITS.DATABASE_QUEUE} requests wait already`,
      { retryAfterSeconds: 5 },
    );
  }

  /** A group has one epoch; a take-over may come between two requests. */
  private async settleAll(batch: readonly Waiting<Request, Accepted>[]): Promise<void> {
    const [first] = batch;
    if (!first) return;
    const isFirst = ({ input }: Waiting<Request, Accepted>) =>
      input.epoch.number === first.input.epoch.number;
    await this.settle(batch.filter(isFirst));
    await this.settleAll(batch.filter((one) => !isFirst(one)));
  }

  private async settle(group: readonly Waiting<Request, Accepted>[]): Promise<void> {
    const [first] = group;
    if (!first) return;
    try {
      const answers = await this.store(
        first.input.epoch,
        group.map(({ input }) => input.input),
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
