import { UsageError } from '../exit';
import { type Cell, type Column, type NamedColumn, namedColumn } from './table';

/** Which rows of a list are printed, and in which order. */
export interface RowChoice {
  /** Names of columns, the most significant one first. */
  readonly sort: string | undefined;
  readonly reverse: boolean;
  /** Conditions separated by commas, like `status=failed,size>10Gi`. */
  readonly filter: string | undefined;
}

const OPERATORS = ['!=', '!~', '>=', '<=', '=', '~', '>', '<'] as const;
type Operator = (typeof OPERATORS)[number];

/** One condition of --filter. */
interface Condition<C> {
  readonly column: C;
  readonly operator: Operator;
  readonly value: string;
  /** The value as an amount of the column; null for columns of text and of plain numbers. */
  readonly amount: number | null;
}

/** Throws UsageError when a column does not exist, or a value cannot be compared with it. */
export function checkChoice(columns: readonly NamedColumn[], { sort, filter }: RowChoice): void {
  sortKeys(columns, sort);
  conditions(columns, filter);
}

/** The chosen rows, in the chosen order. Throws what `checkChoice` throws. */
export function choose<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  { sort, reverse, filter }: RowChoice,
): readonly T[] {
  const wanted = conditions(columns, filter);
  const keys = sortKeys(columns, sort);
  const chosen = rows.filter((row) => wanted.every((condition) => isMet(condition, row)));
  if (keys.length === 0) return reverse ? chosen.reverse() : chosen;
  return chosen.sort((a, b) => {
    for (const column of keys) {
      const order = compare(amountOf(column, a), amountOf(column, b), { reverse });
      if (order !== 0) return order;
    }
    return 0;
  });
}

function sortKeys<C extends NamedColumn>(columns: readonly C[], sort: string | undefined): C[] {
  return sort === undefined ? [] : sort.split(',').map((name) => namedColumn(columns, name, '--sort'));
}

function conditions<C extends NamedColumn>(
  columns: readonly C[],
  filter: string | undefined,
): Condition<C>[] {
  return filter === undefined ? [] : filter.split(',').map((text) => conditionOf(columns, text.trim()));
}

function conditionOf<C extends NamedColumn>(columns: readonly C[], text: string): Condition<C> {
  const [, name = '', word = '', value = ''] = /^([\w-]+)\s*([!=~<>]+)\s*(.*)$/.exec(text) ?? [];
  const operator = OPERATORS.find((one) => one === word);
  if (operator === undefined)
    throw new UsageError(
      `--filter ${text} is not a condition`,
      'Write it like status=failed, name~web or size>10Gi; several with commas between them.',
    );
  const column = namedColumn(columns, name, '--filter');
  const orders = operator !== '~' && operator !== '!~';
  if (isNone(value) && operator !== '=' && operator !== '!=')
    throw new UsageError(`--filter ${text} has no value to compare with`);
  const amount = orders && !isNone(value) ? column.amount?.parse(value, `--filter ${name}`) : null;
  return { column, operator, value: value.toLowerCase(), amount: amount ?? null };
}

/**
 * Amounts (bytes, times, numbers) are compared as amounts, everything else as text without regard to case. An
 * absent value is equal to `-` only, and neither larger nor smaller than anything.
 */
function isMet<T>({ column, operator, value, amount }: Condition<Column<T>>, row: T): boolean {
  const shown = column.value(row);
  const text = isAbsent(shown) ? '' : String(shown).toLowerCase();
  if (operator === '~') return text.includes(value);
  if (operator === '!~') return !text.includes(value);
  const given = amountOf(column, row);
  if (isNone(value)) return isAbsent(given) === (operator === '=');
  if (isAbsent(given)) return operator === '!=';
  if (typeof given === 'number') return holds(given - (amount ?? numberIn(value, column)), operator);
  // The order of numbers within names says that web-1 and web-01 are level: they are not the same.
  if (operator === '=' || operator === '!=') return (text === value) === (operator === '=');
  return holds(compare(text, value), operator);
}

/** Only its rows tell that a column is one of plain numbers. */
function numberIn(value: string, { name }: NamedColumn): number {
  const number = Number(value);
  if (Number.isNaN(number))
    throw new UsageError(`--filter ${name}: ${JSON.stringify(value)} is not a number`);
  return number;
}

/** How `--filter` says that a value is absent. */
function isNone(value: string): boolean {
  return value === '' || value === '-';
}

/** Absent values come last in either direction: nobody looks for them first. */
function compare(a: Cell, b: Cell, { reverse = false } = {}): number {
  if (isAbsent(a) || isAbsent(b)) return Number(isAbsent(a)) - Number(isAbsent(b));
  const order =
    typeof a === 'number' && typeof b === 'number'
      ? a - b
      : String(a).localeCompare(String(b), 'en', { numeric: true });
  return reverse ? -order : order;
}

function holds(order: number, operator: Exclude<Operator, '~' | '!~'>): boolean {
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
  }
}

function amountOf<T>(column: Column<T>, row: T): Cell {
  return column.amount ? column.amount.of(row) : column.value(row);
}

function isAbsent(value: Cell): value is null | undefined | '' {
  return value === null || value === undefined || value === '';
}
