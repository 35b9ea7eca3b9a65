import { z } from 'zod';
import type { ErrorCode } from '../../core/errors';

export type Method = 'GET' | 'POST' | 'DELETE';
export type Tag = 'volumes' | 'operations' | 'devices' | 'exports' | 'service' | 'diagnostics';

/**
 * One endpoint of the API, said once: the route validates with it, the OpenAPI document is made from it, 404 and 405 are told
 * apart with it, and the tests check every reply against it.
 */
export interface Endpoint<Params, Query, Body, Reply> {
  readonly method: Method;
  /** As in OpenAPI: `/api/v1/volumes/{id}`. A parameter named `path` may hold slashes. */
  readonly path: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  readonly params: z.ZodType<Params>;
  readonly query: z.ZodType<Query>;
  /** NONE: a body is not looked at. */
  readonly body: z.ZodType<Body>;
  readonly bodyExample?: unknown;
  readonly reply: ReplySpec<Reply>;
  /** Codes of the errors of its own; those every request can meet (EVERYWHERE) are added. */
  readonly errors: readonly ErrorCode[];
  /** Takes an Idempotency-Key and answers with a Location header: the requests for operations. */
  readonly accepts?: boolean;
  /** Takes `?wait=` and `Prefer: wait`. */
  readonly waits?: boolean;
  /** Calls answered at the same time at most, for those that cost more than a query (./turnstile.ts); more are RATE_LIMITED. */
  readonly atOnce?: number;
  /** Answers with an ETag, and 304 to If-None-Match. */
  readonly etag?: boolean;
}

export interface ReplySpec<Reply> {
  readonly status: 200 | 201;
  readonly description: string;
  readonly schema: z.ZodType<Reply>;
  /** Default application/json. */
  readonly contentType?: string;
}

/** An endpoint whose types no longer matter: what the registry holds. */
export type AnyEndpoint = Endpoint<unknown, unknown, unknown, unknown>;

/** Errors any request can meet before it reaches its endpoint. */
export const EVERYWHERE: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN_ORIGIN',
  'FORBIDDEN_HOST',
  'BODY_TOO_LARGE',
  'INTERNAL',
  'STARTING',
];

/** The schema of what a request does not have. */
export const NONE = z.object({});
/** Spread into an endpoint, then say what it does have. */
export const nothing = { params: NONE, query: NONE, body: NONE };

/** Keeps the inferred types of one endpoint. */
export function endpoint<Params, Query, Body, Reply>(
  definition: Endpoint<Params, Query, Body, Reply>,
): Endpoint<Params, Query, Body, Reply> {
  return definition;
}
