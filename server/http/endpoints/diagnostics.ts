import { LIMITS } from '../../core/limits';
import {
  cloudCheckSchema,
  correlationParams,
  correlationSchema,
  databaseCheckSchema,
  guestQuery,
  guestSchema,
  offeringListSchema,
  zoneListSchema,
} from '../schemas/diagnostics';
import { CLOUDSTACK_ERRORS, endpoint, noInput } from './endpoint';

/** Diagnostics change nothing. Each asks the guest or CloudStack, so few are served at a time. */
const diagnostic = {
  ...noInput,
  tag: 'diagnostics',
  access: 'read',
  method: 'GET',
  maxConcurrent: LIMITS.DIAGNOSTICS_AT_ONCE,
} as const;

export const inspectGuest = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/devices',
  summary: 'The disks of this guest, and whose they are',
  query: guestQuery,
  reply: { status: 200, description: 'Every disk, in the order of the kernel', schema: guestSchema },
  errors: ['DEVICES_UNREADABLE', 'DATABASE_UNAVAILABLE'],
});

export const explainCorrelation = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/correlation/{volume_id}',
  summary: 'Which disk a volume is, or why none: every disk considered, with its verdict',
  description: 'Asks the same rules as an attach, and acts on nothing. See docs/reference/correlation.md.',
  params: correlationParams,
  reply: { status: 200, description: 'The answer and its reasons', schema: correlationSchema },
  errors: ['VOLUME_NOT_FOUND', 'VOLUME_NOT_VISIBLE', ...CLOUDSTACK_ERRORS],
});

export const checkCloudstack = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/cloudstack',
  summary: 'Whether CloudStack answers, how its clock stands, and what our key may do',
  description: 'What is wrong is in the answer: 200 also when CloudStack is away.',
  reply: { status: 200, description: 'The report', schema: cloudCheckSchema },
});

export const listZones = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/zones',
  summary: 'The zones that CloudStack offers',
  reply: { status: 200, description: 'A list', schema: zoneListSchema },
  errors: CLOUDSTACK_ERRORS,
});

export const listOfferings = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/offerings',
  summary: 'The disk offerings that CloudStack offers',
  reply: { status: 200, description: 'A list', schema: offeringListSchema },
  errors: CLOUDSTACK_ERRORS,
});

export const checkDatabase = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/database',
  summary: 'Whether the database answers, its schema, its clock and its owner',
  description: 'What is wrong is in the answer: 200 also when the database is away.',
  reply: { status: 200, description: 'The report', schema: databaseCheckSchema },
});
