import { parseDuration } from '../../core/duration';
import { lacksZone } from '../../core/lacks-zone';
import { LIMITS } from '../../core/limits';

/** Where one server of the database is. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Set for `unix(...)`; host and port then mean nothing. */
  readonly socketPath: string | null;
}

/** Where the database is. `notes` says in words what was read but is not used. */
export interface Dsn {
  readonly user: string;
  readonly password: string;
  /** The address that is tried first. */
  readonly host: string;
  readonly port: number;
  /** Further nodes of the same cluster, in the order in which they are tried. */
  readonly alternatives: readonly Address[];
  /** Set for `unix(...)`; host and port then mean nothing. */
  readonly socketPath: string | null;
  readonly database: string;
  readonly tls: boolean | 'skip-verify';
  /** PEM certificates of CAs that are trusted beside the usual ones. */
  readonly ca: string | null;
  /** Null = the pool's default. */
  readonly connectTimeoutMs: number | null;
  readonly notes: readonly string[];
}

/**
 * What is wrong with a DSN. The message never repeats a part of the DSN but a port and the names of
 * parameters: where a DSN is malformed, nobody knows which part of it is the password.
 */
export class DsnError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DsnError';
  }
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 3306;
const FORM =
  'expected user:password@tcp(host:port)/database; several nodes of a cluster as tcp(host1:port,host2:port)';

/**
 * Parameters of the Go driver: null is always so here and needs no word; a text says what is done instead.
 */
const PARAMETERS: Readonly<Record<string, string | null>> = {
  parseTime: null,
  allowNativePasswords: null,
  checkConnLiveness: null,
  clientFoundRows: null,
  maxAllowedPacket: null,
  tls: null,
  timeout: null,
  socket: null,
  socketPath: null,
  interpolateParams: null,
  loc: 'loc is ignored: times are UTC',
  charset: 'charset is ignored: it is always utf8mb4',
  collation: 'collation is ignored: tables name their own',
  readTimeout: 'readTimeout is ignored: statements have their own limit',
  writeTimeout: 'writeTimeout is ignored: statements have their own limit',
  multiStatements: 'multiStatements is ignored on purpose: one statement per query',
};

/**
 * Reads a DSN as the Go driver does (`user:pass@tcp(host:port)/db?params`, `user@unix(/path)/db`): the last
 * `/` ends the address, the last `@` before it ends the credentials, the first `:` splits them. So a password
 * may hold `:`, `@` and `/`. Also percent-encoded `mysql://` URLs. Throws DsnError.
 */
export function parseDsn(text: string): Dsn {
  const dsn = text.trim();
  if (dsn === '') throw new DsnError(`it is empty; ${FORM}`);
  // systemd takes quotes away; of others, as of `docker --env-file`, they would become a part
  // of user and database.
  if (/^(["']).*\1$/s.test(dsn)) throw new DsnError(`it stands in quotes: leave them out; ${FORM}`);
  return /^(mysql|mariadb):\/\//i.test(dsn) ? parseUrl(dsn) : parseGo(dsn);
}

/**
 * The same database, trusting a private CA. Whoever names a CA wants to be sure of the other end, so TLS is
 * used, except over a unix socket. `tls=skip-verify` stays what it is: nothing is checked.
 */
export function trusting(dsn: Dsn, ca: string | null): Dsn {
  if (ca === null) return dsn;
  if (dsn.tls === 'skip-verify')
    return {
      ...dsn,
      notes: [...dsn.notes, 'tls=skip-verify checks no certificate: DATABASE_CA_FILE is not used'],
    };
  return { ...dsn, ca, tls: dsn.tls || dsn.socketPath === null };
}

/** Every address of the DSN, in the order in which they are tried; never empty. */
export function addressesOf({ host, port, socketPath, alternatives }: Dsn): readonly [Address, ...Address[]] {
  return [{ host, port, socketPath }, ...alternatives];
}

/** One address, for messages. */
export function describeAddress({ host, port, socketPath }: Address): string {
  return socketPath ?? `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The DSN without its password, for messages. */
export function describeDsn(dsn: Dsn): string {
  const addresses = addressesOf(dsn).map(describeAddress).join(',');
  const network = dsn.socketPath === null ? 'tcp' : 'unix';
  return `${dsn.user}${dsn.password === '' ? '' : ':***'}@${network}(${addresses})/${dsn.database}`;
}

function parseGo(text: string): Dsn {
  const slash = databaseSlash(text);
  if (slash < 0) throw new DsnError(`there is no "/database" at the end; ${FORM}`);
  const before = text.slice(0, slash);
  const [database, query] = splitOnce(text.slice(slash + 1), '?');
  const at = before.lastIndexOf('@');
  const [user, password] = at < 0 ? ['', ''] : splitOnce(before.slice(0, at), ':');
  if (user === '') throw new DsnError(`there is no user; ${FORM}`);
  const addresses = parseAddresses(before.slice(at + 1));
  return finish({ user, password, database: decode(database) }, addresses, new URLSearchParams(query));
}

/** The last `/`, as in Go, unless it is inside the parameters (`?loc=Europe/Berlin`, which Go refuses). */
function databaseSlash(text: string): number {
  const last = text.lastIndexOf('/');
  let slash = last;
  while (slash > 0) {
    const before = text.slice(0, slash);
    if (/^(?:\w+(?:\([^)?]*\))?)?$/.test(before.slice(before.lastIndexOf('@') + 1))) return slash;
    if (!before.includes('?')) break;
    slash = before.lastIndexOf('/');
  }
  return last;
}

function parseAddresses(text: string): Address[] {
  const match = /^(\w*)(?:\((.*)\))?$/.exec(text);
  if (!match)
    throw new DsnError(
      'the address is not of the form tcp(host:port), tcp(host1:port,host2:port) or unix(/path)',
    );
  const [, network = '', address = ''] = match;
  switch (network) {
    case '':
      if (text === '') return [parseHostPort('')];
      throw new DsnError('the network before the address is missing; use tcp(host:port) or unix(/path)');
    case 'unix':
      return [socketAddress(address)];
    case 'tcp':
    case 'tcp4':
    case 'tcp6':
      return parseHosts(address);
    default:
      throw new DsnError('the network before the address is not known; use tcp(host:port) or unix(/path)');
  }
}

/** `host1:port,host2:port`; one that is named twice counts once. */
function parseHosts(text: string): Address[] {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length > 1 && parts.includes(''))
    throw new DsnError('one of the addresses is empty; write them as host1:port,host2:port');
  const addresses = new Map(parts.map(parseHostPort).map((address) => [describeAddress(address), address]));
  if (addresses.size > LIMITS.DATABASE_ADDRESSES_MAX)
    throw new DsnError(`there are more than ${LIMITS.DATABASE_ADDRESSES_MAX} addresses`);
  return [...addresses.values()];
}

function socketAddress(path: string): Address {
  if (!path.startsWith('/')) throw new DsnError('the path of the unix socket is not absolute');
  return { host: 'localhost', port: DEFAULT_PORT, socketPath: path };
}

function parseHostPort(address: string): Address {
  if (address === '') return { host: DEFAULT_HOST, port: DEFAULT_PORT, socketPath: null };
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d*))?$/.exec(address);
  if (!match) throw new DsnError('an address must be host:port; write IPv6 addresses in [brackets]');
  return { host: match[1] || match[2] || DEFAULT_HOST, port: parsePort(match[3]), socketPath: null };
}

function parsePort(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_PORT;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new DsnError('the port is not between 1 and 65535');
  return port;
}

/** What the URL parser refuses: several hosts, `mysql://user:password@host1:port,host2:port/database`. */
function splitHosts(text: string): { first: string; hosts: string | null } {
  const match = /^(\w+:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/s.exec(text);
  const [, before = '', hosts = '', after = ''] = match ?? [];
  if (!hosts.includes(',')) return { first: text, hosts: null };
  return { first: `${before}host${after}`, hosts };
}

function parseUrl(text: string): Dsn {
  const { first, hosts } = splitHosts(text);
  let url: URL;
  try {
    url = new URL(first);
  } catch {
    throw new DsnError('it is not a valid URL; encode special characters of the password (%40 for @)');
  }
  const user = decode(url.username);
  if (user === '') throw new DsnError('there is no user; expected mysql://user:password@host:port/database');
  const socket = url.searchParams.get('socket') ?? url.searchParams.get('socketPath');
  const host = url.hostname.replace(/^\[|\]$/g, '') || DEFAULT_HOST;
  const addresses =
    socket !== null
      ? [socketAddress(socket)]
      : hosts === null
        ? [{ host, port: parsePort(url.port), socketPath: null }]
        : parseHosts(hosts);
  const account = { user, password: decode(url.password), database: decode(url.pathname.slice(1)) };
  return finish(account, addresses, url.searchParams);
}

function finish(
  account: Pick<Dsn, 'user' | 'password' | 'database'>,
  [address = parseHostPort(''), ...alternatives]: readonly Address[],
  params: URLSearchParams,
): Dsn {
  if (account.database === '') throw new DsnError('there is no database name after the last "/"');
  if ([address, ...alternatives].some(({ host }) => lacksZone(host)))
    throw new DsnError('an address of one link needs the interface too, like tcp([fe80::1%eth0]:3306)');
  const notes = [...new Set(params.keys())].flatMap((name) => noteOn(name) ?? []);
  const tls = params.get('tls');
  if (tls?.toLowerCase() === 'preferred')
    notes.push('tls=preferred is taken as skip-verify: TLS is required');
  return {
    ...account,
    ...address,
    alternatives,
    tls: parseTls(tls),
    ca: null,
    connectTimeoutMs: parseTimeout(params.get('timeout')),
    notes,
  };
}

function noteOn(name: string): string | null {
  if (/^(hosts?|servers?|nodes?)$/i.test(name))
    throw new DsnError(`the parameter ${name} is not known; name the nodes as tcp(host1:port,host2:port)`);
  const known = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined;
  if (known !== undefined) return known;
  // Whoever asked for encryption in the words of another driver, or in capitals, must not get a plain
  // connection.
  if (/^(use)?(ssl|tls)/i.test(name))
    throw new DsnError(`the parameter ${name} is not known; use tls=true or tls=skip-verify`);
  return `the parameter ${name} is not known and ignored`;
}

function parseTls(value: string | null): boolean | 'skip-verify' {
  switch (value?.toLowerCase() ?? 'false') {
    case 'false':
    case '0':
      return false;
    case 'true':
    case '1':
      return true;
    case 'skip-verify':
    case 'preferred':
      return 'skip-verify';
    default:
      throw new DsnError('tls is not one of true, false, skip-verify, preferred');
  }
}

/** As in Go, zero leaves it to the default. */
function parseTimeout(value: string | null): number | null {
  if (value === null || value === '0') return null;
  const ms = parseDuration(value);
  if (ms === null) throw new DsnError('timeout is not a duration such as 5s');
  return ms === 0 ? null : ms;
}

function splitOnce(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, ''] : [text.slice(0, index), text.slice(index + 1)];
}

/** A lone `%` is taken as it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
