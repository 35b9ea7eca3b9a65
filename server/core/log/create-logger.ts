import { fstatSync } from 'node:fs';
import { type ConsolaReporter, createConsola } from 'consola/core';
import { escapeHidden, hexOf } from '../hidden-characters';
import { LIMITS } from '../limits';
import type { Redactor } from '../redaction';
import { redactFields } from './log-fields';
import type { LogFields, Logger } from './logger';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'pretty' | 'json' | 'journald';

interface LoggerOptions {
  /** The least severe level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat | 'auto';
  readonly redactor: Redactor;
  /** Takes one line, without its end; standard output by default. */
  readonly write?: (line: string) => void;
  /** ms since the epoch; the wall clock by default. */
  readonly now?: () => number;
  /** Colours of `pretty`; by default on a terminal unless NO_COLOR is set. */
  readonly colours?: boolean;
}

/** What a reporter writes down. */
interface Entry {
  readonly time: string;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** consola's numbers: 0 error, 1 warn, 3 info, 4 debug. */
const CONSOLA_LEVEL: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };
/** sd-daemon(3) priorities, so that `journalctl -p err` shows errors only. */
const PRIORITY: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 };
/** ANSI: red, yellow, cyan, grey. */
const COLOUR: Record<LogLevel, number> = { error: 31, warn: 33, info: 36, debug: 90 };
const RESERVED = new Set(['time', 'level', 'msg']);

/**
 * A Logger on consola with three formats: `pretty` for people, `json` lines, and `journald` (JSON behind the
 * priority prefix of sd-daemon(3)). One record is one line, and logging never throws.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { redactor, now = Date.now } = options;
  const format = options.format === 'auto' ? detectFormat(process.env, standardOutput()) : options.format;
  const render = rendererOf(
    format,
    options.colours ?? (process.stdout.isTTY === true && !process.env.NO_COLOR),
  );
  const write = options.write ?? writeToStandardOutput();
  const stacks = options.level === 'debug';
  const reporter: ConsolaReporter = {
    log: ({ type, args: [message, fields] }) => {
      const plain = redactFields(isFields(fields) ? fields : {}, { redactor, stacks });
      write(
        render({
          time: new Date(now()).toISOString(),
          level: levelOf(type),
          message: redactor.redact(String(message)),
          fields: plain,
        }),
      );
    },
  };
  const consola = createConsola({
    level: CONSOLA_LEVEL[options.level],
    reporters: [reporter],
    // consola drops repeated records; after a step back of the clock any other throttle would, too.
    throttle: Number.NEGATIVE_INFINITY,
  });
  return {
    debug: (message, fields = {}) => consola.debug(message, fields),
    info: (message, fields = {}) => consola.info(message, fields),
    warn: (message, fields = {}) => consola.warn(message, fields),
    error: (message, fields = {}) => consola.error(message, fields),
  };
}

/** Where lines go: whether people look at it, and its device and inode as JOURNAL_STREAM has them. */
export interface Output {
  readonly isTerminal: boolean;
  readonly stream: string | null;
}

/**
 * The format for where the output goes. JOURNAL_STREAM alone does not tell: every child of a service inherits
 * it, redirected or not, so it counts only when it names this very output (systemd.exec(5)).
 */
export function detectFormat(env: Readonly<Record<string, string | undefined>>, output: Output): LogFormat {
  if (env.JOURNAL_STREAM && env.JOURNAL_STREAM === output.stream) return 'journald';
  return output.isTerminal ? 'pretty' : 'json';
}

function standardOutput(): Output {
  const isTerminal = process.stdout.isTTY === true;
  try {
    const { dev, ino } = fstatSync(1, { bigint: true });
    return { isTerminal, stream: `${dev}:${ino}` };
  } catch {
    return { isTerminal, stream: null };
  }
}

/** A reader that went away (EPIPE) costs the log, not the operations. */
function writeToStandardOutput(): (line: string) => void {
  process.stdout.on('error', () => {});
  return (line) => void process.stdout.write(`${line}\n`);
}

function rendererOf(format: LogFormat, colours: boolean): (entry: Entry) => string {
  switch (format) {
    case 'json':
      return jsonLine;
    case 'journald':
      return (entry) => `<${PRIORITY[entry.level]}>${jsonLine(entry)}`;
    case 'pretty':
      return (entry) => prettyLine(entry, colours);
    default:
      return format satisfies never;
  }
}

function jsonLine({ time, level, message, fields }: Entry): string {
  const own = Object.entries(fields).map(([name, value]) => [RESERVED.has(name) ? `${name}_` : name, value]);
  const line = escapeJson(JSON.stringify({ time, level, msg: message, ...Object.fromEntries(own) }));
  if (Buffer.byteLength(line) <= LIMITS.LOG_LINE_BYTES) return line;
  const start = line.slice(0, LIMITS.LOG_TEXT_CHARACTERS);
  return escapeJson(
    JSON.stringify({ time, level, msg: message.slice(0, LIMITS.LOG_TEXT_CHARACTERS), cut: start }),
  );
}

/** Inside JSON these stand in strings only, so that the escaped line means the same. */
function escapeJson(line: string): string {
  return escapeHidden(line);
}

function prettyLine({ time, level, message, fields }: Entry, colours: boolean): string {
  const paint = (text: string, code: number) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => ` ${paint(`${word(name)}=`, COLOUR.debug)}${prettyValue(value)}`);
  const clock = paint(time.slice(11, 23), COLOUR.debug);
  return `${clock} ${paint(level.toUpperCase().padEnd(5), COLOUR[level])} ${visible(message)}${pairs.join('')}`;
}

function prettyValue(value: unknown): string {
  return typeof value === 'string' ? word(value) : visible(JSON.stringify(value) ?? '');
}

/** Quoted when it could be taken for more than one field. */
function word(text: string): string {
  return visible(text !== '' && !/[\s"=]/.test(text) ? text : JSON.stringify(text));
}

function visible(text: string): string {
  return escapeHidden(text.replaceAll('\n', '\\n'), (unit) => `\\x${hexOf(unit, 2)}`);
}

function levelOf(type: string): LogLevel {
  switch (type) {
    case 'error':
    case 'warn':
    case 'debug':
      return type;
    default:
      return 'info';
  }
}

function isFields(value: unknown): value is LogFields {
  return typeof value === 'object' && value !== null;
}
