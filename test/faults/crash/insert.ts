/** An INSERT as the daemon sends it: column names and rows of literals as text. */
export interface Insert {
  readonly table: string;
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** null when the statement is no INSERT … VALUES. */
export function parseInsert(text: string): Insert | null {
  const head = /^insert into `?(\w+)`?\s*\(([^)]*)\)\s*values\s*/i.exec(text);
  if (!head) return null;
  const [whole, table = '', list = ''] = head;
  const columns = list.split(',').map((column) => column.trim().replaceAll('`', ''));
  const rows = tuplesOf(text.slice(whole.length)).map((values) =>
    Object.fromEntries(columns.map((column, index) => [column, values[index] ?? ''])),
  );
  return { table, rows };
}

/** `('a', 1), ('b', NULL)` → [['a', '1'], ['b', 'NULL']]. Backslashes escape, as mysql2 writes them. */
function tuplesOf(text: string): string[][] {
  const tuples: string[][] = [];
  let values: string[] = [];
  for (const [, open, string, word, close] of text.matchAll(/(\()|'((?:[^'\\]|\\.)*)'|([\w.:+-]+)|(\))/gs)) {
    if (open) values = [];
    else if (close) tuples.push(values);
    else values.push(string === undefined ? (word ?? '') : string.replace(/\\(.)/gs, '$1'));
  }
  return tuples;
}
