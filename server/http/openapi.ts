import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../core/errors';
import { LIMITS } from '../core/limits';
import { type AnyEndpoint, EVERYWHERE } from './endpoints/endpoint';
import { namedEndpoints } from './endpoints/registry';
import { takesBody } from './request/read-request';
import { PROBLEM_TYPE } from './response/problem';
import {
  cloudCheckReply,
  correlationReply,
  databaseCheckReply,
  guestDeviceReply,
  guestReply,
  offeringListReply,
  zoneListReply,
} from './schemas/diagnostics';
import { exportListReply, exportReply, validateReply, withdrawReply } from './schemas/exports';
import { journalEntryReply, operationListReply, operationReply } from './schemas/operations';
import { problemReply } from './schemas/problem';
import {
  aliveReply,
  deviceEventReply,
  driftReply,
  healthReply,
  metricsReply,
  phaseReply,
  syncReply,
} from './schemas/service';
import {
  mappingListReply,
  mappingReply,
  vmVolumeListReply,
  vmVolumeReply,
  volumeReply,
} from './schemas/volumes';

type Json = Record<string, unknown>;

/** The schemas that have a name of their own in the document. */
const NAMED: ReadonlyMap<z.ZodType, string> = new Map<z.ZodType, string>([
  [operationReply, 'Operation'],
  [operationListReply, 'OperationList'],
  [journalEntryReply, 'JournalEntry'],
  [mappingReply, 'Mapping'],
  [mappingListReply, 'MappingList'],
  [volumeReply, 'Volume'],
  [vmVolumeReply, 'VmVolume'],
  [vmVolumeListReply, 'VmVolumeList'],
  [exportReply, 'Export'],
  [exportListReply, 'ExportList'],
  [validateReply, 'ExportValidation'],
  [withdrawReply, 'ExportWithdrawal'],
  [aliveReply, 'Alive'],
  [phaseReply, 'Phase'],
  [healthReply, 'Health'],
  [metricsReply, 'Metrics'],
  [syncReply, 'SyncResult'],
  [driftReply, 'Drift'],
  [deviceEventReply, 'DeviceEvent'],
  [guestDeviceReply, 'GuestDevice'],
  [guestReply, 'Guest'],
  [correlationReply, 'CorrelationReport'],
  [cloudCheckReply, 'CloudstackCheck'],
  [zoneListReply, 'ZoneList'],
  [offeringListReply, 'OfferingList'],
  [databaseCheckReply, 'DatabaseCheck'],
  [problemReply, 'Problem'],
]);

/** The OpenAPI 3.1 document, from the same schemas that check requests. Pure; routes keep the result. */
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
    security: [{}, { token: [] }],
    tags: (['volumes', 'operations', 'devices', 'exports', 'service', 'diagnostics'] as const).map(
      (name) => ({ name }),
    ),
    paths,
    components: {
      schemas: components(),
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Only when TOKEN_FILE is set.' },
      },
    },
  };
}

function operationOf(name: string, endpoint: AnyEndpoint): Json {
  return {
    operationId: name,
    tags: [endpoint.tag],
    summary: endpoint.summary,
    ...(endpoint.description && { description: endpoint.description }),
    parameters: [
      ...parameters(endpoint.params, 'path'),
      ...parameters(endpoint.query, 'query'),
      ...headerParameters(endpoint),
    ],
    ...(takesBody(endpoint) && { requestBody: requestBody(endpoint) }),
    responses: responses(endpoint),
  };
}

function parameters(schema: z.ZodType, place: 'path' | 'query'): Json[] {
  const { properties, required } = requestSchema(schema);
  if (!isJson(properties)) return [];
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || (Array.isArray(required) && required.includes(name)),
    schema: property,
  }));
}

function headerParameters({ accepts, waits, etag }: AnyEndpoint): Json[] {
  const header = (name: string, description: string): Json => ({
    name,
    in: 'header',
    required: false,
    schema: { type: 'string' },
    description,
  });
  const wait = {
    name: 'wait',
    in: 'query',
    required: false,
    schema: { type: 'string', pattern: '^\\d{1,6}(ms|s)?$' },
  };
  return [
    ...(accepts
      ? [header('Idempotency-Key', 'The same key and body give the same operation for 24 hours.')]
      : []),
    ...(waits
      ? [
          {
            ...wait,
            description: `Answer when the operation has ended, at most ${LIMITS.LONG_POLL_SECONDS}s.`,
          },
          header('Prefer', 'wait=N, in seconds'),
        ]
      : []),
    ...(etag
      ? [header('If-None-Match', 'The ETag of an earlier answer; 304 when nothing has changed.')]
      : []),
  ];
}

function requestBody({ body, bodyExample }: AnyEndpoint): Json {
  const schema = requestSchema(body);
  return {
    required: Array.isArray(schema.required) && schema.required.length > 0,
    content: { 'application/json': { schema, ...(bodyExample !== undefined && { example: bodyExample }) } },
  };
}

function responses(endpoint: AnyEndpoint): Json {
  const { reply, accepts, etag } = endpoint;
  const headers: Record<string, Json> = { 'X-Request-Id': { schema: { type: 'string' } } };
  if (accepts) headers.Location = { schema: { type: 'string' }, description: 'The operation' };
  if (etag) headers.ETag = { schema: { type: 'string' } };
  const content = { [reply.contentType ?? 'application/json']: { schema: reference(reply.schema) } };
  return {
    [reply.status]: { description: reply.description, headers, content },
    ...(etag && { 304: { description: 'Not changed since the given ETag' } }),
    ...problems([...endpoint.errors, ...EVERYWHERE]),
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
          ...(status === 503 || status === 429
            ? { headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'seconds' } } }
            : {}),
          content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      ]),
  );
}

function reference(schema: z.ZodType): Json {
  const name = NAMED.get(schema);
  return name ? { $ref: `#/components/schemas/${name}` } : bare(z.toJSONSchema(schema, { io: 'output' }));
}

function components(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [schema, id] of NAMED) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: 'output' });
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, bare(schema)]));
}

function requestSchema(schema: z.ZodType): Json {
  return bare(z.toJSONSchema(schema, { io: 'input' }));
}

/** Without the marks of a stand-alone schema. */
function bare(schema: object): Json {
  return Object.fromEntries(
    Object.entries(schema).filter(([key]) => !['$schema', '$id', '~standard'].includes(key)),
  );
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
