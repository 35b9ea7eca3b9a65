import type { ColumnType, Generated } from 'kysely';

/*
 * The tables as our queries see them. Columns that only other programs use (the hub's `operation_mode`,
 * `vm_disk_id`, …) are created or kept by ./migrations and never written here.
 */

/** Times are TIMESTAMP(3) in a UTC session: Date in, Date out. */
type Time = ColumnType<Date, Date, Date>;
type NullableTime = ColumnType<Date | null, Date | null | undefined, Date | null>;
/** MariaDB returns JSON columns as text, MySQL as parsed values; written as text. */
type Json = ColumnType<unknown, string, string>;
type NullableJson = ColumnType<unknown, string | null | undefined, string | null>;

type VolumeName = ColumnType<string, string | undefined, string>;

interface OperationsTable {
  id: string;
  sequence: Generated<number>;
  /** '' = a row of the previous daemon. */
  appliance_id: string;
  epoch: Generated<number>;
  type: string;
  status: string;
  volume_id: string;
  vm_id: string | null;
  request: Json;
  response: NullableJson;
  error: ColumnType<string | null, string | null | undefined, string | null>;
  error_code: ColumnType<string | null, string | null | undefined, string | null>;
  attempt: Generated<number>;
  next_attempt_at: NullableTime;
  wait_reason: ColumnType<string | null, string | null | undefined, string | null>;
  idempotency_key: ColumnType<string | null, string | null | undefined, string | null>;
  request_hash: ColumnType<string | null, string | null | undefined, string | null>;
  cancel_requested: Generated<number>;
  cancel_actor: ColumnType<string | null, string | null | undefined, string | null>;
  cancel_request_id: ColumnType<string | null, string | null | undefined, string | null>;
  cancel_traceparent: ColumnType<string | null, string | null | undefined, string | null>;
  created_at: Time;
  updated_at: Time;
  completed_at: NullableTime;
  /**
   * When it was inserted, by the clock of the database, which sets it; NULL in rows of before migration 017.
   */
  accepted_at: NullableTime;
  /** Why nobody may run it; NULL when it is not held. */
  held_reason: ColumnType<string | null, string | null | undefined, string | null>;
  held_at: NullableTime;
  /** How often in a row it has ended the process with `crash_sequence` as the last journal entry. */
  crashes: Generated<number>;
  crash_sequence: Generated<number>;
  actor: ColumnType<string | null, string | null | undefined, string | null>;
  request_id: ColumnType<string | null, string | null | undefined, string | null>;
  traceparent: ColumnType<string | null, string | null | undefined, string | null>;
}

interface StepsTable {
  id: Generated<number>;
  appliance_id: string;
  /** NULL for entries of the appliance itself (sync, exports API). */
  operation_id: string | null;
  sequence: number;
  step: string;
  state: string;
  data: Json;
  created_at: Time;
}

/** Jobs of ended operations that CloudStack may still be working on (./journal/open-jobs.ts). */
interface OpenJobsTable {
  operation_id: string;
  step: string;
  job_id: string;
  volume_id: string;
}

interface MappingsTable {
  id: string;
  /** One of the two is computed from the other (./neighbours.ts). */
  volume_id: VolumeName;
  volume_uuid: VolumeName;
  vm_id: string;
  device_path: string;
  cloudstack_state: string;
  linux_state: string;
  size: number;
  controller: string | null;
  serial: string | null;
  diskseq: number | null;
  boot_id: string | null;
  matched_by: string | null;
  cloudstack_device_id: number | null;
  /** The hub's; never written but by ./neighbours.ts. */
  vm_context_id: ColumnType<string | null, never, never>;
  /** The hub's while the volume stays on its VM. */
  operation_mode: ColumnType<string | null, string | undefined, string>;
  last_sync: Time;
  created_at: Time;
  updated_at: Time;
}

interface ExportsTable {
  /** A number or a UUID, depending on who made the table; the database gives it. */
  id: Generated<number | string>;
  volume_id: VolumeName;
  volume_uuid: VolumeName;
  export_name: string;
  device_path: string;
  port: number;
  status: string;
  metadata: NullableJson;
  /** The hub's; copied from the mapping. */
  vm_context_id: ColumnType<string | null, string | null | undefined, string | null>;
  created_at: Time;
  updated_at: Time;
}

interface AppliancesTable {
  id: string;
  epoch: number;
  owner: string;
  since: Time;
  lease_until: NullableTime;
  instance: Generated<string>;
  probed_at: NullableTime;
  renewals: Generated<number>;
}

interface TotalsTable {
  appliance_id: string;
  type: string;
  status: string;
  operations: number;
  response_us: number;
}

export interface Tables {
  volume_operations: OperationsTable;
  volume_operation_steps: StepsTable;
  volume_operation_totals: TotalsTable;
  straggling_jobs: OpenJobsTable;
  device_mappings: MappingsTable;
  nbd_exports: ExportsTable;
  appliances: AppliancesTable;
}
