import { DaemonError } from '../errors';
import { LIMITS } from '../limits';
import { isSecretField, MASK, type Redactor } from '../redaction';
import type { LogFields } from './logger';

interface Walk {
  readonly redactor: Redactor;
  /** True expands the stack of every error; otherwise only the stacks of programming errors. */
  readonly stacks: boolean;
}

/**
 * Fields as plain data: bounded in depth, number and length; secret fields masked; every text redacted;
 * errors expanded with code, details and causes. Never throws.
 */
export function redactFields(fields: LogFields, walk: Walk): Record<string, unknown> {
  return plainEntries(fields, walk, [fields]);
}

/** `path` holds the objects we are inside of, so that a circle ends. */
function plainValue(value: unknown, walk: Walk, path: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
      return plainText(value, walk);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
    case 'symbol':
      return plainText(String(value), walk);
    case 'object':
      return value === null ? null : plainObject(value, walk, path);
    default:
      return '[function]';
  }
}

function plainObject(value: object, walk: Walk, path: readonly object[]): unknown {
  if (path.includes(value)) return '[circular]';
  if (path.length >= LIMITS.LOG_DEPTH) return '[deep]';
  const inside = [...path, value];
  try {
    if (value instanceof Error) return plainError(value, walk, inside);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
    if (value instanceof Map) return plainEntries(Object.fromEntries(value), walk, inside);
    if (Array.isArray(value) || value instanceof Set) return plainList([...value], walk, inside);
    if (value instanceof URL || value instanceof URLSearchParams) return plainText(value.toString(), walk);
    return plainEntries(value, walk, inside);
  } catch {
    return '[unreadable]';
  }
}

function plainEntries(value: object, walk: Walk, path: readonly object[]): Record<string, unknown> {
  const entries = Object.entries(value);
  const plain = entries
    .slice(0, LIMITS.LOG_ENTRIES)
    .map(([name, item]) => [
      plainText(name, walk),
      isSecretField(name) && item !== null && item !== undefined ? MASK : plainValue(item, walk, path),
    ]);
  if (entries.length > LIMITS.LOG_ENTRIES) plain.push(['more', entries.length - LIMITS.LOG_ENTRIES]);
  return Object.fromEntries(plain);
}

function plainList(items: readonly unknown[], walk: Walk, path: readonly object[]): unknown[] {
  const plain = items.slice(0, LIMITS.LOG_ENTRIES).map((item) => plainValue(item, walk, path));
  return items.length > LIMITS.LOG_ENTRIES
    ? [...plain, `… and ${items.length - LIMITS.LOG_ENTRIES} more`]
    : plain;
}

function plainError(error: Error, walk: Walk, path: readonly object[]): Record<string, unknown> {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  const details = error instanceof DaemonError ? error.details : undefined;
  return {
    ...(code === null ? { name: plainText(error.name, walk) } : { code: plainText(code, walk) }),
    message: plainText(error.message, walk),
    ...(details === undefined ? {} : { details: plainValue(details, walk, path) }),
    ...(error.cause === undefined ? {} : { cause: plainValue(error.cause, walk, path) }),
    ...(error instanceof AggregateError ? { errors: plainList(error.errors, walk, path) } : {}),
    ...(walk.stacks || isProgrammingError(error) ? { stack: plainText(error.stack ?? '', walk) } : {}),
  };
}

/** What the world does to us carries a code or a cause; an error with neither is our own mistake. */
function isProgrammingError(error: Error): boolean {
  return !('code' in error) && error.cause === undefined;
}

/** Redacted first and cut then: a cut could leave a part of a secret that no longer looks like one. */
function plainText(text: string, walk: Walk): string {
  const clean = walk.redactor.redact(text);
  const extra = clean.length - LIMITS.LOG_TEXT_CHARACTERS;
  return extra > 0 ? `${clean.slice(0, LIMITS.LOG_TEXT_CHARACTERS)}… (${extra} more characters)` : clean;
}
