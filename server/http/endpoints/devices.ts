import { devicesQuery } from '../schemas/devices';
import { deviceParams, mappingListSchema, mappingSchema } from '../schemas/volumes';
import { endpoint, noInput } from './endpoint';

const deviceRead = { ...noInput, tag: 'devices', access: 'read', method: 'GET' } as const;

export const listDevices = endpoint({
  ...deviceRead,
  path: '/api/v1/devices',
  summary: 'Every device mapping',
  description: 'When there are more than a page has, a Link header with rel="next" leads to them.',
  query: devicesQuery,
  reply: {
    status: 200,
    description: 'A list, empty when there are none; 500 unless told, in the order of their paths',
    schema: mappingListSchema,
    headers: { Link: 'rel="next" leads to those after; absent when there are none' },
  },
  errors: ['DATABASE_UNAVAILABLE', 'DEVICES_UNREADABLE'],
});

export const readDeviceVolume = endpoint({
  ...deviceRead,
  path: '/api/v1/devices/{path}/volume',
  summary: 'The mapping of a device',
  description: 'The path may be vdb, dev%2Fvdb, %2Fdev%2Fvdb or plain dev/vdb.',
  params: deviceParams,
  reply: { status: 200, description: 'The mapping', schema: mappingSchema },
  errors: ['NOT_FOUND', 'MAPPING_NOT_FOUND', 'DATABASE_UNAVAILABLE', 'DEVICES_UNREADABLE'],
  etag: true,
});
