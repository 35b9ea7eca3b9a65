import { getQuery, getRequestHeader, getRouterParams, type H3Event } from 'h3';
import { z } from 'zod';
import { DaemonError, type FieldIssue } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Endpoint, NONE } from '../endpoints/endpoint';
import { readJson } from './read-json';

/** A request that has been checked. */
export interface Call<Params, Query, Body> {
  readonly event: H3Event;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly idempotencyKey: string | null;
  /** ms the caller is willing to wait for the end of the operation; 0 = not at all. */
  readonly waitMs: number;
}

/**
 * Checks everything a request carries and reports every wrong field at once.
 * Errors: VALIDATION_FAILED with details.fields, and those of readJson.
 */
export async function readRequest<P, Q, B, R>(
  endpoint: Endpoint<P, Q, B, R>,
  event: H3Event,
): Promise<Call<P, Q, B>> {
  const issues: FieldIssue[] = [];
  const params = check(endpoint.params, pathParams(event), issues);
  const query = check(endpoint.query, givenQuery(event, namesOf(endpoint.query), issues), issues);
  const idempotencyKey = endpoint.accepts ? readIdempotencyKey(event, issues) : null;
  const waitMs = endpoint.waits ? readWait(event, issues) : 0;
  // The body is read last, but its fields are reported together with the rest.
  const given = takesBody(endpoint) ? ((await readJson(event)) ?? {}) : {};
  const body = check(endpoint.body, given, issues);
  if (issues.length > 0 || !params || !query || !body) throw validationError(issues);
  return { event, params: params.value, query: query.value, body: body.value, idempotencyKey, waitMs };
}

/** `The request is not valid: size must be …; name is required: …`, with the fields in details. */
export function validationError(issues: readonly FieldIssue[]): DaemonError {
  const shown = issues
    .slice(0, 8)
    .map(({ field, message }) => (field === '' ? `the body ${message}` : `${field} ${message}`));
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : '';
  return new DaemonError('VALIDATION_FAILED', `The request is not valid: ${shown.join('; ')}${more}`, {
    details: { fields: issues.slice(0, LIMITS.FIELD_ISSUES) },
  });
}

/** The first complaint of every wrong field, in the order of the schema. */
export function fieldIssues(error: z.ZodError): FieldIssue[] {
  const byField = new Map<string, string>();
  for (const issue of error.issues) {
    const field = issue.path.map((part) => String(part).slice(0, 64)).join('.');
    if (!byField.has(field)) byField.set(field, field === '' ? 'must be a JSON object' : issue.message);
  }
  return [...byField].map(([field, message]) => ({ field, message }));
}

export function takesBody(endpoint: { readonly body: unknown }): boolean {
  return endpoint.body !== NONE;
}

function check<T>(schema: z.ZodType<T>, input: unknown, issues: FieldIssue[]): { value: T } | null {
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data };
  issues.push(...fieldIssues(result.error));
  return null;
}

/** h3 leaves %2F undecoded on purpose; an id never has one, a device path may. */
function pathParams(event: H3Event): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [name, value] of Object.entries(getRouterParams(event))) params[name] = decodeSegment(value);
  return params;
}

function decodeSegment(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** The fields a schema knows. */
function namesOf(schema: z.ZodType): ReadonlySet<string> {
  return new Set(schema instanceof z.ZodObject ? Object.keys(schema.shape) : []);
}

/** Clients write filters they do not use as `status=`; those count as not given. What an endpoint does not know is ignored. */
function givenQuery(
  event: H3Event,
  known: ReadonlySet<string>,
  issues: FieldIssue[],
): Record<string, unknown> {
  const given = Object.entries(getQuery(event)).filter(([name, value]) => value !== '' && known.has(name));
  for (const [field, value] of given) {
    if (Array.isArray(value)) issues.push({ field, message: 'must be given only once' });
  }
  return Object.fromEntries(given.filter(([, value]) => !Array.isArray(value)));
}

const KEY = new RegExp(`^[\\x21-\\x7e][\\x20-\\x7e]{0,${LIMITS.IDEMPOTENCY_KEY_CHARACTERS - 1}}$`);

function readIdempotencyKey(event: H3Event, issues: FieldIssue[]): string | null {
  const key = getRequestHeader(event, 'idempotency-key');
  if (key === undefined) return null;
  if (KEY.test(key)) return key;
  issues.push({
    field: 'Idempotency-Key',
    message: `must be 1 to ${LIMITS.IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters`,
  });
  return null;
}

/** `?wait=25s`, `?wait=25`, `?wait=1500ms`, or `Prefer: wait=25` (RFC 7240). Longer waits are cut to the longest we do. */
function readWait(event: H3Event, issues: FieldIssue[]): number {
  const longest = LIMITS.LONG_POLL_SECONDS * 1000;
  const { wait } = getQuery(event);
  if (wait !== undefined && wait !== '') {
    const match = /^(\d{1,6})(ms|s)?$/.exec(String(wait));
    if (match) return Math.min(longest, Number(match[1]) * (match[2] === 'ms' ? 1 : 1000));
    issues.push({
      field: 'wait',
      message: `must be a time up to ${LIMITS.LONG_POLL_SECONDS}s, like 25s or 500ms`,
    });
    return 0;
  }
  // A preference that cannot be understood is ignored, says the RFC.
  const preferred = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?:$|[,;\s])/i.exec(
    getRequestHeader(event, 'prefer') ?? '',
  );
  return preferred ? Math.min(longest, Number(preferred[1]) * 1000) : 0;
}
