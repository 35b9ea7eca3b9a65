import { z } from 'zod';
import { SERIAL_STATES } from '../../devices/device';
import { MATCHES } from '../../model/operation';
import { bytes, named, queryFlag, timestamp, uuid } from './fields';
import { deviceEventSchema } from './service';
import { mappingSchema } from './volumes';

export const guestQuery = z.object({ scan: queryFlag('look at the guest now, not at what was seen last') });

export const guestDeviceSchema = named('GuestDevice', {
  name: z.string(),
  device_path: z.string(),
  size: bytes,
  serial: z.string().nullable(),
  serial_state: z.enum(SERIAL_STATES),
  diskseq: z.int().nullable(),
  dev: z.string().nullable(),
  controller: z.string().nullable(),
  root: z.boolean().meta({ description: 'this system runs from it: never a candidate for a volume' }),
  volume_id: z.string().nullable().meta({ description: 'of the mapping that provably owns the disk' }),
});
export const guestSchema = named('Guest', {
  scanned_at: timestamp,
  scanned: z.boolean().meta({ description: 'false until the first look after the start' }),
  boot_id: z.string().nullable(),
  devices: z.array(guestDeviceSchema),
  others: z
    .array(
      z.object({
        device_path: z.string(),
        size: bytes,
        bus: z.string().meta({ description: 'like "sata or ide"' }),
        serial: z.string().nullable(),
      }),
    )
    .meta({ description: 'on buses on which no volume is looked for: never mapped or exported' }),
});

export const correlationParams = z.object({ volume_id: uuid('a volume') });

export const correlationSchema = named('CorrelationReport', {
  volume_id: z.string(),
  volume_name: z.string(),
  volume_size: bytes.nullable(),
  volume_state: z.string(),
  vm_id: z.string().nullable(),
  attached_here: z.boolean().meta({
    description: 'CloudStack says that it is attached to this appliance; only then is a disk expected',
  }),
  expected_serial: z.string(),
  answer: z.enum(['found', 'waiting', 'refused']),
  device_path: z.string().nullable().meta({ description: 'when found' }),
  matched_by: z.enum(MATCHES).nullable(),
  code: z.string().nullable().meta({ description: 'of the refusal' }),
  reason: z.string(),
  considered: z.array(
    z.object({
      device_path: z.string(),
      serial: z.string().nullable(),
      size: bytes,
      diskseq: z.int().nullable(),
      verdict: z.string(),
    }),
  ),
  mapping: mappingSchema.nullable(),
  mapping_problem: z.string().nullable().meta({ description: 'why the mapping does not count now' }),
  submitted_at: timestamp.nullable().meta({ description: 'when the last attach was sent to CloudStack' }),
  recent_events: z.array(deviceEventSchema),
  window_ms: z.int(),
  size_tolerance: bytes,
});

const milliseconds = z.number().nullable();
const checked = {
  ok: z.boolean(),
  problems: z.array(z.string()).meta({ description: 'in words; empty when ok' }),
};

const owner = z
  .object({
    project_id: z.string().nullable(),
    account: z.string().nullable(),
    domain_id: z.string().nullable(),
  })
  .nullable();
const right = z.object({
  name: z.string(),
  purpose: z.string(),
  allowed: z.boolean().nullable().meta({ description: 'null when CloudStack did not tell' }),
});

export const cloudCheckSchema = named('CloudstackCheck', {
  ...checked,
  configuration: z.string().nullable().meta({ description: 'name of the active row of ossea_configs' }),
  endpoint: z.string().nullable(),
  version: z.string().nullable(),
  round_trip_ms: milliseconds,
  clock_skew_ms: milliseconds.meta({
    description: "CloudStack's clock minus ours, to a few seconds; null while nothing is known of it",
  }),
  clock_skew_source: z
    .enum(['date-header', 'expires'])
    .nullable()
    .meta({ description: 'a header of its answers, or which expiries of signatures it takes' }),
  appliance: z.object({
    vm_id: z.string().nullable(),
    verdict: z.string().meta({ description: 'confirmed, refuted, not-visible (to this key) or unverified' }),
    owner,
  }),
  new_volumes: z
    .object({
      owner,
      from: z.enum(['environment', 'ossea_configs', 'appliance', 'key']).nullable(),
    })
    .meta({ description: 'for whom volumes are created; without an owner for the account of the key' }),
  rights: z.array(right).meta({ description: 'what the key may do beyond calling commands' }),
  commands: z.array(right),
});

export const zoneSchema = named('Zone', {
  id: z.string(),
  name: z.string(),
  allocation_state: z.string().nullable(),
  configured: z.boolean().meta({ description: 'the zone of the active row of ossea_configs' }),
});
export type ZoneReply = z.infer<typeof zoneSchema>;
export const zoneListSchema = z.array(zoneSchema).meta({ id: 'ZoneList' });

const offeringSchema = named('DiskOffering', {
  id: z.string(),
  name: z.string(),
  customized: z.boolean().meta({ description: 'takes any size' }),
  size_gib: z.number().nullable().meta({ description: 'null when customized' }),
});
export type OfferingReply = z.infer<typeof offeringSchema>;
export const offeringListSchema = z.array(offeringSchema).meta({ id: 'OfferingList' });

export const databaseCheckSchema = named('DatabaseCheck', {
  ...checked,
  database: z.string().meta({ description: 'the DSN, password masked' }),
  version: z.string().nullable(),
  round_trip_ms: milliseconds,
  clock_skew_ms: milliseconds,
  migrations: z.array(z.object({ id: z.string(), applied_at: timestamp.nullable() })),
  pool: z.object({ in_use: z.int(), waiting: z.int() }),
  owner: z
    .object({ owner: z.string(), epoch: z.int(), since: timestamp })
    .nullable()
    .meta({ description: 'the daemon that owns this appliance' }),
});
