import type { H3Event } from 'h3';
import { LIMITS } from '../../core/limits';
import { requestHeader } from './request-header';

const SAFE_ID = new RegExp(`^[A-Za-z0-9._-]{1,${LIMITS.REQUEST_ID_CHARACTERS}}$`);

/**
 * Gives a request its id: the caller's X-Request-Id when it is safe to put in logs and error bodies, else a
 * new UUID. The response has it in X-Request-Id.
 */
export function assignRequestId(event: H3Event): void {
  const given = requestHeader(event, 'x-request-id');
  const id = given !== undefined && SAFE_ID.test(given) ? given : crypto.randomUUID();
  event.context.requestId = id;
  event.node.res.setHeader('X-Request-Id', id);
}

/** The id from assignRequestId; '' when the request failed before it. */
export function requestIdOf(event: H3Event): string {
  const id: unknown = event.context.requestId;
  return typeof id === 'string' ? id : '';
}
