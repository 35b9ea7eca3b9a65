import { z } from 'zod';
import { ROLES } from '../../daemon/access/tokens';
import { COMPONENT_STATUSES, DAEMON_PHASES } from '../../daemon/daemon';
import { OPERATION_STATUSES, OPERATION_TYPES } from '../../model/operation';
import { DRIFT_KINDS, DRIFT_REMEDIES } from '../../sync/drift';
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
  action: z.enum(['repaired', 'planned', 'reported', 'failed']),
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
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  timestamp,
  cloudstack_health: componentStatus,
  database_health: componentStatus,
  device_monitor: componentStatus,
  details: z.object({
    implementation_status: z.literal('production_ready'),
    version: z.string(),
    phase: z.enum(DAEMON_PHASES),
    phase_reason: z.string().nullable(),
    polling_interval: z.string().meta({ examples: ['2s'] }),
    active_operations: z.int(),
    pending_operations: z.int(),
    device_count: z.int().nullable(),
    uptime_seconds: z.int(),
    appliance: z.object({
      vm_id: z.string().nullable(),
      source: z.string().nullable(),
      epoch: z.int().nullable(),
      owner: z.string().nullable(),
    }),
    components: z.object({
      cloudstack: component,
      database: component,
      device_monitor: component,
      export_server: component,
      sync: component,
      appliance: component,
      access: component,
    }),
    waiting: z.array(
      z.object({
        id: z.string(),
        type: operationType,
        step: z.string(),
        reason: z.string(),
        attempt: z.int(),
        next_attempt_at: timestamp.nullable(),
      }),
    ),
    held: z.array(
      z.object({ id: z.string(), type: operationType, volume_id: z.string(), reason: z.string() }),
    ),
    drifts: z.array(driftSchema),
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
  type: z.enum(['added', 'removed', 'changed']),
  name: z.string(),
  device_path: z.string(),
  size: z.int(),
  serial: z.string().nullable(),
  diskseq: z.int().nullable(),
  controller: z.string().nullable(),
  at: timestamp,
});
export type DeviceEventReply = z.infer<typeof deviceEventSchema>;
