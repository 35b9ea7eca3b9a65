import { hash } from 'node:crypto';
import { defineEventHandler, type EventHandler, type H3Event } from 'h3';
import type { Span } from '../core/tracing';
import { changesSomething, type Endpoint } from './endpoints/endpoint';
import { httpLogger } from './http-logger';
import { httpTracing } from './http-tracing';
import { callerOf } from './request/caller';
import { acquireSlot } from './request/concurrency-limit';
import { requireRole } from './request/guard';
import { type CheckedRequest, readRequest } from './request/read-request';
import { requestHeader } from './request/request-header';
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
      const checked = readRequest(endpoint, event);
      const request = checked instanceof Promise ? await checked : checked;
      release = acquireSlot(endpoint);
      noteChange(endpoint, event);
      const made = httpTracing().during(namedSpan(endpoint, event), () => handle(request));
      const reply = made instanceof Promise ? await made : made;
      if (reply === ALREADY_SENT) return;
      const { ignored } = request;
      respond(event, endpoint, ignored.length === 0 ? reply : Object.assign({}, reply, { ignored }));
    } catch (error) {
      finish(event, sendProblem(event, error));
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
  if (span.traceparent === null) return span;
  span.rename(`${method} ${path}`);
  span.set({ 'http.route': path, 'volume_daemon.actor': callerOf(event).actor });
  return span;
}

/** Fields of JSON only: inside a string the quotes around such a name would be escaped. */
const TIMES_OF_A_LOOK = /"(?:at|age_seconds)":(?:"[^"]*"|[\d.]+|null)/g;

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

function respond<P, Q, B, R>(event: H3Event, endpoint: Endpoint<P, Q, B, R>, reply: unknown): void {
  const { res } = event.node;
  const { status, contentType } = endpoint.reply;
  const body = typeof reply === 'string' && contentType !== undefined ? reply : JSON.stringify(reply);
  res.statusCode = status;
  if (!res.hasHeader('content-type')) res.setHeader('Content-Type', contentType ?? 'application/json');
  finish(event, endpoint.etag && isUnchanged(event, endpoint.etag, body) ? null : body);
}

/** Gives the reply its ETag. When the caller has it already the status is 304, and no body follows. */
function isUnchanged(event: H3Event, kind: true | 'times-aside', body: string): boolean {
  const { res } = event.node;
  const isWeak = kind === 'times-aside';
  const hashed = isWeak ? body.replace(TIMES_OF_A_LOOK, '') : body;
  const etag = `"${hash('sha256', hashed, 'base64url').slice(0, 22)}"`;
  res.setHeader('ETag', isWeak ? `W/${etag}` : etag);
  res.setHeader('Cache-Control', 'no-cache');
  if (!matches(requestHeader(event, 'if-none-match'), etag)) return false;
  res.statusCode = 304;
  return true;
}

/** At once: h3 would wait for the next turn of the loop. */
function finish(event: H3Event, body: string | null): void {
  if (!event.handled) event.node.res.end(body ?? undefined);
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
