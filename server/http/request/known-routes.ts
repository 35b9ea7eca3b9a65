import { DaemonError } from '../../core/errors';
import { type AnyEndpoint, EVENT_STREAM } from '../endpoints/endpoint';
import { endpoints } from '../endpoints/registry';

/**
 * The endpoints of a path. Where one has no parameters, those with parameters do not answer: `cleanup` is no
 * volume.
 */
export function endpointsAt(path: string): readonly AnyEndpoint[] {
  const matching = endpoints().filter((endpoint) => patternOf(endpoint.path).test(path));
  const exact = matching.filter((endpoint) => !endpoint.path.includes('{'));
  return exact.length > 0 ? exact : matching;
}

let named: ReadonlyMap<string, readonly string[]> | null = null;

/**
 * The same for a method that such a path does not have. The router would try the routes with parameters, and
 * remember for the path what the first such request has found. Throws METHOD_NOT_ALLOWED.
 */
export function requireOwnMethod(method: string, path: string): void {
  named ??= new Map(
    endpoints()
      .filter((endpoint) => !endpoint.path.includes('{'))
      .map((endpoint) => [endpoint.path, methodsOf(endpoint.path)]),
  );
  const methods = named.get(path.replace(/(.)\/$/, '$1'));
  if (methods && !methods.includes(method)) throw noSuchRoute(method, path);
}

/** The methods of a path, empty when there is no such path. GET implies HEAD, except for event streams. */
export function methodsOf(path: string): readonly string[] {
  const methods = endpointsAt(path).flatMap(({ method, reply }) =>
    method === 'GET' && reply.contentType !== EVENT_STREAM ? [method, 'HEAD'] : [method],
  );
  return [...new Set(methods)].sort();
}

/** The error of a request without a route: METHOD_NOT_ALLOWED with the allowed methods, or NOT_FOUND. */
export function noSuchRoute(method: string, path: string): DaemonError {
  const allow = methodsOf(path);
  if (allow.length > 0) {
    const message = `${method.slice(0, 20)} is not allowed here; allowed: ${allow.join(', ')}`;
    return new DaemonError('METHOD_NOT_ALLOWED', message, { details: { allow } });
  }
  return pathNotFound();
}

export function pathNotFound(): DaemonError {
  return new DaemonError(
    'NOT_FOUND',
    'There is no such path: not found. GET /api/v1/openapi.json lists them all',
  );
}

/** `{id}` is one segment, possibly empty; `{path}` may be several. A final slash is allowed. */
function patternOf(path: string): RegExp {
  const escaped = path
    .replaceAll('.', '\\.')
    .replace(/\{(\w+)\}/g, (_, name) => (name === 'path' ? '.+' : '[^/]*'));
  return new RegExp(path === '/' ? '^//?$' : `^${escaped}/?$`);
}
