import { createHash } from 'node:crypto';
import {
  defineEventHandler,
  type EventHandler,
  getRequestHeader,
  type H3Event,
  setResponseHeader,
  setResponseStatus,
} from 'h3';
import type { Span } from '../core/tracing';
import { changesSomething, type Endpoint } from './endpoints/endpoint';
import { httpLogger } from './http-logger';
import { httpTracing } from './http-tracing';
import { callerOf } from './request/caller';
import { acquireSlot } from './request/concurrency-limit';
import { requireRole } from './request/guard';
import { type CheckedRequest, readRequest } from './request/read-request';
import { spanOf } from './request/request-span';
import { sendProblem } from './response/problem';

/** Returned by a handler that has written the response itself (event streams). */
export const ALREADY_SENT = Symbol('already sent');

/**
 * Makes the handler of a route: checks the request against its endpoint, calls `handle`, and sends the reply.
 * Errors are answered here: h3 would drop the code and details of a DaemonError.
 *
 * ```ts
 * export default serve(readExport, async ({ daemon, params }) =>
 *   exportReply(await daemon.exports.read(params.volume_id)),
 * );
 * ```
 */
export function serve<P, Q, B, R>(
  endpoint: Endpoint<P, Q, B, R>,
  handle: (request: CheckedRequest<P, Q, B>) => Promise<NoInfer<R> | typeof ALREADY_SENT> | NoInfer<R>,
): EventHandler {
  return defineEventHandler(async (event) => {
    let release = () => {};
    try {
      requireRole(event, endpoint.access);
      const request = await readRequest(endpoint, event);
      release = acquireSlot(endpoint);
      noteChange(endpoint, event);
      const reply = await httpTracing().during(namedSpan(endpoint, event), () => handle(request));
      if (reply === ALREADY_SENT) return undefined;
      const { ignored } = request;
      return respond(event, endpoint, ignored.length === 0 ? reply : Object.assign({}, reply, { ignored }));
    } catch (error) {
      return sendProblem(event, error);
    } finally {
      release();
    }
  });
}

function namedSpan(
  { method, path }: { readonly method: string; readonly path: string },
  event: H3Event,
): Span {
  const span = spanOf(event);
  span.rename(`${method} ${path}`);
  span.set({ 'http.route': path, 'volume_daemon.actor': callerOf(event).actor });
  return span;
}

const TIMES_OF_A_LOOK: ReadonlySet<string> = new Set(['at', 'age_seconds']);

/** Who asked for a change that is no operation; an operation has it in its own lines. */
function noteChange(
  endpoint: { readonly method: string; readonly startsOperation?: boolean },
  event: H3Event,
): void {
  if (!changesSomething(endpoint) || endpoint.startsOperation) return;
  const { actor, requestId, traceparent } = callerOf(event);
  httpLogger().info('A change was asked for', {
    method: event.method,
    path: event.path.split('?')[0],
    actor,
    request_id: requestId,
    ...(traceparent !== null && { traceparent }),
  });
}

function respond<P, Q, B, R>(event: H3Event, endpoint: Endpoint<P, Q, B, R>, reply: unknown): string | null {
  const { status, contentType } = endpoint.reply;
  const body = typeof reply === 'string' && contentType !== undefined ? reply : JSON.stringify(reply);
  setResponseStatus(event, status);
  if (!event.node.res.hasHeader('content-type')) {
    setResponseHeader(event, 'Content-Type', contentType ?? 'application/json');
  }
  if (!endpoint.etag) return body;
  const isWeak = endpoint.etag === 'times-aside';
  const hashed = isWeak
    ? JSON.stringify(reply, (name, value) => (TIMES_OF_A_LOOK.has(name) ? undefined : value))
    : body;
  const etag = `"${createHash('sha256').update(hashed).digest('base64url').slice(0, 22)}"`;
  setResponseHeader(event, 'ETag', isWeak ? `W/${etag}` : etag);
  setResponseHeader(event, 'Cache-Control', 'no-cache');
  if (!matches(getRequestHeader(event, 'if-none-match'), etag)) return body;
  setResponseStatus(event, 304);
  return null;
}

/** If-None-Match of RFC 9110: weak comparison, lists, and `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/** Aborted when the connection closes, also before the response has been sent. */
export function connectionClosed(event: H3Event): AbortSignal {
  const closed = new AbortController();
  event.node.res.once('close', () => closed.abort());
  return closed.signal;
}
