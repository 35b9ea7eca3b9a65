import { isIP } from 'node:net';
import type { H3Event } from 'h3';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Access } from '../../daemon/access/access';
import { type Identity, includesRole, type Role } from '../../daemon/access/tokens';
import { currentDaemon } from '../../daemon/current';
import type { AnyEndpoint } from '../endpoints/endpoint';
import { endpoints } from '../endpoints/registry';
import { type GuardSettings, guardSettings } from './guard-settings';
import { methodsOf, pathNotFound, requireOwnMethod } from './known-routes';
import { bodyTooLarge } from './read-json';
import { requestHeader } from './request-header';
import { validationError } from './validation-error';

/** Need no token. */
const WITHOUT_TOKEN = anyOf(({ access }) => access === 'open');
/** Served before the daemon has been built. */
const BEFORE_START = new Set(['/health', '/livez']);
/**
 * Pages for people, which other sites may link to. They contain no data, change nothing and cannot be framed.
 */
const PAGES = anyOf(({ reply }) => reply.contentType?.startsWith('text/html') === true);

/** The paths of some endpoints; a parameter is one segment. */
function anyOf(wanted: (endpoint: AnyEndpoint) => boolean): RegExp {
  const paths = endpoints().filter(wanted);
  return new RegExp(`^(?:${paths.map(({ path }) => path.replaceAll(/\{\w+\}/g, '[^/]+')).join('|')})$`);
}

/**
 * Checks every request before its route: host, origin, token, daemon, declared body size. What the token may
 * do is checked with the endpoint (`requireRole`).
 * Errors: FORBIDDEN_HOST, FORBIDDEN_ORIGIN, UNAUTHORIZED, STARTING, BODY_TOO_LARGE,
 * METHOD_NOT_ALLOWED, VALIDATION_FAILED, NOT_FOUND.
 */
export function guard(event: H3Event, settings: Readonly<GuardSettings> = guardSettings()): void {
  const path = event.path.split('?')[0] ?? '/';
  for (const [name, value] of SECURITY_HEADERS) event.node.res.setHeader(name, value);
  const host = requestHeader(event, 'host');
  checkHost(host, settings.allowedHosts);
  checkOrigin(event, host, path);
  if (!WITHOUT_TOKEN.test(path)) event.context.identity = identify(event, settings.access);
  if (!BEFORE_START.has(path)) currentDaemon();
  if (Number(requestHeader(event, 'content-length') ?? 0) > LIMITS.BODY_BYTES) throw bodyTooLarge();
  const [asWritten = ''] = (event.node.req.url ?? '').split('?');
  if (/%3f/i.test(asWritten)) throw noQuestionMark(asWritten);
  requireOwnMethod(event.method, path);
  // Node sends no body to a HEAD request, so the GET route answers it.
  if (event.method === 'HEAD' && methodsOf(path).includes('HEAD')) event._method = 'GET';
}

/**
 * A question mark that is encoded in a path belongs to a name, and no name here has one. The router decodes
 * it first and would take what follows for the query: the volume of one device would become the list of all.
 */
function noQuestionMark(path: string): DaemonError {
  if (methodsOf(path).length === 0) return pathNotFound();
  return validationError([{ field: 'path', message: 'must not have an encoded question mark in it' }]);
}

const SECURITY_HEADERS = Object.entries({
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
});

/**
 * Against DNS rebinding: a hostile page reaches the daemon only under a host name of its own. Accepted are
 * loopback names, configured names and IP addresses, which no DNS answer can forge. Browsers always send
 * Host.
 */
function checkHost(header: string | undefined, allowed: readonly string[]): void {
  if (header === undefined || header === '') return;
  if (header === accepted.header && allowed === accepted.allowed) return;
  const name = hostName(header);
  if (name === 'localhost' || name.endsWith('.localhost') || isIP(name) !== 0 || allowed.includes(name)) {
    accepted = { header, allowed };
    return;
  }
  throw new DaemonError(
    'FORBIDDEN_HOST',
    `Host ${JSON.stringify(name.slice(0, 80))} is not a name of this daemon`,
  );
}

/** The Host that was accepted last, under which names: a program sends the same one with every request. */
let accepted: { readonly header: string; readonly allowed: readonly string[] } = { header: '', allowed: [] };

/** `[::1]:8090` → `::1`, `Localhost:8090` → `localhost`. */
function hostName(header: string): string {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?$/.exec(header);
  if (bracketed?.[1]) return bracketed[1];
  return header
    .replace(/:\d{1,5}$/, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

/** Refuses requests from pages of other sites. Programs send neither header. */
function checkOrigin(event: H3Event, host: string | undefined, path: string): void {
  const refuse = () => {
    throw new DaemonError('FORBIDDEN_ORIGIN', 'Requests from foreign web pages are refused');
  };
  const origin = requestHeader(event, 'origin');
  if (origin !== undefined && !sameOrigin(origin, host)) refuse();
  if (requestHeader(event, 'sec-fetch-site') !== 'cross-site') return;
  const navigation =
    requestHeader(event, 'sec-fetch-mode') === 'navigate' &&
    requestHeader(event, 'sec-fetch-dest') === 'document';
  if (!(navigation && event.method === 'GET' && PAGES.test(path))) refuse();
}

function sameOrigin(origin: string, host: string | undefined): boolean {
  const match = /^https?:\/\/(.+)$/i.exec(origin);
  return host !== undefined && match?.[1]?.toLowerCase() === host.toLowerCase();
}

function bearerOf(event: H3Event): string | undefined {
  const header = requestHeader(event, 'authorization');
  return /^Bearer +(.+)$/i.exec(header ?? '')?.[1]?.trim();
}

function identify(event: H3Event, access: Access): Identity {
  const given = bearerOf(event);
  const identity = access.identify(given);
  if (identity !== null) return identity;
  throw new DaemonError(
    'UNAUTHORIZED',
    given === undefined ? 'A bearer token is needed' : 'The bearer token is wrong, or was revoked',
  );
}

/** Who sent a request that the guard has let through; null where nobody was asked. */
export function identityOf(event: H3Event): Identity | null {
  const identity: Identity | undefined = event.context.identity;
  return identity ?? null;
}

/** Of a request that lasts: is its token still accepted? */
export function isStillAccepted(event: H3Event): boolean {
  return guardSettings().access.identify(bearerOf(event)) !== null;
}

/** Throws UNAUTHORIZED for a request that did not pass the guard. */
export function requireIdentity(event: H3Event): Identity {
  const identity = identityOf(event);
  if (identity === null) throw new DaemonError('UNAUTHORIZED', 'A bearer token is needed');
  return identity;
}

/** Throws FORBIDDEN_ROLE, and UNAUTHORIZED for a request that did not pass the guard. */
export function requireRole(event: H3Event, needed: 'open' | Role): void {
  if (needed === 'open') return;
  const { name, role } = requireIdentity(event);
  if (includesRole(role, needed)) return;
  throw new DaemonError(
    'FORBIDDEN_ROLE',
    `This needs a token with the role ${needed}; ${name} has the role ${role}`,
    { details: { needed, role, name } },
  );
}
