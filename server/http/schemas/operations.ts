import { z } from 'zod';
import { LIMITS } from '../../core/limits';
import { JOURNAL_STATES, OPERATION_STATUSES, OPERATION_TYPES } from '../../model/operation';
import { cleanText, jsonObject, limit, moment, named, oneOf, timestamp, uuid, wholeNumber } from './fields';

/** With `op-` as the specification writes them: an adopted database may have such, and they stay readable. */
const OPERATION_ID = /^(?:op-)?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;

export const operationParams = z.object({ id: uuid('an operation', OPERATION_ID) });

export const operationsQuery = z.object({
  type: oneOf(OPERATION_TYPES).optional(),
  status: oneOf(OPERATION_STATUSES).optional(),
  volume_id: uuid('a volume').optional(),
  vm_id: uuid('a VM').optional(),
  find: cleanText('a text to look for', LIMITS.NAME_CHARACTERS)
    .optional()
    .meta({
      description: `a whole UUID: of the operation, its volume or its VM; any other text: a part of an id, the error, its code, the caller, or the name with which the volume was created, in the newest ${LIMITS.SEARCH_OPERATIONS} operations`,
    }),
  since: moment.optional(),
  limit: limit.optional(),
  cursor: wholeNumber('the cursor of a Link header', 1).optional(),
});

/** Of what is stored, not of what may be asked for. */
export const operationType = z
  .enum([...OPERATION_TYPES, 'unreadable'])
  .meta({ description: 'unreadable: of a type that this version does not know' });

export const operationSchema = named('Operation', {
  id: z.string(),
  type: operationType,
  status: z.enum(OPERATION_STATUSES),
  volume_id: z.string().meta({
    description:
      'empty for a create, and for the delete of a snapshot, until CloudStack has named the volume; and for a group of several',
  }),
  vm_id: z.string().optional(),
  request: jsonObject,
  response: jsonObject.optional(),
  error: z.string().optional(),
  error_code: z.string().optional(),
  attempt: z.int().nonnegative().meta({ description: 'retries of the current step' }),
  next_attempt_at: timestamp.optional(),
  wait_reason: z.string().optional().meta({ description: 'why the operation waits, in words' }),
  held: z.string().optional().meta({
    description:
      'why nobody runs it (released by retry or abandon), or what of its row is not understood; of one that has ended and is read by its id also what of its journal is not understood',
  }),
  cancel_requested: z.boolean(),
  cancel_requested_by: z
    .object({ actor: z.string(), request_id: z.string(), traceparent: z.string().optional() })
    .optional()
    .meta({ description: 'who asked for the cancel first' }),
  actor: z.string().optional().meta({
    description: 'who asked: the name of the token, anonymous where none is needed; absent when not known',
  }),
  request_id: z.string().optional().meta({ description: 'X-Request-Id of the request that was accepted' }),
  traceparent: z.string().optional().meta({ description: 'of that request (W3C Trace Context)' }),
  created_at: timestamp,
  updated_at: timestamp.meta({
    description:
      'RFC 3339, UTC, milliseconds: when the operation itself last changed (begun, waiting, its volume learned, a cancel asked for, held, ended). Its steps do not move it: they are in its journal',
  }),
  completed_at: timestamp.optional(),
});
export type OperationReply = z.infer<typeof operationSchema>;

export const operationListSchema = z.array(operationSchema).meta({ id: 'OperationList' });

/** `data:` of the events named `operation` and `appliance` of the event streams. */
export const journalEntrySchema = named('JournalEntry', {
  id: z.int(),
  operation_id: z.string(),
  sequence: z.int(),
  step: z.string(),
  state: z.enum(JOURNAL_STATES),
  data: jsonObject,
  at: timestamp,
  unreadable: z
    .string()
    .optional()
    .meta({ description: 'why this version does not understand the entry, which is then shown as a note' }),
});
export type JournalEntryReply = z.infer<typeof journalEntrySchema>;

export const eventsQuery = z.object({
  last_event_id: wholeNumber('the id of an event', 0).optional(),
});
