import { LIMITS } from '../../core/limits';
import {
  cleanupExportsBody,
  cleanupExportsByAgeBody,
  exportBody,
  exportCleanupSchema,
  exportListSchema,
  exportParams,
  exportSchema,
  exportsQuery,
  exportValidationSchema,
  exportWithdrawalSchema,
  orphanCountSchema,
  withdrawBody,
  withdrawQuery,
} from '../schemas/exports';
import { CLOUDSTACK_ERRORS, endpoint, noInput } from './endpoint';

const exportEndpoint = { ...noInput, tag: 'exports', access: 'read', method: 'GET' } as const;

/** Errors of both requests that change an export. */
const CHANGE_ERRORS = [
  'VOLUME_BUSY',
  'EXPORT_SERVER_UNHEALTHY',
  'EXPORT_CONFIG_FAILED',
  'DATABASE_UNAVAILABLE',
  'APPLIANCE_UNKNOWN',
  'STANDBY',
  'STOPPING',
  'LEASE_LOST',
] as const;

export const listExports = endpoint({
  ...exportEndpoint,
  path: '/api/v1/exports',
  summary: 'The NBD exports of this appliance',
  description: 'Each with who is connected and what flows, as the kernel counts it.',
  query: exportsQuery,
  reply: { status: 200, description: 'A list, empty when there are none', schema: exportListSchema },
  errors: ['DATABASE_UNAVAILABLE', 'DEVICES_UNREADABLE'],
});

export const publishExport = endpoint({
  ...exportEndpoint,
  access: 'operate',
  method: 'POST',
  path: '/api/v1/exports',
  summary: 'Export an attached volume',
  description:
    'An attach does this by itself; publishing again is fine. With `read_only` nobody can write through it; an export changes between the two only while nobody is connected.',
  body: exportBody,
  bodyExample: { volume_id: '6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0', vm_name: 'test-vm', disk_number: 0 },
  reply: { status: 201, description: 'The export; it has answered a handshake', schema: exportSchema },
  errors: [
    ...CHANGE_ERRORS,
    'MAPPING_NOT_FOUND',
    'EXPORT_NOT_FOUND',
    'DEVICE_IDENTITY_MISMATCH',
    'DEVICE_TOO_SMALL',
    'DEVICE_IN_USE',
    'DEVICES_UNREADABLE',
    // Where the volume is now, and how large, is asked before its disk is shown to anybody.
    'VOLUME_ATTACHED_ELSEWHERE',
    'VOLUME_NOT_FOUND',
    'VOLUME_NOT_VISIBLE',
    ...CLOUDSTACK_ERRORS,
  ],
});

export const readExport = endpoint({
  ...exportEndpoint,
  path: '/api/v1/exports/{volume_id}',
  summary: 'The export of a volume, who is connected to it, and what flows',
  params: exportParams,
  reply: { status: 200, description: 'The export', schema: exportSchema },
  errors: ['EXPORT_NOT_FOUND', 'DATABASE_UNAVAILABLE', 'DEVICES_UNREADABLE'],
  etag: 'times-aside',
});

export const withdrawExport = endpoint({
  ...exportEndpoint,
  access: 'operate',
  method: 'DELETE',
  path: '/api/v1/exports/{volume_id}',
  summary: 'Withdraw the export of a volume',
  description: 'Fine when there is none. New connections fail from now on; sync does not bring it back.',
  params: exportParams,
  query: withdrawQuery,
  body: withdrawBody,
  bodyExample: { force: true },
  reply: { status: 200, description: 'It is gone', schema: exportWithdrawalSchema },
  errors: [...CHANGE_ERRORS, 'DEVICE_IN_USE'],
});

export const validateExports = endpoint({
  ...exportEndpoint,
  method: 'POST',
  path: '/api/v1/exports/validate',
  summary: 'Ask every export whether it answers, with the right size',
  reply: { status: 200, description: 'One result for each export', schema: exportValidationSchema },
  errors: ['DATABASE_UNAVAILABLE', 'EXPORT_SERVER_UNHEALTHY'],
  maxConcurrent: LIMITS.VALIDATIONS_AT_ONCE,
});

const orphans = {
  ...exportEndpoint,
  errors: ['DATABASE_UNAVAILABLE', 'APPLIANCE_UNKNOWN', 'STANDBY', 'STOPPING', 'EXPORT_SERVER_UNHEALTHY'],
  maxConcurrent: LIMITS.VALIDATIONS_AT_ONCE,
} as const;

const cleanup = {
  ...orphans,
  access: 'operate',
  method: 'POST',
  reply: { status: 200, description: 'What was found, and what was withdrawn', schema: exportCleanupSchema },
} as const;

export const countOrphans = endpoint({
  ...orphans,
  path: '/api/v1/exports/orphaned/count',
  summary: 'How many exports belong to no mapping of this appliance',
  description: 'Sync withdraws them by itself.',
  reply: { status: 200, description: 'The count', schema: orphanCountSchema },
});

export const cleanUpExports = endpoint({
  ...cleanup,
  path: '/api/v1/exports/cleanup',
  summary: 'Withdraw exports that belong to no mapping of this appliance',
  description:
    'A dry run unless dry_run is false. An export with a mapping, with a client, or whose volume is worked on is never touched.',
  body: cleanupExportsBody,
  bodyExample: { dry_run: false },
});

export const cleanUpExportsByAge = endpoint({
  ...cleanup,
  path: '/api/v1/exports/cleanup/age',
  summary: 'Withdraw exports that belong to no mapping, and whose volume was not worked on for so long',
  description:
    'A dry run unless dry_run is false. Age alone withdraws nothing: an export with a mapping stays, however old it is.',
  body: cleanupExportsByAgeBody,
  bodyExample: { max_age_hours: 24, dry_run: false },
});
