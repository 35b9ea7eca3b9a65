import { type H3Event, isError, removeResponseHeader, setResponseHeaders, setResponseStatus } from 'h3';
import { CloudError } from '../../cloudstack/cloud';
import { DaemonError, ERRORS, type ErrorCode, messageOf } from '../../core/errors';
import { httpLogger } from '../http-logger';
import { requestIdOf } from '../request/assign-request-id';
import type { ProblemReply } from '../schemas/problem';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ProblemReply;
  /** True for what nobody foresaw: it is logged with its cause, and the reader only learns the request id. */
  readonly unexpected: boolean;
}

/**
 * Anything thrown → what the caller reads (DESIGN section 5): RFC 9457 members, and `error`, `code`, `details` for the callers
 * that exist (facts: the Go client decodes those three). Never a stack trace, never the text of an unexpected error.
 */
export function problemOf(error: unknown, context: { requestId: string; instance: string }): Problem {
  const known = toDaemonError(error);
  const unexpected = known.code === 'INTERNAL';
  const spec = ERRORS[known.code];
  const detail = unexpected
    ? `Internal error of the volume daemon; the service journal has it under request id ${context.requestId}`
    : known.message;
  return {
    status: spec.status,
    headers: headersOf(known),
    unexpected,
    body: {
      type: `urn:volume-daemon:error:${known.code.toLowerCase().replaceAll('_', '-')}`,
      title: spec.title,
      status: spec.status,
      detail,
      instance: context.instance,
      error: detail,
      code: known.code,
      ...(known.details && !unexpected ? { details: { ...known.details } } : {}),
      fix: spec.fix,
      request_id: context.requestId,
    },
  };
}

/** Writes the reply of an error and returns its body, or null when the reply has begun and can only be cut. */
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
    const code = codeOfStatus(error.statusCode);
    if (code && !error.unhandled) return new DaemonError(code, ERRORS[code].title);
  }
  return new DaemonError('INTERNAL', messageOf(error), { cause: error });
}

/** h3 itself throws these: no route, wrong method, a body it could not take. */
function codeOfStatus(status: number): ErrorCode | null {
  switch (status) {
    case 400:
      return 'VALIDATION_FAILED';
    case 404:
      return 'NOT_FOUND';
    case 405:
      return 'METHOD_NOT_ALLOWED';
    case 413:
      return 'BODY_TOO_LARGE';
    case 415:
      return 'UNSUPPORTED_MEDIA_TYPE';
    default:
      return null;
  }
}

/** CloudStack's own text stays: callers look for "CloudStack API error 431". */
function fromCloud(error: CloudError): DaemonError {
  const retryAfterSeconds = error.retryAfter === null ? 5 : Math.ceil(error.retryAfter / 1000);
  return new DaemonError(cloudCode(error.kind), error.message, {
    cause: error,
    details: { cloudstack_code: error.code, cloudstack_text: error.text },
    ...(error.transient ? { retryAfterSeconds } : {}),
  });
}

function cloudCode(kind: CloudError['kind']): ErrorCode {
  switch (kind) {
    case 'network':
    case 'rate-limit':
    case 'capacity':
    case 'resource':
    case 'internal':
      return 'CLOUDSTACK_UNAVAILABLE';
    case 'configuration':
      return 'CLOUDSTACK_NOT_CONFIGURED';
    case 'authentication':
    case 'permission':
      return 'CLOUDSTACK_AUTH';
    case 'quota':
      return 'CLOUDSTACK_QUOTA';
    case 'parameter':
    case 'unsupported':
      return 'CLOUDSTACK_REJECTED';
    default:
      return kind satisfies never;
  }
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
