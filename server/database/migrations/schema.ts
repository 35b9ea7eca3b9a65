import type { Connection, RowDataPacket } from 'mysql2/promise';

/** Questions to information_schema and changes that may be repeated. Names are constants of the migrations, never input. */
export async function columnsOf(connection: Connection, table: string): Promise<Map<string, { type: string; nullable: boolean; extra: string }>> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT column_name AS name, column_type AS type, is_nullable AS nullable, extra FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?',
    [table],
  );
  return new Map(rows.map((row) => [String(row.name).toLowerCase(), { type: String(row.type).toLowerCase(), nullable: row.nullable === 'YES', extra: String(row.extra ?? '').toLowerCase() }]));
}

export async function addColumns(connection: Connection, table: string, columns: Readonly<Record<string, string>>): Promise<void> {
  const present = await columnsOf(connection, table);
  const missing = Object.entries(columns).filter(([name]) => !present.has(name));
  if (missing.length === 0) return;
  await connection.query(`ALTER TABLE ${table} ${missing.map(([name, definition]) => `ADD COLUMN ${name} ${definition}`).join(', ')}`);
}

interface Index {
  readonly name: string;
  readonly unique: boolean;
  readonly columns: readonly string[];
}

export async function indexesOf(connection: Connection, table: string): Promise<Index[]> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT index_name AS name, non_unique AS many, column_name AS col FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? ORDER BY index_name, seq_in_index',
    [table],
  );
  const indexes = new Map<string, Index>();
  for (const row of rows) {
    const name = String(row.name);
    const before = indexes.get(name);
    indexes.set(name, { name, unique: Number(row.many) === 0, columns: [...(before?.columns ?? []), String(row.col).toLowerCase()] });
  }
  return [...indexes.values()];
}

/** Adds an index unless one with the same columns and uniqueness exists under whatever name. */
export async function addIndex(connection: Connection, table: string, name: string, columns: readonly string[], unique = false): Promise<void> {
  const same = (await indexesOf(connection, table)).some((index) => index.columns.join() === columns.join() && (index.unique || !unique));
  if (!same) await connection.query(`ALTER TABLE ${table} ADD ${unique ? 'UNIQUE ' : ''}INDEX ${name} (${columns.join(', ')})`);
}

/** Drops unique indexes on exactly these columns (never the primary key). */
export async function dropUnique(connection: Connection, table: string, columns: readonly string[]): Promise<void> {
  for (const index of await indexesOf(connection, table)) {
    if (index.unique && index.name !== 'PRIMARY' && index.columns.join() === columns.join()) await connection.query(`ALTER TABLE ${table} DROP INDEX \`${index.name}\``);
  }
}

/** Collation of an existing column, so that foreign keys to adopted tables can be made. */
export async function collationOf(connection: Connection, table: string, column: string): Promise<string> {
  const [rows] = await connection.query<RowDataPacket[]>(
    'SELECT character_set_name AS charset, collation_name AS collation FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?',
    [table, column],
  );
  const [row] = rows;
  const safe = /^[a-z0-9_]+$/i;
  const charset = String(row?.charset ?? '');
  const collation = String(row?.collation ?? '');
  return safe.test(charset) && safe.test(collation) ? `CHARACTER SET ${charset} COLLATE ${collation}` : '';
}
