import { z } from 'zod';
import {
  eventsQuery,
  journalEntrySchema,
  operationListSchema,
  operationParams,
  operationSchema,
  operationsQuery,
} from '../schemas/operations';
import { deviceEventSchema } from '../schemas/service';
import { trafficEventSchema } from '../schemas/traffic';
import { EVENT_STREAM, endpoint, noInput } from './endpoint';

const operationRead = { ...noInput, tag: 'operations', access: 'read', method: 'GET' } as const;

export const listOperations = endpoint({
  ...operationRead,
  path: '/api/v1/operations',
  summary: 'Operations, newest first',
  description: 'When there are more, a Link header with rel="next" leads to them.',
  query: operationsQuery,
  reply: {
    status: 200,
    description: 'A list, empty when there are none',
    schema: operationListSchema,
    headers: { Link: 'rel="next" leads to those before; absent when there are none' },
  },
  errors: ['DATABASE_UNAVAILABLE'],
});

export const readOperation = endpoint({
  ...operationRead,
  path: '/api/v1/operations/{id}',
  summary: 'One operation; with ?wait=25s answered when it has ended',
  params: operationParams,
  reply: { status: 200, description: 'The operation', schema: operationSchema },
  errors: ['DATABASE_UNAVAILABLE', 'OPERATION_NOT_FOUND'],
  waits: true,
  etag: true,
});

export const cancelOperation = endpoint({
  ...noInput,
  tag: 'operations',
  access: 'operate',
  method: 'POST',
  path: '/api/v1/operations/{id}/cancel',
  summary: 'Cancel an operation that CloudStack has not been asked for yet',
  params: operationParams,
  reply: {
    status: 200,
    description: 'The operation: cancelled, or marked with cancel_requested',
    schema: operationSchema,
  },
  errors: [
    'DATABASE_UNAVAILABLE',
    'OPERATION_NOT_FOUND',
    'TOO_LATE_TO_CANCEL',
    'STANDBY',
    'STOPPING',
    'LEASE_LOST',
  ],
});

const release = {
  ...noInput,
  tag: 'operations',
  access: 'admin',
  method: 'POST',
  params: operationParams,
  errors: [
    'DATABASE_UNAVAILABLE',
    'OPERATION_NOT_FOUND',
    'OPERATION_NOT_HELD',
    'STANDBY',
    'STOPPING',
    'LEASE_LOST',
  ],
} as const;

export const retryOperation = endpoint({
  ...release,
  path: '/api/v1/operations/{id}/retry',
  summary: 'Run a held operation again, from where it was',
  description: 'When its row is still not understood, it is held again.',
  reply: { status: 200, description: 'The operation', schema: operationSchema },
});

export const abandonOperation = endpoint({
  ...release,
  path: '/api/v1/operations/{id}/abandon',
  summary: 'End a held operation, or one of an appliance that is gone, as failed',
  description:
    'Nothing is undone: its error says what it may have left behind. Also ends what another appliance was executing or had not begun, once it is certain that its daemon does not run, which takes some seconds.',
  reply: {
    status: 200,
    description: 'The operation, failed with OPERATION_ABANDONED',
    schema: operationSchema,
  },
});

const stream = { status: 200, contentType: EVENT_STREAM, schema: z.string() } as const;

export const streamOperation = endpoint({
  ...operationRead,
  path: '/api/v1/operations/{id}/events',
  summary: 'The journal of one operation, as server-sent events',
  description: 'Begins with what has happened so far and ends with the operation. Honours Last-Event-ID.',
  params: operationParams,
  query: eventsQuery,
  reply: {
    ...stream,
    description: 'Events named operation, with JournalEntry as data',
    events: { operation: journalEntrySchema },
  },
  errors: ['DATABASE_UNAVAILABLE', 'OPERATION_NOT_FOUND', 'RATE_LIMITED', 'STOPPING'],
});

export const streamEvents = endpoint({
  ...operationRead,
  path: '/api/v1/events',
  summary: 'Everything that happens, as server-sent events',
  description:
    'With Last-Event-ID (or ?last_event_id=) begins after that journal entry, without it begins now.',
  query: eventsQuery,
  reply: {
    ...stream,
    description:
      'Events named operation and appliance (JournalEntry as data), device (DeviceEvent as data) and, while bytes flow, traffic (TrafficEvent as data, at most one a second for each export)',
    events: {
      operation: journalEntrySchema,
      appliance: journalEntrySchema,
      device: deviceEventSchema,
      traffic: trafficEventSchema,
    },
  },
  errors: ['DATABASE_UNAVAILABLE', 'RATE_LIMITED', 'STOPPING'],
});
