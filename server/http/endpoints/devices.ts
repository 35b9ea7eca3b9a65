import { deviceParams, mappingListReply, mappingReply } from '../schemas/volumes';
import { endpoint, nothing } from './endpoint';

export const listDevices = endpoint({
  ...nothing,
  tag: 'devices',
  method: 'GET',
  path: '/api/v1/devices',
  summary: 'Every device mapping',
  reply: { status: 200, description: 'A list, empty when there are none', schema: mappingListReply },
  errors: ['DATABASE_UNAVAILABLE'],
});

export const readDeviceVolume = endpoint({
  ...nothing,
  tag: 'devices',
  method: 'GET',
  path: '/api/v1/devices/{path}/volume',
  summary: 'The mapping of a device',
  description: 'The path may be vdb, dev%2Fvdb, %2Fdev%2Fvdb or plain dev/vdb.',
  params: deviceParams,
  reply: { status: 200, description: 'The mapping', schema: mappingReply },
  errors: ['VALIDATION_FAILED', 'NOT_FOUND', 'MAPPING_NOT_FOUND', 'DATABASE_UNAVAILABLE'],
  etag: true,
});
