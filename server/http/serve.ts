import { createHash } from 'node:crypto';
import {
  defineEventHandler,
  type EventHandler,
  getRequestHeader,
  type H3Event,
  setResponseHeader,
  setResponseStatus,
} from 'h3';
import type { Endpoint } from './endpoints/endpoint';
import { enter } from './request/concurrency-limit';
import { type Call, readRequest } from './request/read-request';
import { sendProblem } from './response/problem';

/** Returned by work that has written its answer itself (event streams). */
export const WRITTEN = Symbol('written');

/**
 * Makes the handler of a route: checks the request against its endpoint, does the work, answers with the endpoint's status
 * and type. Errors are answered here and not left to h3, which would lose what a DaemonError says.
 */
export function serve<P, Q, B, R>(
  endpoint: Endpoint<P, Q, B, R>,
  work: (call: Call<P, Q, B>) => Promise<NoInfer<R> | typeof WRITTEN> | NoInfer<R>,
): EventHandler {
  return defineEventHandler(async (event) => {
    let leave = () => {};
    try {
      const call = await readRequest(endpoint, event);
      leave = enter(endpoint);
      const reply = await work(call);
      return reply === WRITTEN ? undefined : answer(event, endpoint, reply);
    } catch (error) {
      return sendProblem(event, error);
    } finally {
      leave();
    }
  });
}

function answer<P, Q, B, R>(event: H3Event, endpoint: Endpoint<P, Q, B, R>, reply: unknown): string | null {
  const { status, contentType } = endpoint.reply;
  const body = typeof reply === 'string' && contentType !== undefined ? reply : JSON.stringify(reply);
  setResponseStatus(event, status);
  if (!event.node.res.hasHeader('content-type')) {
    setResponseHeader(event, 'Content-Type', contentType ?? 'application/json');
  }
  if (!endpoint.etag) return body;
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  setResponseHeader(event, 'ETag', etag);
  setResponseHeader(event, 'Cache-Control', 'no-cache');
  if (!matches(getRequestHeader(event, 'if-none-match'), etag)) return body;
  setResponseStatus(event, 304);
  return null;
}

/** RFC 9110: weak comparison, lists, and `*`. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/** Aborts when the client has gone away before it was answered. */
export function clientGone(event: H3Event): AbortSignal {
  const gone = new AbortController();
  event.node.res.once('close', () => gone.abort());
  return gone.signal;
}
