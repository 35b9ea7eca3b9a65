import { isIP } from 'node:net';
import { parseDuration } from '../../core/duration';
import { lacksZone } from '../../core/lacks-zone';

/**
 * Parsers of single values. Each returns the value or throws an Error whose message says what was expected.
 */
export interface Parse<T> {
  (text: string): T;
  /** Which values are taken, for the reference page; absent where the explanation of the variable says it. */
  readonly allows?: string | undefined;
}

function allowing<T>(allows: string | undefined, parse: (text: string) => T): Parse<T> {
  return Object.assign(parse, { allows });
}

export function oneOf<const T extends string>(...allowed: readonly T[]): Parse<T> {
  return allowing(allowed.map((value) => `\`${value}\``).join(', '), (text) => {
    const found = allowed.find((value) => value === text.trim().toLowerCase());
    if (found === undefined) throw new Error(`${quote(text)} is not one of ${allowed.join(', ')}`);
    return found;
  });
}

/** A value that was once allowed is refused with what to do instead. */
export function retired<T>(values: Readonly<Record<string, string>>, parse: Parse<T>): Parse<T> {
  return allowing(parse.allows, (text) => {
    const fix = values[text.trim().toLowerCase()];
    if (fix !== undefined) throw new Error(`${quote(text)} is no longer there: ${fix}`);
    return parse(text);
  });
}

const level = oneOf('debug', 'info', 'warn', 'error');
/** The names that the Go daemon's logger also took. */
const LEVEL_ALIASES: Readonly<Record<string, string>> = { trace: 'debug', warning: 'warn', fatal: 'error' };

export const logLevel: Parse<ReturnType<typeof level>> = allowing(level.allows, (text) =>
  level(LEVEL_ALIASES[text.trim().toLowerCase()] ?? text),
);

/** Milliseconds from `2s`, `500ms`, `1m30s`, `1h`; a plain number is milliseconds. */
export function duration(min: number, max: number): Parse<number> {
  return allowing(range(inUnits(min, DURATIONS), inUnits(max, DURATIONS)), (text) => {
    const value = text.trim();
    const ms = /^\d+$/.test(value) ? Number(value) : parseDuration(value);
    if (ms === null) throw new Error(`${quote(text)} is not a duration such as 2s, 500ms or 1m30s`);
    return within(ms, min, max, 'ms', text);
  });
}

const BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** Bytes from `3GiB`, `512MiB`, or plain bytes. `GB` is refused: it means two things. */
export function bytes(min: number, max: number): Parse<number> {
  return allowing(range(inUnits(min, SIZES), inUnits(max, SIZES)), (text) => {
    const match = /^(\d+)\s*(KiB|MiB|GiB|TiB|B)?$/i.exec(text.trim());
    const unit = BYTES[(match?.[2] ?? 'B').toLowerCase()];
    if (!match || unit === undefined)
      throw new Error(`${quote(text)} is not a size such as 3GiB, 512MiB or 4096`);
    return within(Number(match[1]) * unit, min, max, 'bytes', text);
  });
}

export function integer(min: number, max: number): Parse<number> {
  return allowing(range(String(min), String(max)), (text) => {
    if (!/^\d+$/.test(text.trim())) throw new Error(`${quote(text)} is not a whole number`);
    return within(Number(text), min, max, '', text);
  });
}

const yesOrNo = oneOf('true', 'false', '1', '0', 'yes', 'no', 'on', 'off');

export const flag: Parse<boolean> = allowing(yesOrNo.allows, (text) =>
  ['true', '1', 'yes', 'on'].includes(yesOrNo(text)),
);

export const uuid: Parse<string> = allowing('a UUID', (text) => {
  const value = text.trim().toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value))
    throw new Error(`${quote(text)} is not a UUID`);
  return value;
});

const ABSOLUTE_PATH = 'an absolute path';

export const path: Parse<string> = allowing(ABSOLUTE_PATH, (text) => {
  if (!text.startsWith('/') || /[\u0000-\u001f\u007f]/.test(text))
    throw new Error(`${quote(text)} is not an absolute path`);
  // A file may be called so, but nobody means it: who reads it without the blank has another file, or folder.
  if (text !== text.trimEnd()) throw new Error(`${quote(text)} ends with a blank`);
  return text.replace(/\/+$/, '') || '/';
});

/** What `sun_path` holds. A longer path is cut, and the socket is somewhere else. */
const SOCKET_PATH_BYTES = 107;

export const socketPath: Parse<string> = allowing(
  `${ABSOLUTE_PATH}, at most ${SOCKET_PATH_BYTES} bytes`,
  (text) => {
    const value = path(text);
    const bytes = Buffer.byteLength(value);
    if (bytes > SOCKET_PATH_BYTES)
      throw new Error(`${quote(text)} has ${bytes} bytes; a unix socket has at most ${SOCKET_PATH_BYTES}`);
    return value;
  },
);

/** systemd passes several directories separated by colons; the first is used. */
export const firstPath: Parse<string> = allowing(ABSOLUTE_PATH, (text) => path(text.split(':')[0] ?? ''));

export const word: Parse<string> = allowing('1 to 128 of letters, digits and `@._:-`', (text) => {
  if (!/^[A-Za-z0-9@._:-]{1,128}$/.test(text))
    throw new Error(`${quote(text)} may hold letters, digits and @._:- only`);
  return text;
});

/** A free name: anything but control characters. */
export const name: Parse<string> = allowing('1 to 255 characters', (text) => {
  const value = text.trim();
  if (value === '' || value.length > 255 || /[\u0000-\u001f\u007f]/.test(value))
    throw new Error(`${quote(text)} is not a name of 1 to 255 characters`);
  return value;
});

/** A program: a name to be found in PATH, or an absolute path. */
export const program: Parse<string> = allowing(`a name, or ${ABSOLUTE_PATH}`, (text) =>
  text.startsWith('/') ? path(text) : word(text),
);

/** A host name or an address, without brackets and port. */
const host: Parse<string> = allowing('a host name or an address, without port', (text) => {
  // The zone of an address is the name of an interface, and that may have capitals.
  const value = text.trim().replace(/^[^%]+/, (before) => before.toLowerCase());
  if (isIP(value) === 0 && !/^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$/.test(value))
    throw new Error(`${quote(text)} is not a host name or address (no brackets, no port)`);
  return value;
});

/** As host, of something that listens there. */
export const listener: Parse<string> = allowing(host.allows, (text) => {
  const value = host(text);
  if (lacksZone(value))
    throw new Error(`${quote(text)} is an address of one link: name the interface too, like ${value}%eth0`);
  return value;
});

export const hosts: Parse<string[]> = allowing('host names or addresses, without port', (text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map(host),
);

/** The address of an HTTP server, below which paths are appended. */
export const httpUrl: Parse<string> = (text) => {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new Error('is not an http:// or https:// URL');
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new Error('must be without user, password, query and fragment');
  return url.href;
};

/**
 * Headers as OpenTelemetry writes them: `name=value,name=value`, values percent-encoded. Never shows a value.
 */
export const headers: Parse<Readonly<Record<string, string>>> = (text) =>
  Object.fromEntries(
    text
      .split(',')
      .filter((item) => item.trim() !== '')
      .map((item, index) => {
        const [, name = '', value = ''] = /^\s*([!#$%&'*+.^`|~\w-]+)\s*=(.*)$/.exec(item) ?? [];
        const decoded = headerValue(value.trim());
        if (name === '' || decoded === null) throw new Error(`item ${index + 1} is not name=value`);
        return [name, decoded];
      }),
  );

/** What stands in a header; null when it is not encoded well, or would end the header. */
function headerValue(text: string): string | null {
  try {
    const value = decodeURIComponent(text);
    return /[\u0000-\u001f\u007f]/.test(value) ? null : value;
  } catch {
    return null;
  }
}

/** Base64 (either alphabet) of exactly 32 bytes. The message never shows the value. */
export const key32: Parse<Buffer> = (text) => {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text.trim()))
    throw new Error('must be base64 of exactly 32 bytes (44 characters)');
  return Buffer.from(text.trim(), 'base64');
};

function range(min: string, max: string): string {
  return `\`${min}\` to \`${max}\``;
}

const DURATIONS = [
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;
const SIZES = [
  ['TiB', 1024 ** 4],
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
] as const;

/** In the largest unit of which it is a multiple, as an operator would write it. */
function inUnits(value: number, units: readonly (readonly [name: string, size: number])[]): string {
  const [name, size] = units.find(([, one]) => value > 0 && value % one === 0) ?? ['', 1];
  return `${value / size}${name}`;
}

function within(value: number, min: number, max: number, unit: string, text: string): number {
  if (value < min || value > max)
    throw new Error(`${quote(text)} is not between ${min} and ${max} ${unit}`.trimEnd());
  return value;
}

/** The given text, short and on one line: a control character must not forge a line of the log. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
