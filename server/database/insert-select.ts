import { type RawBuilder, sql } from 'kysely';

/**
 * An INSERT of one row that is written only when the SELECT finds something, and so decides by itself.
 *
 * @param from what follows FROM
 * @example
 * insertSelect('journal', { step: 'claim' }, sql`operations o WHERE o.id = ${id}`).execute(db);
 */
export function insertSelect(
  table: string,
  row: Readonly<Record<string, unknown>>,
  from: RawBuilder<unknown>,
): RawBuilder<unknown> {
  const columns = sql.join(Object.keys(row).map((name) => sql.ref(name)));
  return sql`INSERT INTO ${sql.table(table)} (${columns}) SELECT ${sql.join(Object.values(row))} FROM ${from}`;
}
