/** An INSERT as the daemon sends it: column names and rows of literals as text. */
export interface Insert {
  readonly table: string;
  readonly rows: readonly Readonly<Record<string, string>>[];
}

/**
 * null when the statement is no INSERT … VALUES and no INSERT … SELECT. A value that is looked up,
 * `(SELECT …)`, is ''; of rows that are looked up by `o.id IN (…)` there is one for each of these.
 */
export function parseInsert(text: string): Insert | null {
  const head = /^\s*insert into `?(\w+)`?\s*\(([^)]*)\)\s*(values|select)\s*/i.exec(text);
  if (!head) return null;
  const [whole, table = '', list = '', form = ''] = head;
  const columns = list.split(',').map((column) => column.trim().replaceAll('`', ''));
  const rest = text.slice(whole.length);
  const rowOf = (values: readonly string[]) =>
    Object.fromEntries(columns.map((column, index) => [column, values[index] ?? '']));
  if (!/select/i.test(form)) return { table, rows: tuplesOf(rest).map(rowOf) };
  const [, literals = rest, from = ''] = FROM.exec(rest) ?? [];
  const [values = []] = tuplesOf(`(${literals})`);
  const [ids = []] = tuplesOf(/\bo\.id in (\([^)]*\))/i.exec(from)?.[1] ?? '');
  if (!values.includes(LOOKED_UP)) return { table, rows: [rowOf(values)] };
  return { table, rows: ids.map((id) => rowOf(values.map((value) => (value === LOOKED_UP ? id : value)))) };
}

/** The literals before the first FROM that is not in one of them, and the rest. */
const FROM = /^((?:'(?:[^'\\]|\\.)*'|[^'])*?)\sfrom\s(.*)$/is;

const LOOKED_UP = 'o.id';

/** `('a', 1), ('b', NULL)` → [['a', '1'], ['b', 'NULL']]. Backslashes escape, as mysql2 writes them. */
function tuplesOf(text: string): string[][] {
  const tuples: string[][] = [];
  let values: string[] = [];
  let depth = 0;
  for (const [, open, string, word, close] of text.matchAll(/(\()|'((?:[^'\\]|\\.)*)'|([\w.:+-]+)|(\))/gs)) {
    if (open) {
      depth += 1;
      if (depth === 1) values = [];
      if (depth === 2) values.push('');
    } else if (close) {
      depth -= 1;
      if (depth === 0) tuples.push(values);
    } else if (depth === 1)
      values.push(string === undefined ? (word ?? '') : string.replace(/\\(.)/gs, '$1'));
  }
  return tuples;
}
