import { isCalendarDay } from '~/server/core/calendar-day';
import { isLoopback } from '~/server/core/is-loopback';
import { readRegular } from '~/server/core/read-regular';
import { type Appliance, findAppliance } from './appliances-file';
import { type Args, choice, flag, option } from './arguments';
import { SHARED_MAX_BYTES } from './change-file';
import type { Target } from './client/client';
import { ignoredSettings, parseEnvironmentFile, unreadableBecause } from './environment-file';
import { UsageError } from './exit';
import type { Format } from './output/output';

/** Options of every command. */
export const GLOBALS = {
  appliance: {
    ...option('name', 'which appliance of the configuration file (VOLUMECTL_APPLIANCE)'),
    complete: 'appliance',
  },
  url: option('url', 'where the daemon listens (environment: VOLUMECTL_URL; default http://127.0.0.1:8090)'),
  socket: { ...option('path', 'its unix socket instead (VOLUMECTL_SOCKET)'), complete: 'file' },
  'token-file': { ...option('path', 'file with the bearer token (VOLUMECTL_TOKEN_FILE)'), complete: 'file' },
  timeout: option(
    'time',
    'give up after this long, like 90s or 10m (default 30s for an answer; none while following)',
  ),
  output: {
    ...choice<Format>(
      {
        table: 'columns for people',
        wide: 'every column',
        name: 'only the first column, which is the id',
        json: 'what the daemon answered, as JSON',
        yaml: 'what the daemon answered, as YAML',
      },
      'how to print the result (default table)',
    ),
    short: 'o',
  },
  json: flag('the same as --output json'),
  columns: option('a,b,c', 'the columns to print, in this order'),
  headers: { type: 'boolean', on: true, description: '', negative: 'print no column names' },
  quiet: { ...flag('no progress and no hints'), short: 'q' },
  color: { ...flag('colours even when this is no terminal'), negative: 'no colours (also: NO_COLOR)' },
  help: { ...flag('this text'), short: 'h' },
} as const satisfies Args;

/** Options of every command that prints a list. --sort and --filter take the names of its columns. */
export const LIST = {
  sort: option('a,b', 'order the list by these columns'),
  reverse: flag('the other way round'),
  filter: option('condition', 'only rows for which this holds, like status=failed,size>10Gi,name~web'),
} as const satisfies Args;

/** Only without a command. */
export const VERSION = { version: flag('the version of this program') } as const satisfies Args;

/** The environment file of the packaged unit; only the addresses of the daemon are read from it. */
const DEFAULTS_FILE = '/etc/default/volume-daemon';

type Given = Partial<Record<'appliance' | keyof Appliance, string | undefined>>;
type Address = Partial<Record<keyof Appliance, string | null | undefined>>;

/**
 * Where the daemon is: the command line first, then VOLUMECTL_*, then the default appliance of the
 * configuration file, then the configuration of the daemon on this machine (when that file is readable), then
 * http://127.0.0.1:8090. --appliance names one of the configuration file, on the command line and in
 * VOLUMECTL_APPLIANCE. A URL, a socket and an appliance at the same level contradict each other.
 *
 * The token that a file names for an appliance is for that appliance alone, and not sent anywhere else.
 * One that is named by the command line or the environment is for whatever these name. `isElsewhere`: it
 * may be that of another machine, because an appliance of the configuration file was named, or a URL that
 * is not this machine.
 */
export function findTarget(given: Given, env: NodeJS.ProcessEnv): Target & { readonly isElsewhere: boolean } {
  const variables: Given = {
    appliance: env.VOLUMECTL_APPLIANCE,
    url: env.VOLUMECTL_URL,
    socket: env.VOLUMECTL_SOCKET,
    tokenFile: env.VOLUMECTL_TOKEN_FILE,
  };
  const asked = [given, variables].find(({ appliance, url, socket }) => appliance || url || socket);
  if (asked !== undefined && [asked.appliance, asked.url, asked.socket].filter(Boolean).length > 1)
    throw new UsageError('--appliance, --url and --socket contradict each other', 'Give only one of them.');
  const named = asked?.url || asked?.socket ? null : findAppliance(asked?.appliance, env);
  const address: Address = named ?? asked ?? ofThisMachine(env);
  const tokenFile = [given, named ?? variables, address].map((level) => level.tokenFile).find(Boolean);
  const url = address.socket ? new URL('http://localhost') : parseUrl(address.url || 'http://127.0.0.1:8090');
  return {
    url,
    socket: address.socket || null,
    tokenFile: tokenFile ?? null,
    isElsewhere: named !== null || (asked !== undefined && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''))),
  };
}

function ofThisMachine(env: NodeJS.ProcessEnv): Address {
  const configured = readDefaults(env.VOLUMECTL_DEFAULTS);
  return { url: urlOf(configured), socket: configured.UNIX_SOCKET, tokenFile: configured.TOKEN_FILE };
}

function parseUrl(text: string): URL {
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  if (url && ['http:', 'https:'].includes(url.protocol) && !url.username && !url.search) {
    // The base URL of the API, as documents write it: every request brings this part of its path along.
    url.pathname = url.pathname.replace(/\/api\/v1\/?$/, '/');
    return url;
  }
  // As HOST of the daemon may have it.
  if (/\[[^\]]*%/.test(text))
    throw new UsageError(
      `${text} is not a URL: none can name an interface (%)`,
      'Let the daemon listen on another address, or on UNIX_SOCKET.',
    );
  throw new UsageError(`--url ${text} is not a URL`, 'Write it like http://127.0.0.1:8090.');
}

/** What the daemon of this machine is told; nothing where this user may not read it. */
export function readDefaults(
  path = process.env.VOLUMECTL_DEFAULTS ?? DEFAULTS_FILE,
): Readonly<Record<string, string | undefined>> {
  // An empty variable counts as unset, for the daemon too.
  return Object.fromEntries(
    Object.entries(parseEnvironmentFile(contentOf(path))).filter(([, value]) => value !== ''),
  );
}

/** What the file of the daemon of this machine says in vain; nothing where this user may not read it. */
export function defaultsNotes(path = process.env.VOLUMECTL_DEFAULTS ?? DEFAULTS_FILE): string[] {
  const content = contentOf(path);
  const because = unreadableBecause(content);
  if (because !== null) return [`nothing in ${path} has an effect, because ${because}`];
  return ignoredSettings(content).map(
    ({ name, because }) => `${name} in ${path} has no effect, because ${because}`,
  );
}

function contentOf(path: string): string {
  try {
    return readRegular(path, SHARED_MAX_BYTES);
  } catch {
    return ''; // no daemon on this machine, or not readable for this user
  }
}

function urlOf({ HOST, PORT }: Readonly<Record<string, string | undefined>>): string | undefined {
  if (HOST === undefined && PORT === undefined) return undefined;
  const anywhere = HOST === undefined || HOST === '0.0.0.0' || HOST === '::';
  const host = anywhere ? '127.0.0.1' : HOST;
  return `http://${host.includes(':') ? `[${host}]` : host}:${PORT ?? '8090'}`;
}

const TIME_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `10m`, `1h30m`, `7d`, `500ms` or plain seconds, in ms. */
export function parseTime(text: string, option: string): number {
  // No time at all would be over before anything is done.
  const total = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 || null : durationOf(text);
  if (total !== null) return total;
  throw new UsageError(`${option} ${text} is not a time`, 'Write it like 30s, 10m, 1h30m or 7d.');
}

/** A moment as Unix time in ms: `1h` is an hour before `now`, anything else is a date with a time zone. */
export function parseMoment(text: string, option: string, now = Date.now()): number {
  const ago = durationOf(text);
  // Longer ago than a date can say: since ever.
  if (ago !== null) return Math.max(0, now - ago);
  // Without a zone, the reader's and the daemon's could be different ones.
  const isTime = /^\d{4}-\d\d-\d\d(T.*(Z|[+-]\d\d:\d\d))?$/.test(text) && isCalendarDay(text);
  const at = isTime ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw new UsageError(
    `${option} ${text} is not a time`,
    'Write it like 1h or 7d (so long ago), 2026-08-19 or 2026-08-19T20:30:00Z.',
  );
}

/** Null when the text is no duration with units. */
function durationOf(text: string): number | null {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const total = parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (TIME_UNITS_MS[unit ?? ''] ?? 0),
    0,
  );
  return parts.map(([part]) => part).join('') === text && total > 0 ? total : null;
}

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** `10Gi`, `10GiB`, `10G`, `512MiB` (all powers of 1024, as CloudStack counts) or plain bytes. */
export function parseSize(text: string, option: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)\s*([kmgtb]?)(?:i?b?)$/i.exec(text) ?? [];
  const size = Number(count) * (SIZE_UNITS_BYTES[(unit ?? '').toLowerCase()] ?? Number.NaN);
  if (Number.isSafeInteger(size) && size > 0) return size;
  throw new UsageError(`${option} ${text} is not a size`, 'Write it like 10Gi, 512Mi or 1073741824.');
}

/** `a=1,b=two` as an object of strings. */
export function parsePairs(text: string, option: string): Record<string, string> {
  const pairs = new Map<string, string>();
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    if (at < 1) throw new UsageError(`${option} ${pair} has no value`, 'Write it like key=value,key=value.');
    const key = pair.slice(0, at);
    if (pairs.has(key)) throw new UsageError(`${option} gives ${key} twice`, 'Give it only once.');
    pairs.set(key, pair.slice(at + 1));
  }
  return Object.fromEntries(pairs);
}

/** A whole number of at least 1. */
export function parseCount(text: string, option: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`${option} ${text} is not a number`, 'Write a whole number, 1 or more.');
}
