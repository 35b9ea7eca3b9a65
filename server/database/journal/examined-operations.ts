import { type RawBuilder, sql } from 'kysely';
import { journalFlaw } from '../../model/journal-flaw';
import { isTerminal, JOURNAL_STATES, type Operation, STEPS, TELLING_STATES } from '../../model/operation';
import type { Database } from '../connection/pool';
import { ReadById } from '../read-by-id';
import { isJsonObject, toOperation } from '../rows';
import { readJournal } from './read-journal';

/** Between the data of two entries, as in RFC 7464: never part of valid JSON. */
const SEPARATOR = '\u001e';

/** Bytes are compared: a collation takes `Intent` as `intent`. */
const oneOf = (column: RawBuilder<unknown>, words: readonly string[]) =>
  sql`CAST(${column} AS BINARY) IN (${sql.join(words.map((word) => sql.lit(word)))})`;
const STATE = sql`s.state`;
const WORDS_KNOWN = sql`${oneOf(STATE, JOURNAL_STATES)}
  AND (${oneOf(STATE, TELLING_STATES)} OR ${oneOf(sql`s.step`, STEPS)})`;

/**
 * With the data of all entries in one text. That it is JSON is not asked of the database: MariaDB takes
 * more for valid than JSON.parse. The data of an entry whose words are not known is left empty.
 */
const rows = (database: Database) =>
  new ReadById(
    database,
    (db) =>
      db
        .selectFrom('volume_operations as o')
        .selectAll('o')
        .select(
          sql<string | null>`IF(o.status IN ('pending', 'executing'), NULL, (SELECT GROUP_CONCAT(
        IF(${WORDS_KNOWN} AND LOCATE(${sql.lit(SEPARATOR)}, s.data) = 0, s.data, '')
        SEPARATOR ${sql.lit(SEPARATOR)}) FROM volume_operation_steps s WHERE s.operation_id = o.id))`.as(
            'journal',
          ),
        )
        .where('o.id', 'in', ['']),
    ({ id }) => id,
  );

/**
 * See Ledger.readExamined: one round trip. The journal itself is read only when one of its
 * entries is doubtful.
 */
export class ExaminedOperations {
  private readonly rows: ReturnType<typeof rows>;

  constructor(private readonly database: Database) {
    this.rows = rows(database);
  }

  async read(id: string): Promise<Operation | null> {
    const row = await this.rows.read(id);
    if (!row) return null;
    const operation = toOperation(row);
    if (!isTerminal(operation.status) || operation.held !== null) return operation;
    if (row.journal === null || row.journal.split(SEPARATOR).every(isJsonObject)) return operation;
    return { ...operation, held: journalFlaw(await readJournal(this.database, id)) };
  }
}
