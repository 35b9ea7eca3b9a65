/** An INSERT as the daemon sends it: column names and rows of literals as text. */
export interface Insert {
  readonly table: string;
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/** null when the statement is no INSERT … VALUES and no INSERT … SELECT of literals. */
export function parseInsert(text: string): Insert | null {
  const head = /^\s*insert into `?(\w+)`?\s*\(([^)]*)\)\s*(values|select)\s*/i.exec(text);
  if (!head) return null;
  const [whole, table = '', list = '', form = ''] = head;
  const columns = list.split(',').map((column) => column.trim().replaceAll('`', ''));
  const rest = text.slice(whole.length);
  const rows = tuplesOf(/select/i.test(form) ? `(${rest.replace(FROM, '$1)')}` : rest).map((values) =>
    Object.fromEntries(columns.map((column, index) => [column, values[index] ?? ''])),
  );
  return { table, rows: /select/i.test(form) ? rows.slice(0, 1) : rows };
}

/** The literals before the first FROM that is not in one of them, and the rest. */
const FROM = /^((?:'(?:[^'\\]|\\.)*'|[^'])*?)\sfrom\s.*$/is;

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
