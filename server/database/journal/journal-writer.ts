import { type CompiledQuery, sql } from 'kysely';
import { Batcher, fulfilled } from '../../core/concurrency/batcher';
import { LIMITS } from '../../core/limits';
import type { Epoch } from '../../model/ledger';
import type { StatementResult } from '../connection/packet';
import type { Database } from '../connection/pool';

/** What is to be written for one operation, in the order in which it is sent. */
export interface PlannedWrite {
  readonly epoch: Epoch;
  readonly operationId: string;
  /** The first of them must fail where this epoch does not execute the operation (see fencedEntry). */
  readonly statements: readonly CompiledQuery[];
  /** Other programs may lock what it changes: nobody else is to wait for them. */
  readonly alone: boolean;
}

/** What each statement wrote; null when it has to be looked up whether any of it was written. */
export type Written = readonly StatementResult[] | null;

/**
 * Sends what running operations write. What comes while a packet is under way goes together in the next
 * one: one round trip and one wait for the disk for all of them. Each write is durable before its
 * promise resolves. One that is refused takes the others of its packet along; they are then done one by
 * one by whoever asked.
 */
export class JournalWriter {
  private readonly batcher = new Batcher<PlannedWrite, Written>(
    (writes) => this.sendAll(writes),
    LIMITS.JOURNAL_GROUP_SIZE,
  );

  constructor(private readonly database: Database) {}

  write(planned: PlannedWrite): Promise<Written> {
    if (!planned.alone) return this.batcher.add(planned);
    return this.send('effects', [planned]).then((written) => written?.slice(1) ?? null);
  }

  private async sendAll(
    writes: readonly PlannedWrite[],
  ): Promise<readonly PromiseFulfilledResult<Written>[]> {
    const written = await this.send('journal', writes);
    let next = 1;
    return writes.map(({ statements }) => {
      const begin = next;
      next += statements.length;
      return fulfilled(written?.slice(begin, next) ?? null);
    });
  }

  private send(lane: 'journal' | 'effects', writes: readonly PlannedWrite[]): Promise<Written> {
    return this.database.packet(lane, [this.lock(writes), ...writes.flatMap(({ statements }) => statements)]);
  }

  /**
   * Shared on the rows of the appliance and the operations until COMMIT: a take-over and a reader of the
   * feed wait for the packet, and what the entries look at stays as it is. By the key: no other row is
   * waited for. Columns are not compared: in an adopted database the two tables may have collations that the
   * server does not mix.
   */
  private lock(writes: readonly PlannedWrite[]): CompiledQuery {
    const appliances = sql.join([...new Set(writes.map(({ epoch }) => epoch.applianceId))]);
    const operations = sql.join(writes.map(({ operationId }) => operationId));
    return sql`SELECT a.epoch FROM appliances a JOIN volume_operations o FORCE INDEX (PRIMARY)
      ON o.appliance_id IN (${appliances}) AND o.id IN (${operations})
      WHERE a.id IN (${appliances}) LOCK IN SHARE MODE`.compile(this.database.kysely);
  }
}
