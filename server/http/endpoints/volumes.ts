import { LIMITS } from '../../core/limits';
import { operationSchema } from '../schemas/operations';
import {
  attachBody,
  attachRootBody,
  cleanupBody,
  createBody,
  forceBody,
  INCOMPLETE_HEADER,
  mappingSchema,
  resizeBody,
  resolvedVolumeSchema,
  resolveQuery,
  revertBody,
  snapshotBody,
  snapshotGroupBody,
  snapshotListSchema,
  snapshotParams,
  vmParams,
  vmVolumeListSchema,
  volumeEvidenceSchema,
  volumeListSchema,
  volumeParams,
  volumeSchema,
  volumesQuery,
} from '../schemas/volumes';
import { CLOUDSTACK_ERRORS, endpoint, noInput } from './endpoint';

const volumeRead = { ...noInput, tag: 'volumes', access: 'read', method: 'GET' } as const;

/** The requests that start an operation. */
const mutation = {
  ...noInput,
  tag: 'volumes',
  access: 'operate',
  method: 'POST',
  reply: {
    status: 201,
    description: 'Accepted durably; the operation goes on by itself',
    schema: operationSchema,
  },
  errors: ['APPLIANCE_UNKNOWN'],
  startsOperation: true,
  waits: true,
} as const;

export const createVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes',
  summary: 'Create a volume in CloudStack',
  description:
    'Bytes are rounded up to whole GiB; the size that was really made is in the response of the operation.',
  body: createBody,
  bodyExample: {
    name: 'my-volume',
    size: 1073741824,
    disk_offering_id: 'c813c642-d946-49e1-9289-c616dd70206a',
    zone_id: '057e86db-c726-4d8c-ab1f-75c5f55d1881',
    metadata: { purpose: 'migration', vm_name: 'test-vm' },
  },
  errors: [],
});

export const attachVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/attach',
  summary: 'Attach a volume to a VM',
  description:
    'On this appliance the operation completes when the device is known and its NBD export answers.',
  params: volumeParams,
  body: attachBody,
  bodyExample: { vm_id: '3a9c3c0e-6c8f-4a7e-9f0d-2b7a1c5d8e90', expected_bytes: 3221225472 },
});

export const attachRootVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/attach-root',
  summary: 'Attach a volume as the root disk (device 0) of a stopped VM',
  params: volumeParams,
  body: attachRootBody,
  bodyExample: { vm_id: '3a9c3c0e-6c8f-4a7e-9f0d-2b7a1c5d8e90' },
});

export const detachVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/detach',
  summary: 'Detach a volume from its VM',
  description: 'Without a body, a device in use is treated as DETACH_IN_USE and DETACH_CONNECTED say.',
  params: volumeParams,
  body: forceBody,
  bodyExample: { force: true },
});

export const deleteVolume = endpoint({
  ...mutation,
  method: 'DELETE',
  path: '/api/v1/volumes/{id}',
  summary: 'Delete a volume, detaching it from this appliance first',
  params: volumeParams,
  body: forceBody,
  bodyExample: { force: true },
});

export const recoverVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/recover',
  summary: 'Bring a deleted volume back from the trash',
  description:
    'With DELETE_MODE=trash a delete leaves the volume in state Destroy, until CloudStack expunges it. Users need the right to recover (allow.user.expunge.recover.volume).',
  params: volumeParams,
});

export const resizeVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/resize',
  summary: 'Make a volume larger',
  description:
    'Attached or not; a size that is not larger than the volume fails with VOLUME_WOULD_SHRINK or completes at once. On this appliance the mapping follows when the guest shows the new size; until then the export is closed.',
  params: volumeParams,
  body: resizeBody,
  bodyExample: { size: 21474836480 },
});

export const createSnapshot = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/snapshots',
  summary: 'Take a snapshot of a volume',
  description:
    'Of a volume in use, too. What its users have not flushed yet is not in it; detach the volume first for a snapshot that must hold everything.',
  params: volumeParams,
  body: snapshotBody,
  bodyExample: { name: 'before-failover' },
});

export const createSnapshotGroup = endpoint({
  ...mutation,
  path: '/api/v1/snapshots/group',
  summary: 'Take a snapshot of several volumes of a VM, all or none',
  description:
    'One snapshot operation for each volume; when one of them fails, the snapshots of the others are deleted. They are taken side by side, not at one moment: stop the VM, or detach the volumes, where they must fit together.',
  body: snapshotGroupBody,
  bodyExample: {
    vm_id: '3a9c3c0e-6c8f-4a7e-9f0d-2b7a1c5d8e90',
    volume_ids: ['6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0'],
    name: 'before-failover',
  },
});

export const deleteSnapshot = endpoint({
  ...mutation,
  method: 'DELETE',
  path: '/api/v1/snapshots/{id}',
  summary: 'Delete a snapshot',
  description: 'Its volume need not exist any more.',
  params: snapshotParams,
});

export const revertVolume = endpoint({
  ...mutation,
  path: '/api/v1/volumes/{id}/revert',
  summary: 'Put a volume back to a snapshot of it',
  description:
    'Replaces its content, and its size by that of the snapshot. Only while it is detached or its VM is stopped, and never while this appliance has a mapping or a disk of it. Once CloudStack has accepted it, it is never sent again: an end that is not known fails with a code.',
  params: volumeParams,
  body: revertBody,
  bodyExample: { snapshot_id: '9d0f3a5e-1c2b-4d3e-8f4a-5b6c7d8e9f01' },
});

export const cleanupTestFailover = endpoint({
  ...mutation,
  path: '/api/v1/cleanup/test-failover',
  summary: 'Bring a volume back from a test VM, as one operation',
  description:
    'Detach from the test VM, attach to this appliance, and delete the VM when asked and no disk is left on it.',
  body: cleanupBody,
  bodyExample: {
    volume_id: '6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0',
    test_vm_id: '3a9c3c0e-6c8f-4a7e-9f0d-2b7a1c5d8e90',
    oma_vm_id: '8a3400e5-c92a-4bc4-8bff-4b6b23b80018',
    delete_vm: true,
    force_clean: false,
  },
});

export const listVolumes = endpoint({
  ...volumeRead,
  path: '/api/v1/volumes',
  summary: 'All volumes that the key sees, with mapping, export and last operation',
  description:
    'From what sync and operations have last seen in CloudStack: `cloudstack` says when that was, and whether CloudStack could be asked since. For showing: nothing is decided from it. In the order of the ids; when there are more, a Link header with rel="next" leads to them.',
  query: volumesQuery,
  reply: {
    status: 200,
    description: 'A page of volumes',
    schema: volumeListSchema,
    headers: {
      Link: 'rel="next" leads to those after; absent when there are none',
      Age: 'Seconds since CloudStack was asked about all volumes',
    },
  },
  errors: ['VM_NOT_VISIBLE', 'DEVICES_UNREADABLE', ...CLOUDSTACK_ERRORS],
  maxConcurrent: LIMITS.CLOUDSTACK_READS_AT_ONCE,
  etag: 'times-aside',
});

export const resolveVolume = endpoint({
  ...volumeRead,
  path: '/api/v1/volumes/resolve',
  summary: 'The one volume that an id, the beginning of one, or a name means',
  description:
    'CloudStack is asked now. A reference that means more than one volume is refused with the candidates, so that what follows can name the whole id.',
  query: resolveQuery,
  reply: { status: 200, description: 'The volume', schema: resolvedVolumeSchema },
  errors: [
    'VOLUME_AMBIGUOUS',
    'VOLUME_NOT_FOUND',
    'VOLUME_NOT_VISIBLE',
    'VM_NOT_VISIBLE',
    ...CLOUDSTACK_ERRORS,
  ],
  maxConcurrent: LIMITS.RESOLUTIONS_AT_ONCE,
});

export const readVolume = endpoint({
  ...volumeRead,
  path: '/api/v1/volumes/{id}',
  summary: 'What CloudStack, the guest and the daemon say of a volume',
  params: volumeParams,
  reply: { status: 200, description: 'The volume', schema: volumeSchema },
  errors: ['VOLUME_NOT_FOUND', 'VOLUME_NOT_VISIBLE', 'DEVICES_UNREADABLE', ...CLOUDSTACK_ERRORS],
  maxConcurrent: LIMITS.CLOUDSTACK_READS_AT_ONCE,
  etag: 'times-aside',
});

export const readVolumeEvidence = endpoint({
  ...volumeRead,
  path: '/api/v1/volumes/{id}/evidence',
  summary: 'What is known of a volume, and what is not',
  description:
    'Each of CloudStack, guest, database and export server for itself: seen, absent with its proof, or unknown with why and since when. 200 also when none of them can be asked.',
  params: volumeParams,
  reply: { status: 200, description: 'The evidence', schema: volumeEvidenceSchema },
  maxConcurrent: LIMITS.CLOUDSTACK_READS_AT_ONCE,
});

export const listSnapshots = endpoint({
  ...volumeRead,
  path: '/api/v1/volumes/{id}/snapshots',
  summary: 'The snapshots of a volume, as CloudStack shows them',
  description: 'Without any, the volume is looked for: an empty list is only given for one that there is.',
  params: volumeParams,
  reply: { status: 200, description: 'A list, newest first', schema: snapshotListSchema },
  errors: ['VOLUME_NOT_FOUND', 'VOLUME_NOT_VISIBLE', ...CLOUDSTACK_ERRORS],
  maxConcurrent: LIMITS.CLOUDSTACK_READS_AT_ONCE,
});

export const readVolumeDevice = endpoint({
  ...volumeRead,
  tag: 'devices',
  path: '/api/v1/volumes/{id}/device',
  summary: 'The device mapping of a volume',
  description: '404 means that there is none; a database that is away is 503.',
  params: volumeParams,
  reply: { status: 200, description: 'The mapping', schema: mappingSchema },
  errors: ['MAPPING_NOT_FOUND', 'DATABASE_UNAVAILABLE', 'DEVICES_UNREADABLE'],
  etag: true,
});

export const listVmVolumes = endpoint({
  ...volumeRead,
  path: '/api/v1/vms/{id}/volumes',
  summary: 'The volumes of a VM',
  description: `The mappings and, on other VMs than the appliance, volumes that CloudStack shows attached without one: data volumes, and a root disk that this daemon, the one before it or the hub knows as its own. There may be more when CloudStack cannot be asked, does not show the VM to the key, counts more than it shows, or an operation moves such a volume just now: then the header ${INCOMPLETE_HEADER} says why. Where nothing is left to list then, that is an error and no empty list, unless the VM is not shown. A row that CloudStack contradicts is listed all the same, and \`doubt\` says why it may be old; of the appliance itself CloudStack is not asked.`,
  params: vmParams,
  reply: {
    status: 200,
    description: 'A list, empty when there are none',
    schema: vmVolumeListSchema,
    headers: { [INCOMPLETE_HEADER]: 'Why there may be more; absent when the list is complete' },
  },
  errors: ['VOLUME_BUSY', 'DEVICES_UNREADABLE', ...CLOUDSTACK_ERRORS],
});
