import type { CompiledQuery, Kysely } from 'kysely';
import { Batcher, fulfilled } from '../core/concurrency/batcher';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import { compiledForIds } from './compiled-once';
import type { Database } from './connection/pool';
import { plainId } from './rows';
import type { Tables } from './tables';

/**
 * Reads one row of many that are asked for by id. What is asked for while a query is under way goes together
 * in the next one, so that nobody is told what was so before they asked; one alone does not wait.
 *
 * @example
 * const byId = new ReadById(
 *   database,
 *   (db) => db.selectFrom('volume_operations').selectAll().where('id', 'in', ['']),
 *   ({ id }) => id,
 * );
 * const row = await byId.read(operationId); // undefined when there is none
 */
export class ReadById<Row> {
  private readonly batcher: Batcher<string, Row | undefined>;

  /** @param build with a list of one id, and no other values */
  constructor(
    database: Pick<Database, 'query'>,
    build: (db: Kysely<Tables>) => { compile(): CompiledQuery<Row> },
    idOf: (row: Row) => string,
  ) {
    const query = compiledForIds(build);
    this.batcher = new Batcher(async (ids) => {
      const rows = await database.query((db) => query(db, [...new Set(ids)]));
      const found = new Map(rows.map((row) => [plainId(idOf(row)), row]));
      return ids.map((id) => fulfilled(found.get(plainId(id))));
    }, LIMITS.READ_GROUP_SIZE);
  }

  /** Throws DATABASE_UNAVAILABLE, also when too many wait already. */
  async read(id: string): Promise<Row | undefined> {
    if (this.batcher.waiting < LIMITS.DATABASE_QUEUE) return this.batcher.add(id);
    throw new DaemonError(
      'DATABASE_UNAVAILABLE',
      `The database is slow: ${LIMITS.DATABASE_QUEUE} reads wait already`,
      { retryAfterSeconds: 5 },
    );
  }
}
