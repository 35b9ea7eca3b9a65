import { z } from 'zod';
import { ROLES } from '../../daemon/access/tokens';
import { COMPONENT_STATUSES, DAEMON_PHASES, HEALTH_STATUSES } from '../../daemon/daemon';
import { DEVICE_EVENT_TYPES } from '../../devices/device';
import { OPERATION_STATUSES, OPERATION_TYPES } from '../../model/operation';
import { DRIFT_ACTIONS, DRIFT_KINDS, DRIFT_REMEDIES } from '../../sync/drift';
import { flag, jsonObject, named, queryFlag, timestamp } from './fields';
import { operationType } from './operations';

/** GET /health. Existing callers look at the status only. */
export const aliveSchema = named('Alive', {
  status: z.literal('healthy'),
  timestamp,
  service: z.literal('volume-management-daemon'),
  version: z.string(),
});

export const phaseSchema = named('Phase', { status: z.string(), timestamp });

export const driftSchema = named('Drift', {
  kind: z.enum(DRIFT_KINDS),
  volume_id: z.string().nullable(),
  vm_id: z.string().nullable(),
  device_path: z.string().nullable(),
  message: z.string(),
  remedy: z.string(),
  remedy_by: z.enum(DRIFT_REMEDIES).nullable().meta({
    description:
      'what of the remedy the daemon does when it is asked to: POST /admin/force-sync; reattach: detach from this appliance, then attach again; DELETE of the volume',
  }),
  action: z.enum(DRIFT_ACTIONS),
  not_judged_since: timestamp.nullable().meta({
    description: 'known from an earlier sync, and not judged again since then; null when it was judged now',
  }),
});
export type DriftReply = z.infer<typeof driftSchema>;

const componentStatus = z.enum(COMPONENT_STATUSES);
const component = z.object({
  status: componentStatus,
  message: z.string(),
  since: timestamp.optional().meta({ description: 'when the daemon first found it in this status' }),
  details: jsonObject.optional(),
});

export const healthSchema = named('Health', {
  status: z.enum(HEALTH_STATUSES).meta({
    description:
      'unhealthy: the database is away. degraded: a component is degraded or unhealthy (CloudStack, database and export server also: unknown), the phase is not `ready`, an operation is held or its row refused by the database, or a drift is left to a person',
  }),
  timestamp,
  cloudstack_health: componentStatus.meta({ description: 'status of `components.cloudstack`' }),
  database_health: componentStatus.meta({ description: 'status of `components.database`' }),
  device_monitor: componentStatus.meta({ description: 'status of `components.device_monitor`' }),
  details: z.object({
    implementation_status: z.literal('production_ready').meta({ description: 'always the same' }),
    version: z.string().meta({ description: 'of the daemon' }),
    phase: z.enum(DAEMON_PHASES).meta({
      description:
        'starting: it waits for the database, or prepares it. ready: it owns the appliance and takes changes. standby: it answers reads only. stopping: it ends',
    }),
    phase_reason: z.string().nullable().meta({
      description: 'why it is not `ready`, or why nothing can be changed although it is',
    }),
    polling_interval: z.string().meta({ description: 'POLL_INTERVAL', examples: ['2s'] }),
    active_operations: z.int().meta({ description: 'operations that this daemon runs' }),
    pending_operations: z
      .int()
      .meta({ description: 'operations that wait for their turn, by the last count' }),
    device_count: z.int().nullable().meta({
      description: 'disks of this guest at the last look',
    }),
    uptime_seconds: z.int().meta({ description: 'since the start of the daemon' }),
    appliance: z
      .object({
        vm_id: z.string().nullable(),
        source: z.string().nullable(),
        epoch: z.int().nullable(),
        owner: z.string().nullable(),
      })
      .meta({
        description:
          'CloudStack id of this VM and where it is known from, the epoch of the ownership (null when it is not ours), and in standby the daemon that owns the appliance, where it is known',
      }),
    components: z
      .object({
        cloudstack: component.meta({
          description: 'whether it answers our key, and how far its clock is from ours',
        }),
        database: component.meta({
          description: 'whether it takes reads and writes, and agrees on the time',
        }),
        device_monitor: component.meta({
          description:
            'whether the disks of this guest can be read and how many more fit, and what of this system may take a migrated disk for its own',
        }),
        export_server: component.meta({
          description: 'whether exports can be served; disabled with `NBD_BACKEND=none`',
        }),
        sync: component.meta({
          description:
            'whether the last comparison of CloudStack, guest, database and exports saw everything',
        }),
        appliance: component.meta({
          description: 'whether it is known which VM this is, and CloudStack agrees',
        }),
        access: component.meta({
          description: 'whether the tokens can be read; disabled where none is needed',
        }),
      })
      .meta({ description: 'each dependency: its status, why, and since when' }),
    waiting: z
      .array(
        z.object({
          id: z.string(),
          type: operationType,
          step: z.string(),
          reason: z.string(),
          attempt: z.int(),
          next_attempt_at: timestamp.nullable(),
        }),
      )
      .meta({
        description:
          'operations that wait: for what, and until when. Also those whose rows the database refuses, at step journal: neither retry nor abandon helps there',
      }),
    held: z
      .array(z.object({ id: z.string(), type: operationType, volume_id: z.string(), reason: z.string() }))
      .meta({ description: 'operations that nobody runs until a person retries or abandons them' }),
    drifts: z
      .array(driftSchema)
      .meta({ description: 'what sync has found and left to a person, or could not repair' }),
    settings_notes: z.array(z.string()).meta({
      description: 'settings without effect, such as mistyped ones; they leave the status as it is',
    }),
  }),
});
export type HealthReply = z.infer<typeof healthSchema>;

export const callerSchema = named('Caller', {
  name: z.string().meta({ description: 'of the token; anonymous where none is needed' }),
  role: z.enum(ROLES).meta({ description: 'each role includes those before it: read, operate, admin' }),
});
export type CallerReply = z.infer<typeof callerSchema>;

export const metricsSchema = named('Metrics', {
  timestamp,
  total_operations: z.int(),
  pending_operations: z.int(),
  active_mappings: z.int(),
  operations_by_type: z.record(z.enum(OPERATION_TYPES), z.int()),
  operations_by_status: z.record(z.enum(OPERATION_STATUSES), z.int()),
  average_response_time_ms: z.number(),
  error_rate_percent: z.number(),
  details: z.object({
    cloudstack_api_calls: z.int(),
    cloudstack_api_errors: z.int(),
    device_events_processed: z.int(),
    uptime_seconds: z.int(),
    epoch: z.int().nullable(),
  }),
});

export const syncQuery = z.object({ dry_run: queryFlag('report without repairing') });
export const syncBody = z.object({ dry_run: flag('report without repairing').nullish() });

export const syncSchema = named('SyncResult', {
  message: z.string(),
  timestamp,
  report: z.object({
    started_at: timestamp,
    finished_at: timestamp,
    dry_run: z.boolean(),
    reason: z.string(),
    observed: z.object({ cloud_volumes: z.int(), devices: z.int(), mappings: z.int(), exports: z.int() }),
    judged: z.boolean().meta({
      description:
        'false when a view could not be read: nothing is known anew, and drifts are those of before',
    }),
    unavailable: z
      .array(z.string())
      .meta({ description: 'views that could not be read; their drifts are not judged' }),
    skipped_volumes: z.int().meta({ description: 'left alone because an operation is in flight' }),
    drifts: z.array(driftSchema),
  }),
});
export type SyncReply = z.infer<typeof syncSchema>;

/** `data:` of the events named `device`. */
export const deviceEventSchema = named('DeviceEvent', {
  sequence: z.int(),
  type: z.enum(DEVICE_EVENT_TYPES),
  name: z.string(),
  device_path: z.string(),
  size: z.int(),
  serial: z.string().nullable(),
  diskseq: z.int().nullable(),
  controller: z.string().nullable(),
  at: timestamp,
});
export type DeviceEventReply = z.infer<typeof deviceEventSchema>;
