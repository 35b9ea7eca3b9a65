import { nearest } from '~/server/core/nearest';
import { UsageError } from '../exit';
import { paint, type Tone, visible, wrap } from './text';

export type Cell = string | number | null | undefined;

export interface Column<T> {
  /** The name for --columns, --sort and --filter; in capitals it is the heading. */
  readonly name: string;
  readonly value: (row: T) => Cell;
  /** In a table only with --columns or --output wide; a record shows every column. */
  readonly hidden?: boolean;
  readonly tone?: (row: T) => Tone;
  /** What is compared instead of the text: bytes, or a time in ms. */
  readonly amount?: Amount<T>;
}

interface Amount<T> extends Parsed {
  readonly of: (row: T) => number | null | undefined;
}

interface Parsed {
  /** Throws UsageError when the text is no such amount; `option` names where it was given. */
  readonly parse: (text: string, option: string) => number;
}

/** What is known of a column without its rows. */
export interface NamedColumn {
  readonly name: string;
  readonly hidden?: boolean;
  readonly amount?: Parsed;
}

interface Style {
  readonly headers: boolean;
  readonly color: boolean;
  /** Columns of the terminal; null when lines may have any length. */
  readonly width: number | null;
}

/** A last column that is narrower than this is not worth reading. */
const LAST_COLUMN_MIN = 24;

/** The columns of --columns, in that order; without it the columns that are not hidden. */
export function pick<C extends NamedColumn>(columns: readonly C[], wanted: string | undefined): readonly C[] {
  if (wanted === undefined) return columns.filter(({ hidden }) => !hidden);
  if (columns.length === 0) throw new UsageError('this command prints no columns');
  return wanted.split(',').map((name) => namedColumn(columns, name, '--columns'));
}

/** The column of this name. Throws UsageError with the nearest name. */
export function namedColumn<C extends NamedColumn>(columns: readonly C[], given: string, option: string): C {
  const name = given.trim().toLowerCase().replaceAll('-', '_');
  const found = columns.find((column) => column.name === name);
  if (found) return found;
  const names = columns.map((column) => column.name);
  const near = nearest(name, names);
  throw new UsageError(
    `${option}: there is no column ${JSON.stringify(given)}${near === null ? '' : `; did you mean ${near}?`}`,
    `The columns are ${names.join(', ')}.`,
  );
}

/**
 * One line for each row. Where the terminal is too narrow for that, the last column is wrapped; where that is
 * not enough, each row is printed as a record.
 */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[], style: Style): string {
  const cells = rows.map((row) => columns.map((column) => textOf(column, row)));
  const heads = columns.map(({ name }) => (style.headers ? name.toUpperCase().replaceAll('_', ' ') : ''));
  const widths = columns.map((_, index) =>
    Math.max(lengthOf(heads[index]), ...cells.map((line) => lengthOf(line[index]))),
  );
  const room = lastColumnRoom(widths, style.width);
  if (room !== null && room < LAST_COLUMN_MIN)
    return rows.map((row) => renderRecord(columns, row, style)).join('\n');
  const line = (texts: readonly string[], tone: (index: number) => Tone) => {
    const [head = '', ...rest] = wrapTo(texts.at(-1) ?? '', room);
    const before = texts.slice(0, -1).map((text, index) => {
      const gap = ' '.repeat(Math.max(0, (widths[index] ?? 0) - lengthOf(text)) + 2);
      return paint(tone(index), text, style.color) + gap;
    });
    const indent = ' '.repeat(widths.slice(0, -1).reduce((sum, width) => sum + width + 2, 0));
    const last = (text: string) => paint(tone(texts.length - 1), text, style.color);
    return [before.join('') + last(head), ...rest.map((text) => indent + last(text))]
      .map((text) => text.trimEnd())
      .join('\n');
  };
  const lines = rows.map((row, index) =>
    line(cells[index] ?? [], (column) => columns[column]?.tone?.(row) ?? 'plain'),
  );
  if (style.headers) lines.unshift(line(heads, () => 'bold'));
  return `${lines.join('\n')}\n`;
}

/** How wide the last column may be; null when everything fits. */
function lastColumnRoom(widths: readonly number[], width: number | null): number | null {
  if (width === null) return null;
  const before = widths.slice(0, -1).reduce((sum, one) => sum + one + 2, 0);
  return before + (widths.at(-1) ?? 0) <= width ? null : width - before;
}

export function renderRecord<T>(
  columns: readonly Column<T>[],
  row: T,
  { headers, color, width }: Style,
): string {
  const names = headers ? Math.max(...columns.map(({ name }) => name.length)) : 0;
  const lines = columns
    .map((column) => ({ column, text: textOf(column, row) }))
    .flatMap(({ column, text }) => {
      const tone = column.tone?.(row) ?? 'plain';
      if (!headers) return [paint(tone, text, color)];
      const room = width === null ? null : Math.max(LAST_COLUMN_MIN, width - names - 2);
      return wrapTo(text, room).map((part, index) =>
        `${paint('bold', (index === 0 ? column.name : '').padEnd(names), color)}  ${paint(tone, part, color)}`.trimEnd(),
      );
    });
  return `${lines.join('\n')}\n`;
}

function wrapTo(text: string, width: number | null): string[] {
  return width === null || lengthOf(text) <= width ? [text] : wrap(text, width);
}

function lengthOf(text = ''): number {
  return [...text].length;
}

function textOf<T>({ value }: Column<T>, row: T): string {
  const given = value(row);
  return given === null || given === undefined || given === '' ? '-' : visible(String(given));
}
