import type { Connection, RowDataPacket } from 'mysql2/promise';

/**
 * Questions to information_schema and changes that may be repeated. Names are constants of the migrations,
 * never input.
 */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean;
  readonly hasDefault: boolean;
  /** `auto_increment`, `virtual generated`, … */
  readonly extra: string;
  readonly charset: string | null;
  readonly collation: string | null;
}

export async function columnsOf(connection: Connection, table: string): Promise<Map<string, Column>> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT column_name AS name, column_type AS type, is_nullable AS nullable, column_default AS def, extra AS extra,
       character_set_name AS charset, collation_name AS coll
     FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position`,
    [table],
  );
  const columns = rows.map((row): Column => {
    const nullable = row.nullable === 'YES';
    return {
      name: String(row.name).toLowerCase(),
      type: String(row.type).toLowerCase(),
      nullable,
      hasDefault: row.def !== null || nullable,
      extra: String(row.extra ?? '').toLowerCase(),
      charset: row.charset === null ? null : String(row.charset),
      collation: row.coll === null ? null : String(row.coll),
    };
  });
  return new Map(columns.map((column) => [column.name, column]));
}

export async function addColumns(
  connection: Connection,
  table: string,
  columns: Readonly<Record<string, string>>,
): Promise<void> {
  const present = await columnsOf(connection, table);
  const missing = Object.entries(columns).filter(([name]) => !present.has(name));
  await alter(
    connection,
    table,
    missing.map(([name, definition]) => `ADD COLUMN ${name} ${definition}`),
  );
}

/**
 * Changes after which these columns take text in any language, as CloudStack and callers give it: the server
 * refuses what the character set of an adopted table does not have, and then the row cannot be written at
 * all. JSON columns have no character set of their own, or utf8mb4.
 */
export function takeAnyLanguage(
  columns: ReadonlyMap<string, Column>,
  types: Readonly<Record<string, string>>,
): string[] {
  return Object.entries(types).flatMap(([name, type]) => {
    const { charset = null, nullable = true } = columns.get(name) ?? {};
    if (charset === null || charset === 'utf8mb4') return [];
    return [`MODIFY COLUMN ${name} ${type} CHARACTER SET utf8mb4 ${nullable ? 'NULL' : 'NOT NULL'}`];
  });
}

/** One ALTER TABLE with these changes, or nothing when there are none. */
export async function alter(
  connection: Connection,
  table: string,
  changes: readonly string[],
): Promise<void> {
  if (changes.length > 0) await connection.query(`ALTER TABLE ${table} ${changes.join(', ')}`);
}

/**
 * Changes that give time columns milliseconds. What may be empty stays so: other programs write their own
 * rows, and a time that nobody knows is not made up.
 */
export async function preciseTimes(
  connection: Connection,
  table: string,
  names: readonly string[],
): Promise<string[]> {
  const columns = await columnsOf(connection, table);
  const changes: string[] = [];
  for (const name of names) {
    const column = columns.get(name);
    if (!column || column.type.includes('(3)')) continue;
    const type = column.type.startsWith('datetime') ? 'DATETIME(3)' : 'TIMESTAMP(3)';
    const onUpdate = name === 'updated_at' ? ' ON UPDATE CURRENT_TIMESTAMP(3)' : '';
    const empty = column.nullable ? 'NULL' : 'NOT NULL';
    changes.push(`MODIFY COLUMN ${name} ${type} ${empty} DEFAULT CURRENT_TIMESTAMP(3)${onUpdate}`);
  }
  return changes;
}

/** Columns of other programs that would refuse our inserts (NOT NULL without a default) become nullable. */
export async function relax(connection: Connection, table: string, ours: ReadonlySet<string>): Promise<void> {
  const foreign = [...(await columnsOf(connection, table)).values()].filter(
    ({ name, hasDefault, extra }) =>
      !ours.has(name) && !hasDefault && !extra.includes('auto_increment') && !extra.includes('generated'),
  );
  await alter(
    connection,
    table,
    foreign.map((column) => `MODIFY COLUMN \`${column.name}\` ${column.type} ${charsetClause(column)} NULL`),
  );
}

interface Index {
  readonly name: string;
  readonly unique: boolean;
  readonly columns: readonly string[];
}

async function indexesOf(connection: Connection, table: string): Promise<Index[]> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT index_name AS name, non_unique AS many, column_name AS col FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? ORDER BY index_name, seq_in_index',
    [table],
  );
  const indexes = new Map<string, Index>();
  for (const row of rows) {
    const name = String(row.name);
    const before = indexes.get(name);
    indexes.set(name, {
      name,
      unique: Number(row.many) === 0,
      columns: [...(before?.columns ?? []), String(row.col).toLowerCase()],
    });
  }
  return [...indexes.values()];
}

/** Adds an index unless one with the same columns exists under whatever name. */
export async function addIndex(
  connection: Connection,
  table: string,
  name: string,
  columns: readonly string[],
): Promise<void> {
  if ((await indexesOn(connection, table, columns)).length === 0)
    await connection.query(`ALTER TABLE ${table} ADD INDEX ${name} (${columns.join(', ')})`);
}

/** As addIndex; one that is not unique is none. */
export async function addUnique(
  connection: Connection,
  table: string,
  name: string,
  columns: readonly string[],
): Promise<void> {
  if (!(await indexesOn(connection, table, columns)).some(({ unique }) => unique))
    await connection.query(`ALTER TABLE ${table} ADD UNIQUE INDEX ${name} (${columns.join(', ')})`);
}

async function indexesOn(connection: Connection, table: string, columns: readonly string[]) {
  const indexes = await indexesOf(connection, table);
  return indexes.filter((index) => index.columns.join() === columns.join());
}

/** Drops unique indexes on exactly these columns (never the primary key). */
export async function dropUnique(
  connection: Connection,
  table: string,
  columns: readonly string[],
): Promise<void> {
  for (const index of await indexesOf(connection, table)) {
    if (index.unique && index.name !== 'PRIMARY' && index.columns.join() === columns.join())
      await connection.query(`ALTER TABLE ${table} DROP INDEX \`${index.name}\``);
  }
}

export async function indexNames(connection: Connection, table: string): Promise<Set<string>> {
  return new Set((await indexesOf(connection, table)).map(({ name }) => name));
}

export async function hasForeignKey(connection: Connection, table: string, name: string): Promise<boolean> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT 1 FROM information_schema.table_constraints WHERE table_schema = DATABASE() AND table_name = ?
       AND constraint_name = ? AND constraint_type = 'FOREIGN KEY'`,
    [table, name],
  );
  return rows.length > 0;
}

/** The `CHARACTER SET … COLLATE …` of a text column, which a foreign key to it must repeat; else ''. */
export function charsetClause(column: Pick<Column, 'charset' | 'collation'> | undefined): string {
  const safe = /^[a-z0-9_]+$/i;
  const { charset, collation } = column ?? {};
  return charset && collation && safe.test(charset) && safe.test(collation)
    ? `CHARACTER SET ${charset} COLLATE ${collation}`
    : '';
}

/** True when the column exists and is not computed from another one. */
export function isReal(columns: ReadonlyMap<string, Column>, name: string): boolean {
  const column = columns.get(name);
  return column !== undefined && !column.extra.includes('generated');
}

/**
 * The specification calls the column of the volume `volume_id`, the live system `volume_uuid`. The one
 * that is there stays the real one, because its program, its triggers and its views write it; the other
 * becomes a readable alias.
 */
export async function addVolumeAlias(connection: Connection, table: string): Promise<void> {
  const columns = await columnsOf(connection, table);
  const real = isReal(columns, 'volume_id') ? 'volume_id' : 'volume_uuid';
  const alias = real === 'volume_id' ? 'volume_uuid' : 'volume_id';
  await addColumns(connection, table, { [alias]: `VARCHAR(64) GENERATED ALWAYS AS (${real}) VIRTUAL` });
  await addIndex(connection, table, `idx_${table}_${alias}_alias`, [alias]);
}

/** A table whose ids are texts had them made by its program; from now on the database can make them. */
export async function giveIds(connection: Connection, table: string): Promise<string[]> {
  const id = (await columnsOf(connection, table)).get('id');
  if (!id?.type.startsWith('varchar') || id.hasDefault) return [];
  return [`MODIFY COLUMN id ${id.type} ${charsetClause(id)} NOT NULL DEFAULT (uuid())`];
}
