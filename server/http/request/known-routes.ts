import { DaemonError } from '../../core/errors';
import type { AnyEndpoint } from '../endpoints/endpoint';
import { endpoints } from '../endpoints/registry';

interface KnownPath {
  readonly pattern: RegExp;
  /** Without parameters. */
  readonly fixed: boolean;
  readonly methods: string[];
}

let known: KnownPath[] | null = null;

/** The methods of a path, null when there is no such path. GET brings HEAD along, except for event streams. */
export function methodsOf(path: string): readonly string[] | null {
  known ??= compile(endpoints());
  const matching = known.filter(({ pattern }) => pattern.test(path));
  // As the router: a path without parameters hides the one whose parameter it could be (exports/validate, exports/{volume_id}).
  const exact = matching.filter(({ fixed }) => fixed);
  const found = exact.length > 0 ? exact : matching;
  return found.length === 0 ? null : [...new Set(found.flatMap(({ methods }) => methods))].sort();
}

export function answersHead(path: string): boolean {
  return methodsOf(path)?.includes('HEAD') ?? false;
}

/** What a request that met no route is told: METHOD_NOT_ALLOWED naming the allowed ones, or NOT_FOUND. */
export function noSuchRoute(method: string, path: string): DaemonError {
  const allow = methodsOf(path);
  if (allow) {
    const message = `${method.slice(0, 20)} is not allowed here; allowed: ${allow.join(', ')}`;
    return new DaemonError('METHOD_NOT_ALLOWED', message, { details: { allow } });
  }
  return new DaemonError(
    'NOT_FOUND',
    'There is no such path: not found. GET /api/v1/openapi.json lists them all',
  );
}

function compile(all: readonly AnyEndpoint[]): KnownPath[] {
  const byPath = new Map<string, string[]>();
  for (const { path, method, reply } of all) {
    const methods = byPath.get(path) ?? [];
    methods.push(method);
    if (method === 'GET' && reply.contentType !== 'text/event-stream') methods.push('HEAD');
    byPath.set(path, methods);
  }
  return [...byPath].map(([path, methods]) => ({
    pattern: patternOf(path),
    fixed: !path.includes('{'),
    methods,
  }));
}

/** `{id}` is one segment (an empty one is a wrong id), `{path}` may be several. A slash more at the end is forgiven, as by the router. */
export function patternOf(path: string): RegExp {
  const escaped = path
    .replaceAll('.', '\\.')
    .replace(/\{(\w+)\}/g, (_, name) => (name === 'path' ? '.+' : '[^/]*'));
  return new RegExp(path === '/' ? '^//?$' : `^${escaped}/?$`);
}
