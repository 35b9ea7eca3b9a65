import { z } from 'zod';
import { VOLUME_STATES } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import { WITNESSES } from '../../model/evidence';
import {
  CLOUDSTACK_STATES,
  EXPORT_STATUSES,
  LINUX_STATES,
  MATCHES,
  OPERATION_STATUSES,
} from '../../model/operation';
import { exportSchema } from './exports';
import {
  bytes,
  cleanText,
  expected,
  flag,
  limit,
  metadata,
  named,
  queryFlag,
  timestamp,
  uuid,
} from './fields';
import { operationType } from './operations';

export const volumeParams = z.object({ id: uuid('a volume') });
/** Existing callers ask for the volumes of a VM that was never made: with no id, there are none. */
export const vmParams = z.object({
  id: z.union([z.literal(''), uuid('a VM')], { error: 'must be the UUID of a VM' }),
});

const SIZE = expected('the size in bytes, a whole number from 1 to 9007199254740991');

function byteCount() {
  return z
    .number({ error: SIZE })
    .int({ error: SIZE })
    .positive({ error: SIZE })
    .max(LIMITS.VOLUME_BYTES_MAX, { error: SIZE });
}

export const createBody = z.object({
  name: cleanText('the name of the volume', LIMITS.NAME_CHARACTERS),
  size: byteCount(),
  disk_offering_id: uuid('a disk offering'),
  zone_id: uuid('a zone'),
  metadata,
});

export const attachRootBody = z.object({ vm_id: uuid('a VM') });
export const attachBody = attachRootBody.extend({
  expected_bytes: byteCount()
    .nullish()
    .meta({ description: 'to be copied into it: what the share written is reckoned with; else its size' }),
});

/** Existing callers send no body on detach and DELETE. */
export const forceBody = z.object({
  force: flag('override the in-use guard').nullish(),
});

export const resizeBody = z.object({
  size: byteCount().meta({ description: 'bytes, rounded up to whole GiB; never less than the volume has' }),
});

export const snapshotBody = z.object({
  name: cleanText('what its name begins with', LIMITS.SNAPSHOT_NAME_CHARACTERS)
    .nullish()
    .meta({ description: 'its name in CloudStack is this, a dash, and the id of the operation' }),
});

const VOLUMES = expected(`a list of 1 to ${LIMITS.GROUP_VOLUMES} UUIDs of volumes, each once`);

export const snapshotGroupBody = snapshotBody.extend({
  vm_id: uuid('the VM that they are attached to'),
  volume_ids: z
    .array(uuid('a volume'), { error: VOLUMES })
    .min(1, { error: VOLUMES })
    .max(LIMITS.GROUP_VOLUMES, { error: VOLUMES })
    .refine((ids) => new Set(ids).size === ids.length, { error: VOLUMES })
    .meta({ uniqueItems: true }),
});

export const revertBody = z.object({ snapshot_id: uuid('a snapshot of this volume') });

export const snapshotParams = z.object({ id: uuid('a snapshot') });

export const cleanupBody = z.object({
  volume_id: uuid('a volume'),
  test_vm_id: uuid('the test VM'),
  oma_vm_id: uuid('this appliance'),
  delete_vm: flag('delete the test VM when no disk is left on it').nullish(),
  force_clean: flag('stop the test VM when it runs').nullish(),
});

export const mappingSchema = named('Mapping', {
  id: z.string(),
  vm_context_id: z
    .string()
    .nullable()
    .meta({ description: "the hub's context of the volume, where its tables are in the same database" }),
  volume_id: z.string(),
  volume_uuid: z.string().meta({ description: 'the same as volume_id, under its older name' }),
  vm_id: z.string(),
  operation_mode: z
    .enum(['oma', 'failover'])
    .meta({ description: 'oma: on this appliance; failover: on another VM' }),
  requires_device_correlation: z.boolean(),
  cloudstack_device_id: z.int().nullable(),
  device_path: z
    .string()
    .meta({ description: '/dev/vdX here; remote-vm-… elsewhere; missing-… when the disk is not there' }),
  cloudstack_state: z.enum(CLOUDSTACK_STATES),
  linux_state: z.enum(LINUX_STATES),
  size: bytes,
  controller: z.string().nullable(),
  serial: z.string().nullable(),
  diskseq: z.int().nullable(),
  matched_by: z.enum(MATCHES).nullable(),
  last_sync: timestamp.meta({
    description:
      'when an operation or sync last wrote the row; a sync that finds it right writes nothing, so an old one is no sign of a wrong row',
  }),
  created_at: timestamp,
  updated_at: timestamp,
});
export type MappingReply = z.infer<typeof mappingSchema>;
export const mappingListSchema = z.array(mappingSchema).meta({ id: 'MappingList' });

export const snapshotSchema = named('Snapshot', {
  id: z.string(),
  name: z.string(),
  volume_id: z.string().nullable(),
  state: z.string().meta({ description: "CloudStack's state: BackedUp is a whole one" }),
  size: bytes.nullable().meta({ description: 'bytes of the volume when it was taken' }),
  created: z.string().nullable().meta({ description: "CloudStack's time" }),
});
export type SnapshotReply = z.infer<typeof snapshotSchema>;
export const snapshotListSchema = z.array(snapshotSchema).meta({ id: 'SnapshotList' });

export const vmVolumeSchema = named('VmVolume', {
  volume_id: z.string(),
  vm_id: z.string(),
  device_path: z.string(),
  state: z.string(),
  size: bytes,
  attached_at: timestamp,
  cloudstack_data: z.null(),
  doubt: z.string().optional().meta({
    description:
      'why it may not be there although its row says so: CloudStack shows it elsewhere, or does not show it; absent when CloudStack agrees or was not asked',
  }),
});
/** A bare array has no place to say that it may not be complete. */
export const INCOMPLETE_HEADER = 'Volumes-Incomplete';

export const vmVolumeListSchema = z.array(vmVolumeSchema).meta({ id: 'VmVolumeList' });

/**
 * What one witness says: the value only when seen, the proof only when absent, the rest only when unknown.
 */
function evidence<Value extends z.ZodType>(id: string, value: Value) {
  return named(id, {
    kind: z.enum(['seen', 'absent', 'unknown']).meta({
      description: 'absent: there is none, and that is proven; unknown: it could not be found out',
    }),
    value: value.nullable(),
    proof: z.string().nullable().meta({ description: 'of the absence' }),
    why: z.string().nullable().meta({ description: 'it is unknown' }),
    unknown_since: timestamp.nullable(),
    remedy: z.string().nullable().meta({ description: 'how to find it out' }),
    at: timestamp.meta({ description: 'of the look' }),
    by: z.enum(WITNESSES),
  });
}

const lastOperation = z
  .object({ id: z.string(), type: operationType, status: z.enum(OPERATION_STATUSES) })
  .nullable();

export const volumeEvidenceSchema = named('VolumeEvidence', {
  volume_id: z.string(),
  cloudstack: evidence(
    'CloudstackEvidence',
    z.object({
      name: z.string(),
      state: z.string(),
      state_means: z.string().meta({ description: 'the end of a sentence: "the volume …"' }),
      size: bytes.nullable(),
      vm_id: z.string().nullable(),
      vm_name: z.string().nullable(),
      attached: z.string().nullable().meta({ description: "CloudStack's time of the attach" }),
    }),
  ),
  guest: evidence(
    'GuestEvidence',
    z.object({
      device_path: z.string(),
      size: bytes,
      serial: z.string().nullable(),
      diskseq: z.int().nullable(),
      used_by: z
        .array(z.string())
        .meta({ description: 'who uses the disk in this guest, NBD clients included; empty: nobody' }),
    }),
  ),
  database: evidence(
    'DatabaseEvidence',
    z.object({
      vm_id: z.string().nullable().meta({ description: 'of the mapping; null without one' }),
      device_path: z.string().nullable(),
      linux_state: z.enum(LINUX_STATES).nullable(),
      mapped_since: timestamp.nullable(),
      export_status: z.enum(EXPORT_STATUSES).nullable(),
    }),
  ),
  export_server: evidence(
    'ExportServerEvidence',
    z.object({
      target: z.string().nullable().meta({ description: 'where the export leads; null: nowhere' }),
      clients: z.int(),
    }),
  ),
  last_operation: lastOperation,
});
export type VolumeEvidenceReply = z.infer<typeof volumeEvidenceSchema>;

/** Only their known states: a mistyped one would be an empty list, which looks like an answer. */
export const volumesQuery = z.object({
  name: cleanText('a part of the name', LIMITS.NAME_CHARACTERS).optional(),
  state: z.enum(VOLUME_STATES, { error: expected(`one of ${VOLUME_STATES.join(', ')}`) }).optional(),
  vm_id: uuid('a VM').optional(),
  attached: queryFlag('whether it is attached to a VM'),
  project: uuid('a project').optional(),
  limit: limit.optional(),
  cursor: uuid('the last volume of the page before').optional(),
});

const volumeSummarySchema = named('VolumeSummary', {
  volume_id: z.string(),
  name: z.string().nullable(),
  type: z.string().nullable().meta({ description: 'DATADISK or ROOT' }),
  state: z.string().nullable().meta({ description: "CloudStack's state: Allocated, Ready, …" }),
  state_means: z.string().nullable().meta({ description: 'the end of a sentence: "the volume …"' }),
  size: bytes.nullable(),
  size_gib: z.number().nullable().meta({ description: 'the same in GiB' }),
  vm_id: z.string().nullable().meta({ description: 'where it is attached by CloudStack; null: detached' }),
  vm_name: z.string().nullable(),
  attached: z.string().nullable().meta({ description: "CloudStack's time of the attach" }),
  created: z.string().nullable(),
  zone_id: z.string().nullable(),
  zone_name: z.string().nullable(),
  account: z.string().nullable(),
  project_id: z.string().nullable(),
  not_shown: z.string().nullable().meta({
    description: 'why CloudStack does not show this volume, which has a mapping; then nothing above is known',
  }),
  at: timestamp.meta({ description: 'when CloudStack was asked about it' }),
  mapping: z
    .object({ vm_id: z.string(), device_path: z.string(), linux_state: mappingSchema.shape.linux_state })
    .nullable(),
  export: z
    .object({ export_name: z.string(), status: z.enum(EXPORT_STATUSES), read_only: z.boolean() })
    .nullable(),
  last_operation: lastOperation,
});

export const volumeListSchema = named('VolumeList', {
  cloudstack: z.object({
    kind: z.enum(['seen', 'unknown']).meta({
      description: 'unknown: CloudStack could not be asked since, so what is shown may have changed',
    }),
    at: timestamp.meta({ description: 'when CloudStack was last asked about all volumes' }),
    age_seconds: z.int().meta({ description: 'how long ago that was; also in the header Age' }),
    why: z.string().nullable().meta({ description: 'it is unknown' }),
    unknown_since: timestamp.nullable(),
    not_shown: z.int().meta({
      description:
        'volumes with a mapping that CloudStack does not show to the key; a filter leaves them out, because it is not known whether they match',
    }),
  }),
  volumes: z.array(volumeSummarySchema),
});
export type VolumeListReply = z.infer<typeof volumeListSchema>;

export const resolveQuery = z.object({
  ref: cleanText('an id, the first 8 or more characters of one, or a name', LIMITS.NAME_CHARACTERS),
});

export const resolvedVolumeSchema = named('ResolvedVolume', {
  volume_id: z.string(),
  matched_by: z.enum(['id', 'id-prefix', 'name']),
  name: z.string(),
  state: z.string(),
  size: bytes.nullable(),
  vm_id: z.string().nullable(),
  vm_name: z.string().nullable(),
  at: timestamp.meta({ description: 'when CloudStack was asked' }),
});
export type ResolvedVolumeReply = z.infer<typeof resolvedVolumeSchema>;

export const volumeSchema = named('Volume', {
  volume_id: z.string(),
  vm_id: z.string().nullable(),
  device_path: z.string().nullable(),
  state: z.string().meta({ description: "CloudStack's state: Allocated, Ready, …" }),
  size: bytes.nullable(),
  cloudstack_data: z.object({
    id: z.string(),
    name: z.string(),
    state: z.string(),
    type: z.string(),
    zonename: z.string().nullable(),
    attached: z.string().nullable(),
    deviceid: z.int().nullable(),
    vmname: z.string().nullable(),
  }),
  linux_data: z
    .object({ device_path: z.string(), size: bytes, controller: z.string().nullable() })
    .nullable(),
  last_operation: lastOperation,
  export: exportSchema.nullable(),
  evidence: volumeEvidenceSchema,
});
export type VolumeReply = z.infer<typeof volumeSchema>;

const DEVICE = expected('a device name or path such as vdb, dev%2Fvdb or /dev/vdb');
const DEVICE_PATH = /^\/?(?:[A-Za-z0-9._-]+\/)*[A-Za-z0-9._-]+$/;

/** A name or path below /dev, without `.` and `..`. */
export const deviceParams = z.object({
  path: z
    .string({ error: DEVICE })
    .min(1, { error: DEVICE })
    .max(LIMITS.NAME_CHARACTERS, { error: DEVICE })
    .regex(DEVICE_PATH, { error: DEVICE })
    .refine((path) => path.split('/').every((part) => part !== '.' && part !== '..'), { error: DEVICE }),
});
