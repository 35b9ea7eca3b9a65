import type { Transaction } from 'kysely';
import type { JournalEntry } from '../operations/model';
import { append, entriesOf, noteEnd, patch } from './append';
import type { EffectParts } from './effects';
import { requireEpoch } from './epoch';
import { GroupQueue } from './group-queue';
import type { Epoch, OperationChange } from './ledger';
import type { Database } from './pool';
import type { Tables } from './tables';
import { insertJournals, journalsAfter } from './write-journal';

/** One change of one operation. */
interface Append {
  readonly operationId: string;
  readonly change: OperationChange;
}

/** Writes changes of operations (see Ledger.append); those that come at the same time share a transaction. */
export class Appender {
  private readonly queue: GroupQueue<Append, JournalEntry[]>;

  constructor(
    private readonly database: Database,
    private readonly parts: () => Promise<EffectParts>,
  ) {
    this.queue = new GroupQueue(async (epoch, inputs) => {
      const [only, ...more] = inputs;
      if (only && more.length === 0) return [await this.alone(epoch, only)];
      return database.transaction((tx) => appendTogether(tx, epoch, inputs));
    });
  }

  append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]> {
    const one = { operationId, change };
    return isPlain(change) ? this.queue.add(epoch, one) : this.alone(epoch, one);
  }

  private async alone(epoch: Epoch, { operationId, change }: Append): Promise<JournalEntry[]> {
    return append(this.database, epoch, operationId, change, await this.parts());
  }
}

/** Rows that others write too (mappings, the hub's), or may have to wait for, must not hold up a group. */
function isPlain({ effects = [], volumeId }: OperationChange): boolean {
  return effects.length === 0 && volumeId === undefined;
}

/**
 * The plain changes of several operations. Nothing is made of what one of them meets (a change that had been committed before, an
 * operation that is not executing): whatever is unusual rolls all of them back, and the queue writes them one by one.
 */
async function appendTogether(
  tx: Transaction<Tables>,
  epoch: Epoch,
  group: readonly Append[],
): Promise<JournalEntry[][]> {
  await requireEpoch(tx, epoch);
  for (const { operationId, change } of group) {
    if (!(await patch(tx, epoch, operationId, change))) throw new Error(`${operationId} is not executing`);
  }
  await insertJournals(
    tx,
    group.map(({ operationId, change }) => ({
      where: { applianceId: epoch.applianceId, operationId, after: change.after, at: change.at },
      entries: entriesOf(change),
    })),
  );
  // The numbers that the database gave; of an operation that ends the whole journal, for what it leaves behind.
  const journals = await journalsAfter(
    tx,
    group.map(({ operationId, change }) => ({ operationId, after: change.end ? 0 : change.after })),
  );
  const written: JournalEntry[][] = [];
  for (const { operationId, change } of group) {
    const journal = journals.filter((entry) => entry.operationId === operationId);
    if (change.end) await noteEnd(tx, operationId, journal);
    written.push(journal.filter(({ sequence }) => sequence > change.after));
  }
  return written;
}
