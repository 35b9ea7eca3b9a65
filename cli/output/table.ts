import { UsageError } from '../exit';
import { paint, type Tone, visible } from './text';

export type Cell = string | number | boolean | null | undefined;

export interface Column<T> {
  /** The name for --columns; in capitals it is the heading. */
  readonly name: string;
  readonly value: (row: T) => Cell;
  /** In a table only with --columns; a record shows every column. */
  readonly hidden?: boolean;
  readonly tone?: (row: T) => Tone;
}

interface Style {
  readonly headers: boolean;
  readonly color: boolean;
}

/** The columns of --columns, in that order; without it the columns that are not hidden. */
export function pick<C extends { readonly name: string; readonly hidden?: boolean }>(
  columns: readonly C[],
  wanted: string | undefined,
): readonly C[] {
  if (wanted === undefined) return columns.filter(({ hidden }) => !hidden);
  if (columns.length === 0) throw new UsageError('this command prints no columns');
  return wanted.split(',').map((given) => {
    const name = given.trim().toLowerCase();
    const found = columns.find((column) => column.name === name);
    if (found) return found;
    throw new UsageError(
      `--columns: there is no column ${JSON.stringify(given)}`,
      `The columns are ${columns.map((column) => column.name).join(', ')}.`,
    );
  });
}

export function renderTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  { headers, color }: Style,
): string {
  const heads = columns.map(({ name }) => name.toUpperCase().replaceAll('_', ' '));
  const cells = rows.map((row) => columns.map((column) => textOf(column, row)));
  const widths = columns.map((_, index) =>
    Math.max(
      headers ? (heads[index]?.length ?? 0) : 0,
      ...cells.map((line) => [...(line[index] ?? '')].length),
    ),
  );
  const line = (texts: readonly string[], tone: (index: number) => Tone) =>
    texts
      .map((text, index) => {
        const gap = ' '.repeat(Math.max(0, (widths[index] ?? 0) - [...text].length));
        return paint(tone(index), text, color) + (index === texts.length - 1 ? '' : `${gap}  `);
      })
      .join('')
      .trimEnd();
  const lines = rows.map((row, index) =>
    line(cells[index] ?? [], (column) => columns[column]?.tone?.(row) ?? 'plain'),
  );
  if (headers) lines.unshift(line(heads, () => 'bold'));
  return `${lines.join('\n')}\n`;
}

export function renderRecord<T>(columns: readonly Column<T>[], row: T, { headers, color }: Style): string {
  const width = Math.max(...columns.map(({ name }) => name.length));
  const lines = columns
    .map((column) => ({ column, text: textOf(column, row) }))
    .map(({ column, text }) => {
      const value = paint(column.tone?.(row) ?? 'plain', text, color);
      return headers ? `${paint('bold', column.name.padEnd(width), color)}  ${value}`.trimEnd() : value;
    });
  return `${lines.join('\n')}\n`;
}

function textOf<T>({ value }: Column<T>, row: T): string {
  const given = value(row);
  return given === null || given === undefined || given === '' ? '-' : visible(String(given));
}
