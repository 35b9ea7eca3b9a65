import type { Writable } from 'node:stream';
import { stringify } from 'yaml';
import { UsageError } from '../exit';
import { checkChoice, choose, type RowChoice } from './rows';
import { type Column, type NamedColumn, pick, renderRecord, renderTable } from './table';
import { paint, type Tone, visible } from './text';

export const FORMATS = ['table', 'wide', 'name', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

interface OutputSettings {
  readonly format: Format;
  readonly columns: string | undefined;
  /** Of lists. */
  readonly rows: RowChoice;
  readonly headers: boolean;
  readonly quiet: boolean;
  /** Columns of the terminal that tables are fitted into; null for lines of any length. */
  readonly width: number | null;
  /** Whether the standard output and the error output may be coloured. */
  readonly colors: { readonly out: boolean; readonly error: boolean };
  /** The error output is a terminal whose line can be rewritten. */
  readonly live: boolean;
}

/**
 * Writes results to the standard output, and progress, hints and errors to the error output. What is for
 * people is escaped here, whoever names are from; what is for programs means what the daemon sent,
 * whatever else reads it.
 */
export class Output {
  private shown = 0;
  private last = '';

  constructor(
    private readonly out: Writable,
    private readonly error: Writable,
    readonly settings: OutputSettings,
  ) {
    if (settings.columns !== undefined && !['table', 'wide'].includes(settings.format))
      throw new UsageError(
        `--output ${settings.format} and --columns contradict each other`,
        'Give only one of them.',
      );
  }

  /** JSON or YAML: what the daemon answered, for programs. */
  get isData(): boolean {
    return this.settings.format === 'json' || this.settings.format === 'yaml';
  }

  /** Nothing but the result was asked for: no sections after a record. */
  get isBare(): boolean {
    return this.settings.columns !== undefined || this.settings.format === 'name';
  }

  /** Throws UsageError when --columns, --sort or --filter name a column that the command does not print. */
  check(columns: readonly NamedColumn[]): void {
    if (this.settings.columns !== undefined) pick(columns, this.settings.columns);
    checkChoice(columns, this.settings.rows);
  }

  /** A list: one line for each row, or the array. --sort and --filter apply to both. */
  table<T>(columns: readonly Column<T>[], all: readonly T[], empty: string): void {
    const picked = this.pick(columns);
    const rows = choose(columns, all, this.settings.rows);
    if (this.isData) this.data(rows);
    else if (rows.length > 0) this.write(renderTable(picked, rows, this.style));
    else this.hint(all.length === 0 ? empty : `None of ${all.length} is as --filter says.`);
  }

  /** A list that replaces the one before it: on a terminal in its place; as data one line each time. */
  again<T>(columns: readonly Column<T>[], rows: readonly T[], empty: string): void {
    if (this.isData) {
      this.stream(choose(columns, rows, this.settings.rows), '');
      return;
    }
    this.erase();
    if ('isTTY' in this.out && this.out.isTTY === true) this.write('\u001b[H\u001b[J');
    if (rows.length === 0) this.say(empty, 'dim');
    else this.table(columns, rows, empty);
  }

  /** One resource: one line for each column, or the object. */
  record<T>(columns: readonly Column<T>[], row: T): void {
    const picked = this.isBare ? this.pick(columns) : columns;
    if (this.isData) this.data(row);
    else this.write(renderRecord(picked, row, this.style));
  }

  /** A table under a heading, as part of a larger report; nothing as data. */
  section<T>(title: string, columns: readonly Column<T>[], rows: readonly T[], empty: string): void {
    if (this.isData) return;
    this.write(`\n${paint('bold', title, this.settings.colors.out)}\n`);
    this.write(rows.length === 0 ? `${empty}\n` : renderTable(pick(columns, undefined), rows, this.style));
  }

  /** An object or array in the format that was asked for, JSON when none was. */
  data(value: unknown): void {
    this.write(this.settings.format === 'yaml' ? yamlText(value) : `${jsonText(value, 2)}\n`);
  }

  /** One of a sequence that arrives over time: a line of JSON, a YAML document, or the text. */
  stream(value: unknown, text: string): void {
    if (this.settings.format === 'yaml') this.write(`---\n${yamlText(value)}`);
    else this.write(this.isData ? `${jsonText(value)}\n` : `${visible(text)}\n`);
  }

  /** A line for people on the standard output; nothing as data. */
  say(text: string, tone: Tone = 'plain'): void {
    if (!this.isData) this.write(`${paint(tone, visible(text), this.settings.colors.out)}\n`);
  }

  hint(text: string): void {
    if (!this.settings.quiet && text !== '') this.complain(text, 'dim');
  }

  /** On the error output, also with --quiet. */
  complain(text: string, tone: Tone = 'plain'): void {
    this.erase();
    this.error.write(`${paint(tone, visible(text), this.settings.colors.error)}\n`);
  }

  /** The current progress: one line that is rewritten on a terminal, a line for each change elsewhere. */
  progress(given: string, marker = ''): void {
    const { quiet, live, colors } = this.settings;
    if (quiet) return;
    const text = visible(given);
    if (!live) {
      if (text !== this.last) this.error.write(`${text}\n`);
      this.last = text;
      return;
    }
    const width = ('columns' in this.error && Number(this.error.columns)) || 80;
    const line = `${marker} ${text}`.slice(0, width - 1);
    this.error.write(`\r\u001b[2K${paint('dim', line, colors.error)}`);
    this.shown = line.length;
  }

  /** Removes the progress line. */
  erase(): void {
    if (this.shown === 0) return;
    this.error.write('\r\u001b[2K');
    this.shown = 0;
  }

  /** `name` is the first column alone, `wide` is all of them. */
  private pick<T>(columns: readonly Column<T>[]): readonly Column<T>[] {
    const { format, columns: wanted } = this.settings;
    if (format === 'name') return columns.slice(0, 1);
    return format === 'wide' && wanted === undefined ? columns : pick(columns, wanted);
  }

  private get style() {
    const { format, headers, colors, width } = this.settings;
    return { headers: headers && format !== 'name', color: colors.out, width };
  }

  private write(text: string): void {
    this.erase();
    this.out.write(text);
  }
}

function jsonText(value: unknown, indent = 0): string {
  return escaped(JSON.stringify(value, null, indent));
}

/** Long texts stay on their line, so that programs that read line by line can read it, too. */
function yamlText(value: unknown): string {
  // Through JSON: what has no JSON form is left out, and the same object twice is no alias.
  return escaped(stringify(JSON.parse(JSON.stringify(value)), { lineWidth: 0 }));
}

/**
 * The control characters that JSON and YAML leave as they are, and a terminal obeys (U+009B begins a
 * command). Both have them in double quotes only, where the escape is the same character.
 */
function escaped(text: string): string {
  return text.replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
