import { z } from 'zod';
import type { ErrorCode } from '../../core/errors';
import type { Role } from '../../daemon/access/tokens';

/**
 * One endpoint of the API, declared once: its route validates with it, the OpenAPI document is made from it,
 * 404 and 405 are told apart with it, and the tests check every reply against it.
 */
export interface Endpoint<Params, Query, Body, Reply> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As in OpenAPI: `/api/v1/volumes/{id}`. A parameter named `path` may contain slashes. */
  readonly path: string;
  /**
   * Which role a caller needs; `open`: also a caller without a token. Without this an endpoint does not
   * compile.
   */
  readonly access: 'open' | Role;
  readonly tag: 'volumes' | 'operations' | 'devices' | 'exports' | 'service' | 'diagnostics';
  readonly summary: string;
  readonly description?: string;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  /** With NONE the body of a request is ignored. */
  readonly body: z.ZodType<Body>;
  readonly bodyExample?: unknown;
  readonly reply: {
    readonly status: 200 | 201;
    readonly description: string;
    readonly schema: z.ZodType<Reply>;
    /** Default application/json. */
    readonly contentType?: string;
    /** Of an event stream: the data of its events, by their names. */
    readonly events?: Readonly<Record<string, z.ZodType>>;
    /** Headers that do not follow from the other properties, with what they say. */
    readonly headers?: Readonly<Record<string, string>>;
  };
  /** Codes of the errors that do not follow from the other properties (see `errorsOf`). */
  readonly errors?: readonly ErrorCode[];
  /** The request starts an operation: it takes an Idempotency-Key, the reply has a Location header. */
  readonly startsOperation?: boolean;
  /** Takes `?wait=` and `Prefer: wait`. */
  readonly waits?: boolean;
  /** For what costs more than a query: how many requests are served at a time; others get RATE_LIMITED. */
  readonly maxConcurrent?: number;
  /**
   * The reply has an ETag, and is 304 when If-None-Match names it. `times-aside`: the time of a look (`at`,
   * `age_seconds`) alone makes no other reply.
   */
  readonly etag?: true | 'times-aside';
}

/** An endpoint whose types no longer matter: what the registry holds. */
export type AnyEndpoint = Endpoint<unknown, unknown, unknown, unknown>;

export const EVENT_STREAM = 'text/event-stream';

/** The schema of parameters, a query or a body that an endpoint does not have. */
const NONE = z.object({});
/** Spread into an endpoint, followed by the input that it does have. */
export const noInput = { params: NONE, query: NONE, body: NONE };

/** Keeps the inferred types of one endpoint. */
export function endpoint<Params, Query, Body, Reply>(
  definition: Endpoint<Params, Query, Body, Reply>,
): Endpoint<Params, Query, Body, Reply> {
  return definition;
}

export function takesBody(endpoint: { readonly body: unknown }): boolean {
  return endpoint.body !== NONE;
}

export function takesParams(endpoint: { readonly params: unknown }): boolean {
  return endpoint.params !== NONE;
}

/** What a request of this method may change must not depend on a name that nobody reads. */
export function changesSomething(endpoint: { readonly method: string }): boolean {
  return endpoint.method !== 'GET';
}

/** Errors that any request can meet before it reaches its endpoint. */
export const COMMON_ERRORS: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN_ORIGIN',
  'FORBIDDEN_HOST',
  'BODY_TOO_LARGE',
  'INTERNAL',
  'STARTING',
];

/** Errors of every endpoint that asks CloudStack. */
export const CLOUDSTACK_ERRORS = [
  'CLOUDSTACK_UNAVAILABLE',
  'CLOUDSTACK_NOT_CONFIGURED',
  'CLOUDSTACK_AUTH',
  'CLOUDSTACK_REJECTED',
  'CLOUDSTACK_QUOTA',
  'DATABASE_UNAVAILABLE',
] as const;

const START_ERRORS = [
  'IDEMPOTENCY_KEY_REUSED',
  'STOPPING',
  'STANDBY',
  'DATABASE_UNAVAILABLE',
  'QUEUE_FULL',
  'LEASE_LOST',
] as const;

/** Every error of an endpoint: what follows from its input, its own, and the common ones. */
export function errorsOf(endpoint: AnyEndpoint): readonly ErrorCode[] {
  const { access, query, startsOperation, maxConcurrent, errors = [] } = endpoint;
  const takesInput =
    takesParams(endpoint) || query !== NONE || takesBody(endpoint) || changesSomething(endpoint);
  return [
    ...(takesInput ? (['VALIDATION_FAILED'] as const) : []),
    ...(takesBody(endpoint) ? (['MALFORMED_JSON', 'UNSUPPORTED_MEDIA_TYPE'] as const) : []),
    ...(startsOperation ? START_ERRORS : []),
    // The least of the roles has no other below it.
    ...(access === 'operate' || access === 'admin' ? (['FORBIDDEN_ROLE'] as const) : []),
    ...(maxConcurrent === undefined ? [] : (['RATE_LIMITED'] as const)),
    ...errors,
    ...COMMON_ERRORS,
  ];
}
