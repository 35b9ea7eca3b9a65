/** Where the database is. `notes` says in words what was read but is not used. */
export interface Dsn {
  readonly user: string;
  readonly password: string;
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | null;
  readonly database: string;
  readonly tls: boolean | 'skip-verify';
  /** ms; null = the pool's default. */
  readonly connectTimeout: number | null;
  readonly notes: readonly string[];
}

/** What is wrong with a DSN, in words that never contain the password. */
export class DsnError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DsnError';
  }
}

const DEFAULT_PORT = 3306;
/** Meant for the Go driver; here they are always so (parseTime, UTC) or deliberately never so (multiStatements). */
const UNDERSTOOD = new Set(['parseTime', 'loc', 'charset', 'collation', 'multiStatements', 'interpolateParams', 'allowNativePasswords', 'maxAllowedPacket', 'readTimeout', 'writeTimeout']);

/**
 * Reads a DSN as the Go driver does (`user:pass@tcp(host:port)/db?params`, `user@unix(/path)/db`): the last `/` ends the
 * address, the last `@` before it ends the credentials, the first `:` splits them. Also `mysql://` URLs. Throws DsnError.
 */
export function parseDsn(text: string): Dsn {
  if (text.trim() === '') throw new DsnError('it is empty; expected user:password@tcp(host:port)/database');
  return /^(mysql|mariadb):\/\//.test(text) ? parseUrl(text) : parseGo(text);
}

/** The DSN without its password, for messages. */
export function describeDsn(dsn: Dsn): string {
  const address = dsn.socketPath === null ? `tcp(${dsn.host}:${dsn.port})` : `unix(${dsn.socketPath})`;
  return `${dsn.user}:***@${address}/${dsn.database}`;
}

function parseGo(text: string): Dsn {
  const slash = text.lastIndexOf('/', text.includes(')') ? lastAddressSlash(text) : undefined);
  if (slash < 0) throw new DsnError('there is no "/database" at the end; expected user:password@tcp(host:port)/database');
  const before = text.slice(0, slash);
  const [database = '', query = ''] = splitOnce(text.slice(slash + 1), '?');
  const at = before.lastIndexOf('@');
  const [user, password] = at < 0 ? ['', ''] : splitOnce(before.slice(0, at), ':');
  return finish(user, password, parseAddress(before.slice(at + 1)), decode(database), new URLSearchParams(query));
}

/** The `/` of the database is the first after the closing `)`: parameters may contain slashes, socket paths are inside the brackets. */
function lastAddressSlash(text: string): number {
  const question = text.indexOf('?', text.lastIndexOf(')') + 1);
  return question < 0 ? text.length : question;
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | null;
}

function parseAddress(text: string): Address {
  if (text === '') return { host: '127.0.0.1', port: DEFAULT_PORT, socketPath: null };
  const match = /^(\w+)(?:\((.*)\))?$/.exec(text);
  if (!match) throw new DsnError('the address is not of the form tcp(host:port) or unix(/path)');
  const [, network = '', address = ''] = match;
  if (network === 'unix') {
    if (!address.startsWith('/')) throw new DsnError('unix(...) needs an absolute path');
    return { host: 'localhost', port: DEFAULT_PORT, socketPath: address };
  }
  if (network !== 'tcp' && network !== 'tcp4' && network !== 'tcp6') throw new DsnError(`the network "${network}" is not known; use tcp or unix`);
  return parseHostPort(address);
}

function parseHostPort(address: string): Address {
  if (address === '') return { host: '127.0.0.1', port: DEFAULT_PORT, socketPath: null };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new DsnError('tcp(...) needs host:port; write IPv6 addresses in [brackets]');
  return { host, port: parsePort(match?.[3]), socketPath: null };
}

function parsePort(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_PORT;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new DsnError(`the port ${text} is not between 1 and 65535`);
  return port;
}

function parseUrl(text: string): Dsn {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new DsnError('it is not a valid URL; encode special characters of the password (%40 for @)');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '') || '127.0.0.1';
  const socketPath = url.searchParams.get('socket') ?? url.searchParams.get('socketPath');
  const address = { host, port: parsePort(url.port), socketPath };
  return finish(decode(url.username), decode(url.password), address, decode(url.pathname.slice(1)), url.searchParams);
}

function finish(user: string, password: string, address: Address, database: string, params: URLSearchParams): Dsn {
  if (user === '') throw new DsnError('there is no user; expected user:password@tcp(host:port)/database');
  if (database === '') throw new DsnError('there is no database name after the last "/"');
  const notes: string[] = [];
  for (const name of params.keys()) {
    if (name === 'multiStatements') notes.push('multiStatements is ignored on purpose: one statement per query');
    else if (!UNDERSTOOD.has(name) && !['tls', 'timeout', 'socket', 'socketPath'].includes(name)) notes.push(`the parameter ${name} is not known and ignored`);
  }
  return { user, password, ...address, database, tls: parseTls(params.get('tls')), connectTimeout: parseTimeout(params.get('timeout')), notes };
}

function parseTls(value: string | null): boolean | 'skip-verify' {
  switch (value) {
    case null:
    case 'false':
      return false;
    case 'true':
      return true;
    case 'skip-verify':
    case 'preferred':
      return 'skip-verify';
    default:
      throw new DsnError(`tls=${value} is not known; use true, false or skip-verify`);
  }
}

/** Go durations: 500ms, 5s, 1m. */
function parseTimeout(value: string | null): number | null {
  if (value === null) return null;
  const match = /^(\d+)(ms|s|m)$/.exec(value);
  if (!match?.[1]) throw new DsnError(`timeout=${value} is not a duration such as 5s`);
  return Number(match[1]) * { ms: 1, s: 1000, m: 60_000 }[match[2] === 'ms' ? 'ms' : match[2] === 's' ? 's' : 'm'];
}

function splitOnce(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
