import { LIMITS } from '../../core/limits';
import {
  exportBody,
  exportListReply,
  exportParams,
  exportReply,
  exportsQuery,
  validateReply,
  withdrawBody,
  withdrawQuery,
  withdrawReply,
} from '../schemas/exports';
import { endpoint, nothing } from './endpoint';

const CHANGING = [
  'VALIDATION_FAILED',
  'MALFORMED_JSON',
  'UNSUPPORTED_MEDIA_TYPE',
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
  ...nothing,
  tag: 'exports',
  method: 'GET',
  path: '/api/v1/exports',
  summary: 'The NBD exports of this appliance',
  query: exportsQuery,
  reply: { status: 200, description: 'A list, empty when there are none', schema: exportListReply },
  errors: ['VALIDATION_FAILED', 'DATABASE_UNAVAILABLE'],
});

export const publishExport = endpoint({
  ...nothing,
  tag: 'exports',
  method: 'POST',
  path: '/api/v1/exports',
  summary: 'Export an attached volume',
  description: 'An attach does this by itself; publishing again is fine.',
  body: exportBody,
  bodyExample: { volume_id: '6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0', vm_name: 'test-vm', disk_number: 0 },
  reply: { status: 201, description: 'The export; it has answered a handshake', schema: exportReply },
  errors: [...CHANGING, 'MAPPING_NOT_FOUND', 'DEVICE_IDENTITY_MISMATCH', 'DEVICES_UNREADABLE'],
});

export const readExport = endpoint({
  ...nothing,
  tag: 'exports',
  method: 'GET',
  path: '/api/v1/exports/{volume_id}',
  summary: 'The export of a volume',
  params: exportParams,
  reply: { status: 200, description: 'The export', schema: exportReply },
  errors: ['VALIDATION_FAILED', 'EXPORT_NOT_FOUND', 'DATABASE_UNAVAILABLE'],
  etag: true,
});

export const withdrawExport = endpoint({
  ...nothing,
  tag: 'exports',
  method: 'DELETE',
  path: '/api/v1/exports/{volume_id}',
  summary: 'Withdraw the export of a volume',
  description: 'Fine when there is none. New connections fail from now on; sync does not bring it back.',
  params: exportParams,
  query: withdrawQuery,
  body: withdrawBody,
  bodyExample: { force: true },
  reply: { status: 200, description: 'It is gone', schema: withdrawReply },
  errors: [...CHANGING, 'DEVICE_IN_USE'],
});

export const validateExports = endpoint({
  ...nothing,
  tag: 'exports',
  method: 'POST',
  path: '/api/v1/exports/validate',
  summary: 'Ask every export whether it answers, with the right size',
  reply: { status: 200, description: 'One result for each export', schema: validateReply },
  errors: ['DATABASE_UNAVAILABLE', 'EXPORT_SERVER_UNHEALTHY', 'RATE_LIMITED'],
  atOnce: LIMITS.VALIDATIONS_AT_ONCE,
});
