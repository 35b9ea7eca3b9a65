import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { Epoch, Ledger } from '~/server/model/ledger';
import type { NewOperation, OperationChange } from '~/server/model/ledger-writes';
import type { Operation, OperationType } from '~/server/model/operation';
import { APPLIANCE, T0 } from './fixtures';

/** One database; `open` gives another ledger on it, as another process would have. */
export interface LedgerWorld {
  open(options?: { pendingMax?: number }): Ledger;
  /** Everything was accepted when the machine's clock said so: by the clock of the database as well. */
  agreeOnTimes(): Promise<void>;
  /** Empties every table. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/**
 * What the tests of every concern start with: an empty database, a ledger on it, and its epoch. Times are
 * given, never read.
 */
export class LedgerSuite {
  private parts: { world: LedgerWorld; ledger: Ledger; epoch: Epoch } | null = null;

  /** Registers the hooks; call it inside a `describe`. */
  constructor(createWorld: () => Promise<LedgerWorld>) {
    let world: LedgerWorld;
    beforeAll(async () => {
      world = await createWorld();
    });
    beforeEach(async () => {
      await world.reset();
      const ledger = world.open();
      this.parts = { world, ledger, epoch: await ledger.takeOver(APPLIANCE, 'first') };
    });
    afterAll(() => world.close());
  }

  get world(): LedgerWorld {
    return this.begun.world;
  }

  get ledger(): Ledger {
    return this.begun.ledger;
  }

  get epoch(): Epoch {
    return this.begun.epoch;
  }

  readonly ask = async <T extends OperationType>(input: NewOperation<T>): Promise<Operation> =>
    (await this.ledger.accept(this.epoch, input)).operation;

  /** Accepts and claims. */
  readonly executing = async <T extends OperationType>(input: NewOperation<T>): Promise<Operation> => {
    const { id } = await this.ask(input);
    const claimed = (await this.ledger.claim(this.epoch, 100)).find(({ operation }) => operation.id === id);
    if (!claimed) throw new Error('not claimed');
    return claimed.operation;
  };

  readonly append = async (id: string, change: Partial<OperationChange>): Promise<void> => {
    const journal = await this.ledger.readJournal(id);
    await this.ledger.append(this.epoch, id, {
      after: journal.at(-1)?.sequence ?? 0,
      at: T0 + 1000,
      entries: [],
      ...change,
    });
  };

  readonly end = (
    id: string,
    status: 'completed' | 'failed' | 'cancelled' = 'completed',
    at = T0 + 1000,
  ): Promise<void> =>
    this.append(id, {
      at,
      end: {
        status,
        response: status === 'completed' ? { message: 'ok' } : null,
        error: status === 'failed' ? 'no' : null,
        errorCode: status === 'failed' ? 'VOLUME_BUSY' : null,
      },
    });

  private get begun(): { world: LedgerWorld; ledger: Ledger; epoch: Epoch } {
    if (this.parts === null) throw new Error('the suite has not begun');
    return this.parts;
  }
}
