import { type H3Event, isError, removeResponseHeader, setResponseHeaders, setResponseStatus } from 'h3';
import { CloudError } from '../../cloudstack/cloud';
import { CODE_OF_KIND } from '../../cloudstack/errors';
import { DaemonError, ERRORS, type ErrorCode, messageOf } from '../../core/errors';
import { httpLogger } from '../http-logger';
import { requestIdOf } from '../request/assign-request-id';
import type { ProblemReply } from '../schemas/problem';

export const PROBLEM_TYPE = 'application/problem+json';

/**
 * Turns anything thrown into the reply of an error: the members of RFC 9457, and `error`, `code`, `details`,
 * which existing callers decode. Never a stack trace, never the text of an unexpected error: that is only
 * logged.
 */
export function problemOf(error: unknown, context: { requestId: string; instance: string }) {
  const known = toDaemonError(error);
  const unexpected = known.code === 'INTERNAL';
  const { status, title, fix } = ERRORS[known.code];
  const detail = unexpected
    ? `Internal error of the volume daemon; the service journal has it under request id ${context.requestId}`
    : known.message;
  const body: ProblemReply = {
    type: `urn:volume-daemon:error:${known.code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail,
    instance: context.instance,
    error: detail,
    code: known.code,
    ...(known.details && !unexpected ? { details: { ...known.details } } : {}),
    fix,
    request_id: context.requestId,
  };
  return { status, headers: headersOf(known), body };
}

/** Sends status and headers of an error, returns its body; null if a reply had begun and was cut. */
export function sendProblem(event: H3Event, error: unknown): string | null {
  const instance = event.node.req.originalUrl ?? event.node.req.url ?? event.path;
  const problem = problemOf(error, {
    requestId: requestIdOf(event),
    instance: instance.split('?')[0] ?? '/',
  });
  if (problem.status === 500) {
    httpLogger().error('A request failed unexpectedly', {
      request_id: problem.body.request_id,
      method: event.method,
      path: problem.body.instance,
      reason: messageOf(error),
      error,
    });
  }
  if (event.node.res.headersSent) {
    event.node.res.destroy();
    return null;
  }
  for (const stale of ['ETag', 'Location', 'Content-Length', 'Content-Type', 'Link'])
    removeResponseHeader(event, stale);
  setResponseStatus(event, problem.status);
  setResponseHeaders(event, {
    ...problem.headers,
    'Content-Type': PROBLEM_TYPE,
    'Cache-Control': 'no-store',
  });
  return JSON.stringify(problem.body);
}

function toDaemonError(error: unknown): DaemonError {
  if (error instanceof DaemonError) return error;
  if (error instanceof CloudError) return fromCloud(error);
  if (isError(error)) {
    if (error.cause instanceof DaemonError) return error.cause;
    if (error.cause instanceof CloudError) return fromCloud(error.cause);
    const code = CODE_OF_STATUS[error.statusCode];
    if (code && !error.unhandled) return new DaemonError(code, ERRORS[code].title);
  }
  return new DaemonError('INTERNAL', messageOf(error), { cause: error });
}

/** Errors that h3 itself throws: no route, wrong method, a body it cannot take. */
const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'VALIDATION_FAILED',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  413: 'BODY_TOO_LARGE',
  415: 'UNSUPPORTED_MEDIA_TYPE',
};

/** Keeps CloudStack's own text: callers look for "CloudStack API error 431". */
function fromCloud(error: CloudError): DaemonError {
  const retryAfterSeconds = error.retryAfterMs === null ? 5 : Math.ceil(error.retryAfterMs / 1000);
  return new DaemonError(CODE_OF_KIND[error.kind], error.message, {
    cause: error,
    details: { cloudstack_code: error.code, cloudstack_text: error.text },
    ...(error.transient ? { retryAfterSeconds } : {}),
  });
}

function headersOf(error: DaemonError): Record<string, string> {
  const headers: Record<string, string> = {};
  const { status } = error;
  if (status === 503 || status === 429)
    headers['Retry-After'] = String(Math.max(1, Math.ceil(error.retryAfterSeconds ?? 5)));
  else if (error.retryAfterSeconds !== undefined)
    headers['Retry-After'] = String(Math.ceil(error.retryAfterSeconds));
  if (error.code === 'UNAUTHORIZED') headers['WWW-Authenticate'] = 'Bearer realm="volume-daemon"';
  const allow = error.details?.allow;
  if (error.code === 'METHOD_NOT_ALLOWED' && Array.isArray(allow)) headers.Allow = allow.join(', ');
  return headers;
}
