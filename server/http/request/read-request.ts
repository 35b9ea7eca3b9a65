import { getRouterParams, type H3Event } from 'h3';
import type { z } from 'zod';
import type { FieldIssue } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { currentDaemon } from '../../daemon/current';
import type { Daemon } from '../../daemon/daemon';
import { isPartKey } from '../../model/part-key';
import { changesSomething, type Endpoint, takesBody, takesParams } from '../endpoints/endpoint';
import { fieldsOf, ignoredFields, readQuery, shown } from './known-names';
import { NO_JSON, readJson } from './read-json';
import { requestHeader } from './request-header';
import { fieldIssues, validationError } from './validation-error';

/** A request whose parameters, query and body have passed the schemas of its endpoint. */
export interface CheckedRequest<Params, Query, Body> {
  readonly event: H3Event;
  /** Throws STARTING until the daemon has been built. */
  readonly daemon: Daemon;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly idempotencyKey: string | null;
  /** How long the caller will wait for the operation to end; 0 = not at all. */
  readonly waitMs: number;
  /** Fields of the body that the endpoint does not know. */
  readonly ignored: readonly string[];
}

/** What is known of a request before its body has been read. */
interface Head<Params, Query> {
  readonly params: { readonly value: Params } | null;
  readonly query: { readonly value: Query } | null;
  readonly idempotencyKey: string | null;
  readonly waitMs: number;
  readonly issues: FieldIssue[];
}

/**
 * Checks everything a request carries and reports every invalid field at once. A promise only when there may
 * be a body to wait for.
 * Errors: VALIDATION_FAILED with details.fields, and those of readJson.
 */
export function readRequest<P, Q, B, R>(
  endpoint: Endpoint<P, Q, B, R>,
  event: H3Event,
): CheckedRequest<P, Q, B> | Promise<CheckedRequest<P, Q, B>> {
  const issues: FieldIssue[] = [];
  const params = check(endpoint.params, pathParams(endpoint, event), issues);
  const { wait, ...given } = readQuery(endpoint, event.path, issues);
  const query = check(endpoint.query, given, issues);
  const idempotencyKey = endpoint.startsOperation ? readIdempotencyKey(event, issues) : null;
  const waitMs = endpoint.waits ? readWait(event, wait, issues) : 0;
  const head = { params, query, idempotencyKey, waitMs, issues };
  // The body is read last, but its fields are reported together with the rest.
  if (!takesBody(endpoint) && !changesSomething(endpoint)) return whole(endpoint, event, head, {});
  return readBody(endpoint, event, issues).then((json) => whole(endpoint, event, head, json));
}

function whole<P, Q, B, R>(
  endpoint: Endpoint<P, Q, B, R>,
  event: H3Event,
  { params, query, idempotencyKey, waitMs, issues }: Head<P, Q>,
  json: unknown,
): CheckedRequest<P, Q, B> {
  const body = check(endpoint.body, json, issues);
  const ignored = ignoredFields(endpoint, json, issues);
  if (issues.length > 0 || !params || !query || !body) throw validationError(issues);
  return {
    event,
    get daemon() {
      return currentDaemon();
    },
    params: params.value,
    query: query.value,
    body: body.value,
    idempotencyKey,
    waitMs,
    ignored,
  };
}

/** Of an endpoint without a body whatever is sent is accepted: its fields are named as ignored. */
async function readBody(
  endpoint: { readonly body: unknown },
  event: H3Event,
  issues: FieldIssue[],
): Promise<unknown> {
  const isRead = takesBody(endpoint);
  const { value, repeated } = await (isRead ? readJson(event) : readJson(event).catch(() => NO_JSON));
  for (const name of repeated) issues.push({ field: shown(name), message: 'must be given only once' });
  return (isRead ? value : fieldsOf(value)) ?? {};
}

function check<T>(schema: z.ZodType<T>, input: unknown, issues: FieldIssue[]): { value: T } | null {
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data };
  issues.push(...fieldIssues(result.error));
  return null;
}

/** h3 leaves %2F encoded in path parameters, so they are decoded here: a device path may contain slashes. */
function pathParams(endpoint: { readonly params: unknown }, event: H3Event): Record<string, string> {
  if (!takesParams(endpoint)) return {};
  return Object.fromEntries(
    Object.entries(getRouterParams(event)).map(([name, value]) => [name, decodeSegment(value)]),
  );
}

function decodeSegment(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

const KEY = new RegExp(`^[\\x21-\\x7e][\\x20-\\x7e]{0,${LIMITS.IDEMPOTENCY_KEY_CHARACTERS - 1}}$`);

function readIdempotencyKey(event: H3Event, issues: FieldIssue[]): string | null {
  const key = requestHeader(event, 'idempotency-key');
  if (key === undefined) return null;
  const message = !KEY.test(key)
    ? `must be 1 to ${LIMITS.IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters`
    : isPartKey(key)
      ? 'is the key of a part of a snapshot group, which the group itself uses; choose another'
      : null;
  if (message === null) return key;
  issues.push({ field: 'Idempotency-Key', message });
  return null;
}

/** `?wait=25s`, `?wait=25`, `?wait=1500ms`, or `Prefer: wait=25` (RFC 7240); longer waits are capped. */
function readWait(event: H3Event, wait: string | undefined, issues: FieldIssue[]): number {
  const maxMs = LIMITS.LONG_POLL_SECONDS * 1000;
  if (wait !== undefined) {
    const match = /^(\d{1,6})(ms|s)?$/.exec(wait);
    if (match) return Math.min(maxMs, Number(match[1]) * (match[2] === 'ms' ? 1 : 1000));
    issues.push({
      field: 'wait',
      message: `must be a time up to ${LIMITS.LONG_POLL_SECONDS}s, like 25s or 500ms`,
    });
    return 0;
  }
  // RFC 7240: a preference that cannot be parsed is ignored.
  const preferred = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?:$|[,;\s])/i.exec(
    requestHeader(event, 'prefer') ?? '',
  );
  return preferred ? Math.min(maxMs, Number(preferred[1]) * 1000) : 0;
}
