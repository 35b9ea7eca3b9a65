import type { CompiledQuery, Kysely } from 'kysely';
import type { Tables } from './tables';

/**
 * A query whose text is built at its first use and kept: later only its values are given. Building one costs
 * as much as sending it.
 *
 * @param build with any values; their order is that of `values`
 * @example
 * const byId = compiledOnce((db) => db.selectFrom('device_mappings').selectAll().where('volume_id', '=', ''));
 * const [row] = await database.query((db) => byId(db, [volumeId]));
 */
export function compiledOnce<Row>(
  build: (db: Kysely<Tables>) => { compile(): CompiledQuery<Row> },
): (db: Kysely<Tables>, values: readonly unknown[]) => Promise<Row[]> {
  const statement = statementOnce((db) => build(db).compile());
  return async (db, values) => (await db.executeQuery<Row>(statement(db, values))).rows;
}

/** The same for a list of ids of any length, which is all that the query is given. */
export function compiledForIds<Row>(
  build: (db: Kysely<Tables>) => { compile(): CompiledQuery<Row> },
): (db: Kysely<Tables>, ids: readonly string[]) => Promise<Row[]> {
  const statement = statementOnce((db) => build(db).compile());
  return async (db, ids) => {
    const one = statement(db, ids);
    const sql = one.sql.replace('in (?)', `in (?${', ?'.repeat(ids.length - 1)})`);
    return (await db.executeQuery<Row>({ ...one, sql })).rows;
  };
}

/** The same for a statement that is sent with others (see Database.packet). */
export function statementOnce<Row>(
  build: (db: Kysely<Tables>) => CompiledQuery<Row>,
): (db: Kysely<Tables>, values: readonly unknown[]) => CompiledQuery<Row> {
  let compiled: CompiledQuery<Row> | null = null;
  return (db, values) => {
    compiled ??= build(db);
    return { ...compiled, parameters: values };
  };
}
