import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors';
import { LIMITS } from '../core/limits';
import { type AnyEndpoint, changesSomething, errorsOf, takesBody } from './endpoints/endpoint';
import { namedEndpoints } from './endpoints/registry';
import { PROBLEM_TYPE } from './response/problem';
import { ignoredSchema } from './schemas/fields';
import { problemSchema } from './schemas/problem';

type Json = Record<string, unknown>;

/**
 * The OpenAPI 3.1 document, from the same schemas that check requests. Schemas with an id in their metadata
 * become components of that name. Pure: the route keeps the result.
 */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const { name, endpoint } of namedEndpoints()) {
    paths[endpoint.path] = {
      ...paths[endpoint.path],
      [endpoint.method.toLowerCase()]: operationOf(name, endpoint),
    };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Volume Management Daemon',
      version,
      description:
        'The one owner of CloudStack volumes, Linux devices and NBD exports on a MigrateKit appliance.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://localhost:8090' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: components(),
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description:
            'Only when TOKEN_FILE or TOKENS_FILE is set. The role that is needed is named; each includes those before it: read, operate, admin.',
        },
      },
    },
  };
}

const TAGS: Readonly<Record<AnyEndpoint['tag'], string>> = {
  volumes: 'Create, attach, detach, delete and recover volumes',
  operations: 'What was asked for, step by step',
  devices: 'Which disk of this guest is which volume',
  exports: 'Volumes served over NBD',
  service: 'Health, metrics, sync and pages',
  diagnostics: 'What an operator asks when something is wrong',
};

function operationOf(name: string, endpoint: AnyEndpoint): Json {
  return {
    operationId: name,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    security: endpoint.access === 'open' ? [{}] : [{}, { token: [endpoint.access] }],
    ...(endpoint.description && { description: endpoint.description }),
    parameters: [
      ...parameters(endpoint.params, 'path'),
      ...parameters(endpoint.query, 'query', !changesSomething(endpoint)),
      ...optionalParameters(endpoint),
    ],
    ...(takesBody(endpoint) && { requestBody: requestBody(endpoint) }),
    responses: responses(endpoint),
  };
}

function parameters(schema: z.ZodType, place: 'path' | 'query', isRead = false): Json[] {
  const { properties, required } = requestSchema(schema);
  if (!isJson(properties)) return [];
  return Object.entries(properties).map(([name, property]) => {
    const isRequired = place === 'path' || (Array.isArray(required) && required.includes(name));
    return { name, in: place, required: isRequired, schema: property, ...(isRead && emptyValue(isRequired)) };
  });
}

/** A read takes a query without a value, like `status=`, as not given. */
function emptyValue(isRequired: boolean): Json {
  return isRequired ? {} : { allowEmptyValue: true };
}

function optionalParameters(endpoint: AnyEndpoint): Json[] {
  const { startsOperation, waits, etag, reply } = endpoint;
  const parameters: Json[] = [];
  const add = (place: 'header' | 'query', name: string, description: string, more: Json = {}) => {
    const schema = { type: 'string', ...more };
    const mayBeEmpty = place === 'query' && !changesSomething(endpoint);
    parameters.push({
      name,
      in: place,
      required: false,
      schema,
      description,
      ...(mayBeEmpty && emptyValue(false)),
    });
  };
  if (startsOperation)
    add('header', 'Idempotency-Key', 'The same key and body give the same operation for 24 hours.', {
      pattern: '^[\\x21-\\x7e][\\x20-\\x7e]*$',
      minLength: 1,
      maxLength: LIMITS.IDEMPOTENCY_KEY_CHARACTERS,
    });
  if (waits) {
    const maxSeconds = LIMITS.LONG_POLL_SECONDS;
    add('query', 'wait', `Answer when the operation has ended, at most ${maxSeconds}s.`, {
      pattern: '^\\d{1,6}(ms|s)?$',
    });
    add('header', 'Prefer', 'wait=N, in seconds', { examples: ['wait=10'] });
  }
  if (etag) add('header', 'If-None-Match', 'The ETag of an earlier answer; 304 when nothing has changed.');
  if (reply.events)
    add('header', 'Last-Event-ID', 'The id of the last event that was read; what is no number is ignored.', {
      examples: ['42'],
    });
  add('header', 'X-Request-Id', 'Kept with the operation and in the log; without it one is made.');
  add('header', 'traceparent', 'W3C trace context, kept with the operation.');
  return parameters;
}

const DIGITS: Json = { pattern: '^[0-9]{1,16}$' };

/** Where nothing has to be sent, null counts as nothing. */
function requestBody({ body, bodyExample }: AnyEndpoint): Json {
  const schema = requestSchema(body);
  const required = Array.isArray(schema.required) && schema.required.length > 0;
  const whole = required ? schema : { ...schema, type: [schema.type, 'null'] };
  const example = bodyExample !== undefined && { example: bodyExample };
  return { required, content: { 'application/json': { schema: whole, ...example } } };
}

function responses(endpoint: AnyEndpoint): Json {
  const { reply, startsOperation, waits, etag } = endpoint;
  const headers = {
    ...REQUEST_ID,
    ...(startsOperation && textHeader('Location', 'The operation')),
    ...(waits && textHeader('Preference-Applied', 'wait=N, when Prefer was heeded')),
    ...(etag && textHeader('ETag', 'For If-None-Match')),
    ...Object.assign(
      {},
      ...Object.entries(reply.headers ?? {}).map(([name, text]) => textHeader(name, text)),
    ),
  };
  const content = { [reply.contentType ?? 'application/json']: { schema: replySchema(endpoint) } };
  return {
    [reply.status]: { description: reply.description, headers, content },
    ...(etag && { 304: { description: 'Not changed since the given ETag', headers } }),
    ...problems(errorsOf(endpoint)),
    ...TOO_LONG,
  };
}

/** Before there is a request that we could answer. */
const TOO_LONG: Json = {
  431: { description: 'Address and headers together are longer than 16 KiB; without a body' },
};

function textHeader(name: string, description: string): Json {
  return { [name]: { schema: { type: 'string' }, description } };
}

const REQUEST_ID = textHeader('X-Request-Id', 'Names the request in the log');

function replySchema(endpoint: AnyEndpoint): Json {
  const { schema, events } = endpoint.reply;
  if (events) return { oneOf: Object.entries(events).map(([name, data]) => eventSchema(name, data)) };
  return changesSomething(endpoint)
    ? { allOf: [reference(schema), reference(ignoredSchema)] }
    : reference(schema);
}

/** One event of a stream by the names of its lines; the data is JSON. */
function eventSchema(name: string, data: z.ZodType): Json {
  return {
    type: 'object',
    title: `event: ${name}`,
    required: ['event', 'data'],
    properties: {
      event: { type: 'string', const: name },
      id: { type: 'string', ...DIGITS, description: 'for Last-Event-ID; only of events that are kept' },
      data: { type: 'string', contentMediaType: 'application/json', contentSchema: reference(data) },
    },
  };
}

function problems(codes: readonly ErrorCode[]): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes))
    byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, same]) => [
        status,
        {
          description: same.map((code) => `${code}: ${ERRORS[code].title}`).join('; '),
          headers: {
            ...REQUEST_ID,
            ...((status === 503 || status === 429) && RETRY_AFTER),
            ...(status === 401 && textHeader('WWW-Authenticate', 'Bearer')),
          },
          content: { [PROBLEM_TYPE]: { schema: reference(problemSchema) } },
        },
      ]),
  );
}

const RETRY_AFTER: Json = {
  'Retry-After': { schema: { type: 'integer', minimum: 1 }, description: 'seconds' },
};

function reference(schema: z.ZodType): Json {
  const { id } = schema.meta() ?? {};
  return id ? { $ref: `#/components/schemas/${id}` } : bare(z.toJSONSchema(schema, REPLIES));
}

/**
 * Replies may get further fields: a later version adds some, and `ignored` joins those of every change, which
 * a schema that is closed would forbid.
 */
const REPLIES = {
  io: 'output',
  override: ({ jsonSchema }: { readonly jsonSchema: z.core.JSONSchema.BaseSchema }) => {
    if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
  },
} as const;

/** Every schema with an id: zod's global registry holds them. */
function components(): Json {
  const { schemas } = z.toJSONSchema(z.globalRegistry, {
    uri: (id) => `#/components/schemas/${id}`,
    ...REPLIES,
  });
  const sorted = Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, schema]) => [name, bare(schema)]));
}

function requestSchema(schema: z.ZodType): Json {
  return bare(
    z.toJSONSchema(schema, {
      io: 'input',
      override: ({ jsonSchema }) => {
        // A query is text for the server, and for everybody else a number or a boolean with its own bounds.
        if (jsonSchema.type === 'integer' || jsonSchema.type === 'boolean') {
          delete jsonSchema.pattern;
          delete jsonSchema.enum;
        }
      },
    }),
  );
}

/** Without the keys that only a stand-alone schema has. */
function bare(schema: object): Json {
  return Object.fromEntries(
    Object.entries(schema).filter(([key]) => !['$schema', '$id', 'id', '~standard'].includes(key)),
  );
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
