import { z } from 'zod';
import { LIMITS } from '../../core/limits';
import { jsonObject } from '../schemas/fields';
import { metricsHistoryQuery, metricsHistorySchema } from '../schemas/metrics-history';
import { operationParams } from '../schemas/operations';
import {
  aliveSchema,
  callerSchema,
  healthSchema,
  metricsSchema,
  phaseSchema,
  syncBody,
  syncQuery,
  syncSchema,
} from '../schemas/service';
import { volumeParams } from '../schemas/volumes';
import { endpoint, noInput } from './endpoint';

const service = { ...noInput, tag: 'service', access: 'read', method: 'GET' } as const;
/** Asked by a supervisor, which has no token. */
const open = { ...service, access: 'open' } as const;
/** A page for people holds no data: its scripts use the API, which asks for a token. */
const page = {
  ...open,
  reply: { status: 200, description: 'A page', schema: z.string(), contentType: 'text/html; charset=utf-8' },
} as const;

export const alive = endpoint({
  ...open,
  path: '/health',
  summary: 'Answers while the process serves',
  reply: { status: 200, description: 'Always, whatever the dependencies do', schema: aliveSchema },
});

export const live = endpoint({
  ...open,
  path: '/livez',
  summary: 'Liveness: the process serves',
  reply: { status: 200, description: 'Always', schema: phaseSchema },
});

export const ready = endpoint({
  ...open,
  path: '/readyz',
  summary: 'Readiness: this daemon owns its appliance and takes requests',
  reply: { status: 200, description: 'Ready', schema: phaseSchema },
  errors: ['STANDBY', 'STOPPING', 'APPLIANCE_UNKNOWN', 'DATABASE_UNAVAILABLE'],
});

export const health = endpoint({
  ...service,
  path: '/api/v1/health',
  summary: 'The health of the daemon and of everything it depends on',
  description: 'Cached, never waits on CloudStack. 200 while serving: the verdict is in status.',
  reply: { status: 200, description: 'The report', schema: healthSchema },
});

export const whoami = endpoint({
  ...service,
  path: '/api/v1/whoami',
  summary: 'Who the caller is, and what it may do',
  reply: { status: 200, description: 'The token of the request, by its name', schema: callerSchema },
});

export const metrics = endpoint({
  ...service,
  path: '/api/v1/metrics',
  summary: 'Counts of operations, as JSON',
  reply: { status: 200, description: 'The figures', schema: metricsSchema },
  errors: ['DATABASE_UNAVAILABLE'],
});

export const metricsHistory = endpoint({
  ...service,
  path: '/api/v1/metrics/history',
  summary: 'What charts are drawn from: the last hour, or the last day',
  description:
    'Kept in memory since the daemon has started. One value a step; null is not known, which is not zero. Of exports, the latest 64.',
  query: metricsHistoryQuery,
  reply: { status: 200, description: 'The series', schema: metricsHistorySchema },
});

export const prometheus = endpoint({
  ...service,
  path: '/metrics',
  summary: 'Metrics for Prometheus',
  description:
    'Answers while the database is away, without what only the database knows. See docs/guides/monitoring.md.',
  reply: { status: 200, description: 'Prometheus text', schema: z.string(), contentType: 'text/plain' },
});

export const forceSync = endpoint({
  ...service,
  access: 'operate',
  method: 'POST',
  path: '/api/v1/admin/force-sync',
  summary: 'Compare CloudStack, guest, database and exports, and repair what is safe',
  description:
    'Runs the task sync:force. With dry_run=true, in the query or in the body, nothing is changed.',
  query: syncQuery,
  body: syncBody,
  maxConcurrent: LIMITS.SYNCS_AT_ONCE,
  reply: { status: 200, description: 'Every drift, and what was done about it', schema: syncSchema },
  errors: ['STANDBY', 'STOPPING', 'APPLIANCE_UNKNOWN', 'DATABASE_UNAVAILABLE', 'LEASE_LOST'],
});

export const openapi = endpoint({
  ...service,
  path: '/api/v1/openapi.json',
  summary: 'The OpenAPI document',
  reply: { status: 200, description: 'OpenAPI 3.1', schema: jsonObject },
  etag: true,
});

export const index = endpoint({ ...page, path: '/', summary: 'The first page for people' });

export const volumesPage = endpoint({
  ...page,
  path: '/volumes',
  summary: 'The page of all volumes',
  description: 'Its filters are those of GET /api/v1/volumes, in the address.',
});

export const volumePage = endpoint({
  ...page,
  path: '/volumes/{id}',
  summary: 'The page of a volume',
  params: volumeParams,
});

export const operationPage = endpoint({
  ...page,
  path: '/operations/{id}',
  summary: 'The page of an operation',
  params: operationParams,
});

export const docs = endpoint({ ...page, path: '/docs', summary: 'This API, as a page' });
