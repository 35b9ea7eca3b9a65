import { LIMITS } from '../../core/limits';
import {
  cloudCheckReply,
  correlationParams,
  correlationReply,
  databaseCheckReply,
  guestQuery,
  guestReply,
  offeringListReply,
  zoneListReply,
} from '../schemas/diagnostics';
import { endpoint, nothing } from './endpoint';

/** They read only, and are bounded because each costs a look at the guest or calls of CloudStack. */
const diagnostic = {
  ...nothing,
  tag: 'diagnostics',
  method: 'GET',
  atOnce: LIMITS.DIAGNOSTICS_AT_ONCE,
} as const;

const CLOUD = [
  'CLOUDSTACK_UNAVAILABLE',
  'CLOUDSTACK_NOT_CONFIGURED',
  'CLOUDSTACK_AUTH',
  'CLOUDSTACK_REJECTED',
  'CLOUDSTACK_QUOTA',
  'DATABASE_UNAVAILABLE',
  'RATE_LIMITED',
] as const;

export const inspectGuest = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/devices',
  summary: 'The disks of this guest, and whose they are',
  query: guestQuery,
  reply: { status: 200, description: 'Every disk, in the order of the kernel', schema: guestReply },
  errors: ['VALIDATION_FAILED', 'DEVICES_UNREADABLE', 'DATABASE_UNAVAILABLE', 'RATE_LIMITED'],
});

export const explainCorrelation = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/correlation/{volume_id}',
  summary: 'Which disk a volume is, or why none: every disk considered, with its verdict',
  description: 'Asks the same rules as an attach, and acts on nothing. See docs/reference/correlation.md.',
  params: correlationParams,
  reply: { status: 200, description: 'The answer and its reasons', schema: correlationReply },
  errors: ['VALIDATION_FAILED', 'VOLUME_NOT_FOUND', ...CLOUD],
});

export const checkCloudstack = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/cloudstack',
  summary: 'Whether CloudStack answers, how its clock stands, and what our key may do',
  description: 'What is wrong is in the answer: 200 also when CloudStack is away.',
  reply: { status: 200, description: 'The report', schema: cloudCheckReply },
  errors: ['RATE_LIMITED'],
});

export const listZones = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/zones',
  summary: 'The zones that CloudStack offers',
  reply: { status: 200, description: 'A list', schema: zoneListReply },
  errors: CLOUD,
});

export const listOfferings = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/offerings',
  summary: 'The disk offerings that CloudStack offers',
  reply: { status: 200, description: 'A list', schema: offeringListReply },
  errors: CLOUD,
});

export const checkDatabase = endpoint({
  ...diagnostic,
  path: '/api/v1/admin/database',
  summary: 'Whether the database answers, its schema, its clock and its owner',
  description: 'What is wrong is in the answer: 200 also when the database is away.',
  reply: { status: 200, description: 'The report', schema: databaseCheckReply },
  errors: ['RATE_LIMITED'],
});
