import type { Writable } from 'node:stream';
import { UsageError } from '../exit';
import { type Column, pick, renderRecord, renderTable } from './table';
import { paint, type Tone } from './text';

interface OutputSettings {
  readonly json: boolean;
  readonly columns: string | undefined;
  readonly headers: boolean;
  readonly quiet: boolean;
  /** Whether the standard output and the error output may be coloured. */
  readonly colors: { readonly out: boolean; readonly error: boolean };
  /** The error output is a terminal whose line can be rewritten. */
  readonly live: boolean;
}

/** Writes results to the standard output, and progress, hints and errors to the error output. */
export class Output {
  private shown = 0;
  private last = '';

  constructor(
    private readonly out: Writable,
    private readonly error: Writable,
    readonly settings: OutputSettings,
  ) {
    if (settings.json && settings.columns !== undefined)
      throw new UsageError('--json and --columns contradict each other', 'Give only one of them.');
  }

  /** A list: one line for each row, or the JSON array. */
  table<T>(columns: readonly Column<T>[], rows: readonly T[], empty: string): void {
    const picked = pick(columns, this.settings.columns);
    if (this.settings.json) this.json(rows);
    else if (rows.length === 0) this.hint(empty);
    else this.write(renderTable(picked, rows, this.style));
  }

  /** A list that replaces the one before it: on a terminal in its place; with --json one line each time. */
  again<T>(columns: readonly Column<T>[], rows: readonly T[], empty: string): void {
    if (this.settings.json) {
      this.stream(rows, '');
      return;
    }
    this.erase();
    if ('isTTY' in this.out && this.out.isTTY === true) this.write('\u001b[H\u001b[J');
    if (rows.length === 0) this.say(empty, 'dim');
    else this.table(columns, rows, empty);
  }

  /** One resource: one line for each column, or the JSON object. */
  record<T>(columns: readonly Column<T>[], row: T): void {
    const picked = this.settings.columns === undefined ? columns : pick(columns, this.settings.columns);
    if (this.settings.json) this.json(row);
    else this.write(renderRecord(picked, row, this.style));
  }

  /** A table under a heading, as part of a larger report; nothing with --json. */
  section<T>(title: string, columns: readonly Column<T>[], rows: readonly T[], empty: string): void {
    if (this.settings.json) return;
    this.write(`\n${paint('bold', title, this.settings.colors.out)}\n`);
    this.write(rows.length === 0 ? `${empty}\n` : renderTable(pick(columns, undefined), rows, this.style));
  }

  json(value: unknown): void {
    this.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** One of a sequence that arrives over time: a line of JSON, or the text. */
  stream(value: unknown, text: string): void {
    this.write(this.settings.json ? `${JSON.stringify(value)}\n` : `${text}\n`);
  }

  /** A sentence for people on the standard output; nothing with --json. */
  say(text: string, tone: Tone = 'plain'): void {
    if (!this.settings.json) this.write(`${paint(tone, text, this.settings.colors.out)}\n`);
  }

  hint(text: string): void {
    if (!this.settings.quiet && text !== '') this.complain(text, 'dim');
  }

  /** On the error output, also with --quiet. */
  complain(text: string, tone: Tone = 'plain'): void {
    this.erase();
    this.error.write(`${paint(tone, text, this.settings.colors.error)}\n`);
  }

  /** The current progress: one line that is rewritten on a terminal, a line for each change elsewhere. */
  progress(text: string, marker = ''): void {
    const { quiet, live, colors } = this.settings;
    if (quiet) return;
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

  private get style() {
    return { headers: this.settings.headers, color: this.settings.colors.out };
  }

  private write(text: string): void {
    this.erase();
    this.out.write(text);
  }
}
