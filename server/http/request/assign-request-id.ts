import { getRequestHeader, type H3Event, setResponseHeader } from 'h3';
import { LIMITS } from '../../core/limits';

const ACCEPTABLE = new RegExp(`^[A-Za-z0-9._-]{1,${LIMITS.REQUEST_ID_CHARACTERS}}$`);

/**
 * Every request has an id: the caller's X-Request-Id when it is harmless (it goes to logs and error bodies), else a fresh
 * UUID. It is answered in X-Request-Id.
 */
export function assignRequestId(event: H3Event, fresh: () => string = () => crypto.randomUUID()): void {
  const given = getRequestHeader(event, 'x-request-id');
  const id = given !== undefined && ACCEPTABLE.test(given) ? given : fresh();
  event.context.requestId = id;
  setResponseHeader(event, 'X-Request-Id', id);
}

/** The id given by assignRequestId; '' when the request never came that far. */
export function requestIdOf(event: H3Event): string {
  const id: unknown = event.context.requestId;
  return typeof id === 'string' ? id : '';
}
