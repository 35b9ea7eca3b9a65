import { type ConsolaReporter, createConsola, type LogObject } from 'consola';
import { DaemonError } from './errors';
import type { LogFields, Logger } from './logger';
import { isSecretField, type Redactor } from './redaction';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'pretty' | 'json' | 'journald';

interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat | 'auto';
  readonly redactor: Redactor;
  /** Where lines go; stdout by default. */
  readonly write?: (line: string) => void;
}

/** consola's numbers: 0 error, 1 warn, 3 info, 4 debug. */
const CONSOLA_LEVEL: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };
/** sd-daemon(3) priorities, so that `journalctl -p err` shows errors only. */
const PRIORITY: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7 };

/** The format for where the output goes: journald under systemd, pretty on a terminal, JSON lines elsewhere. */
export function detectFormat(env: Readonly<Record<string, string | undefined>>, isTerminal: boolean): LogFormat {
  if (env.JOURNAL_STREAM) return 'journald';
  return isTerminal ? 'pretty' : 'json';
}

/** A Logger on consola with one of three reporters. One record is one line, whatever its fields hold. */
export function createLogger(options: LoggerOptions): Logger {
  const format = options.format === 'auto' ? detectFormat(process.env, process.stdout.isTTY === true) : options.format;
  const write = options.write ?? ((line: string) => process.stdout.write(`${line}\n`));
  const reporter: ConsolaReporter = { log: (record) => write(render(format, record, options.redactor, options.level === 'debug')) };
  const consola = createConsola({ level: CONSOLA_LEVEL[options.level], reporters: [reporter], throttle: 0, formatOptions: { date: false } });
  const at = (base: LogFields): Logger => ({
    debug: (message, fields) => consola.debug(message, { ...base, ...fields }),
    info: (message, fields) => consola.info(message, { ...base, ...fields }),
    warn: (message, fields) => consola.warn(message, { ...base, ...fields }),
    error: (message, fields) => consola.error(message, { ...base, ...fields }),
    with: (fields) => at({ ...base, ...fields }),
  });
  return at({});
}

function render(format: LogFormat, record: LogObject, redactor: Redactor, withStacks: boolean): string {
  const level = levelOf(record);
  const [message, fields] = record.args;
  const plain = plainFields(fields, withStacks);
  const time = record.date.toISOString();
  switch (format) {
    case 'json':
      return redactor.redact(JSON.stringify({ time, level, msg: String(message), ...plain }));
    case 'journald':
      return redactor.redact(`<${PRIORITY[level]}>${JSON.stringify({ msg: String(message), ...plain })}`);
    case 'pretty':
      return redactor.redact(`${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${oneLine(String(message))}${pairs(plain)}`);
    default:
      return format satisfies never;
  }
}

function levelOf(record: LogObject): LogLevel {
  switch (record.type) {
    case 'error':
    case 'fatal':
      return 'error';
    case 'warn':
      return 'warn';
    case 'debug':
    case 'trace':
      return 'debug';
    default:
      return 'info';
  }
}

function plainFields(fields: unknown, withStacks: boolean): Record<string, unknown> {
  if (typeof fields !== 'object' || fields === null) return {};
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, isSecretField(name) ? '***' : plainValue(value, withStacks)]));
}

function plainValue(value: unknown, withStacks: boolean): unknown {
  if (!(value instanceof Error)) return value;
  return {
    message: value.message,
    ...(value instanceof DaemonError ? { code: value.code } : { name: value.name }),
    ...(value.cause === undefined ? {} : { cause: plainValue(value.cause, withStacks) }),
    ...(withStacks || !(value instanceof DaemonError) ? { stack: value.stack } : {}),
  };
}

function pairs(fields: Record<string, unknown>): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => ` ${name}=${oneLine(typeof value === 'string' ? value : JSON.stringify(value))}`)
    .join('');
}

/** A newline in a volume name must not forge a log line, nor an escape sequence a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
