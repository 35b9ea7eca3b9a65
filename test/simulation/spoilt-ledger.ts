import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import type { Epoch, OperationFilter } from '~/server/model/ledger';
import type { Claimed, OperationChange, Refusals } from '~/server/model/ledger-writes';
import type { JournalEntry, Operation } from '~/server/model/operation';
import type { SpoiltRow } from './script-items';

/** What ends the process of whoever works on a poison operation. */
export class Poison extends Error {}

/** The ledger with rows that another version or another program has spoilt. */
export class SpoiltLedger extends MemoryLedger {
  /** By the id of the operation. */
  readonly spoilt = new Map<string, SpoiltRow>();
  /** Operations whose journal somebody has read who could not understand it. */
  private readonly notUnderstood = new Set<string>();
  /** Told of an operation that is carried on by somebody who does not understand its journal. */
  onBlindAct: (operationId: string) => void = () => {};

  mend(id: string): void {
    this.spoilt.delete(id);
    this.notUnderstood.delete(id);
  }

  override async readOperation(id: string): Promise<Operation | null> {
    const operation = await super.readOperation(id);
    return operation && this.asRead(operation);
  }

  override async listOperations(filter: OperationFilter): Promise<Operation[]> {
    return (await super.listOperations(filter)).map((operation) => this.asRead(operation));
  }

  override async resumable(epoch: Epoch): Promise<Operation[]> {
    return (await super.resumable(epoch)).map((operation) => this.asRead(operation));
  }

  override async claim(epoch: Epoch, limit: number, refused?: Refusals): Promise<Claimed[]> {
    const claimed = await super.claim(epoch, limit, refused);
    return claimed.map(({ operation, journal }) => ({
      operation: this.asRead(operation),
      journal: this.entriesAsRead(operation.id, journal),
    }));
  }

  override async readJournal(id: string): Promise<JournalEntry[]> {
    return this.entriesAsRead(id, await super.readJournal(id));
  }

  private entriesAsRead(id: string, entries: readonly JournalEntry[]): JournalEntry[] {
    const last = entries.at(-1);
    if (this.spoilt.get(id)?.how !== 'journal' || !last) return [...entries];
    this.notUnderstood.add(id);
    const note = { ...last, state: 'note', unreadable: 'its state "hibernating" is not known' } as const;
    return [...entries.slice(0, -1), note];
  }

  override async append(epoch: Epoch, id: string, change: OperationChange): Promise<JournalEntry[]> {
    if (this.spoilt.get(id)?.how === 'poison') throw new Poison(`operation ${id} ends whoever works on it`);
    const written = await super.append(epoch, id, change);
    if (this.notUnderstood.has(id)) this.onBlindAct(id);
    return written;
  }

  private asRead(operation: Operation): Operation {
    const how = this.spoilt.get(operation.id)?.how;
    if (how === 'type')
      return { ...operation, type: 'unreadable', request: {}, held: 'its type is not known' };
    if (how === 'request')
      return { ...operation, held: operation.held ?? 'its request is not a JSON object' };
    return operation;
  }
}
