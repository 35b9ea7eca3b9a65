import type { CompiledQuery, Kysely } from 'kysely';
import type { Tables } from './tables';

/**
 * A query whose text is built at its first use and kept: later only the ids are given that it looks for, as
 * many as there are. Building one costs as much as sending it.
 *
 * @param build with a list of one id, any, and no other values
 * @example
 * const byId = compiledForIds((db) =>
 *   db.selectFrom('device_mappings').selectAll().where('volume_id', 'in', ['']),
 * );
 * const rows = await database.query((db) => byId(db, volumeIds));
 */
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

/**
 * The same for a statement that is sent with others (see Database.packet).
 *
 * @param build with any values; their order is that of `values`
 */
export function statementOnce<Row>(
  build: (db: Kysely<Tables>) => CompiledQuery<Row>,
): (db: Kysely<Tables>, values: readonly unknown[]) => CompiledQuery<Row> {
  let compiled: CompiledQuery<Row> | null = null;
  return (db, values) => {
    compiled ??= build(db);
    return { ...compiled, parameters: values };
  };
}
