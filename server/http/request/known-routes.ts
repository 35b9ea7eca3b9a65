import { DaemonError } from '../../core/errors';
import { type AnyEndpoint, EVENT_STREAM } from '../endpoints/endpoint';
import { endpoints } from '../endpoints/registry';

/** The endpoints of a path. As in the router, one without parameters wins, and the others answer the methods that it does not have. */
export function endpointsAt(path: string): readonly AnyEndpoint[] {
  const matching = endpoints().filter((endpoint) => patternOf(endpoint.path).test(path));
  const exact = matching.filter((endpoint) => !endpoint.path.includes('{'));
  return [...exact, ...matching.filter((endpoint) => !exact.includes(endpoint))];
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
