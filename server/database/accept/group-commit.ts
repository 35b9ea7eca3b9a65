import { Batcher, fulfilled, rejected } from '../../core/concurrency/batcher';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Epoch, isSameEpoch } from '../../model/ledger';
import type { Accepted, NewOperation } from '../../model/ledger-writes';
import { isTooLarge } from '../connection/cluster-nodes';
import { isOfRow } from '../connection/faults';

/** What became of one request of a group. */
export type Answer = Accepted | DaemonError;

interface Request {
  readonly epoch: Epoch;
  readonly input: NewOperation;
}

type Result = PromiseSettledResult<Accepted>;

/**
 * Stores requests that arrive during a transaction together in the next one, so that under load many share
 * its round trips and its wait for the disk. A single request does not wait. One transaction at a time keeps
 * the count of waiting operations exact and the order of arrival.
 */
export class GroupCommit {
  private readonly batcher = new Batcher<Request, Accepted>(
    (requests) => this.settleAll(requests),
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
  private async settleAll(requests: readonly Request[]): Promise<readonly Result[]> {
    const [first] = requests;
    if (!first) return [];
    const change = requests.findIndex(({ epoch }) => !isSameEpoch(epoch, first.epoch));
    if (change === -1) return this.settle(requests);
    return [
      ...(await this.settle(requests.slice(0, change))),
      ...(await this.settleAll(requests.slice(change))),
    ];
  }

  private async settle(group: readonly Request[]): Promise<readonly Result[]> {
    const [first, ...others] = group;
    if (!first) return [];
    try {
      const answers = await this.store(
        first.epoch,
        group.map(({ input }) => input),
      );
      return answers.map((answer) => (answer instanceof DaemonError ? rejected(answer) : fulfilled(answer)));
    } catch (error) {
      // A fault of the database or the epoch concerns all; any other is found by storing one by one, and what
      // is too large together may be taken so.
      if (others.length === 0 || concernsAll(error)) return group.map(() => rejected(error));
      const results: Result[] = [];
      for (const one of group) results.push(...(await this.settle([one])));
      return results;
    }
  }
}

function concernsAll(error: unknown): boolean {
  return (
    error instanceof DaemonError &&
    (error.code === 'LEASE_LOST' ||
      (error.code === 'DATABASE_UNAVAILABLE' && !isTooLarge(error) && !isOfRow(error)))
  );
}
