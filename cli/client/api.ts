// Made from the OpenAPI document by `npm run docs`; edit the schemas in server/http instead.

/** What a request is made of, besides its method and path. */
export interface Input {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As in the document: `/api/v1/volumes/{id}`. */
  readonly path: string;
  readonly input: Input;
}

/** Who sends the calls (./connection.ts). All of it throws what went wrong; a reply is what the document promises. */
export interface Sender<Options> {
  json<T>(call: Call, options?: Options): Promise<T>;
  text(call: Call, options?: Options): Promise<string>;
  events(call: Call, options?: Options): AsyncIterable<ServerEvent>;
}

/** One server-sent event. */
export interface ServerEvent {
  /** What Last-Event-ID refers to; null for events that are not replayed. */
  readonly id: string | null;
  readonly name: string;
  readonly data: string;
}

export type Alive = {
  readonly status: 'healthy';
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
  readonly service: 'volume-management-daemon';
  readonly version: string;
};

export type CloudstackCheck = {
  readonly ok: boolean;
  /** in words; empty when ok */
  readonly problems: readonly string[];
  /** name of the active row of ossea_configs */
  readonly configuration: string | null;
  readonly endpoint: string | null;
  readonly version: string | null;
  readonly round_trip_ms: number | null;
  /** CloudStack's clock minus ours */
  readonly clock_skew_ms: number | null;
  readonly appliance: {
    readonly vm_id: string | null;
    readonly verdict: string;
  };
  readonly commands: readonly {
    readonly name: string;
    readonly purpose: string;
    /** null when CloudStack did not tell */
    readonly allowed: boolean | null;
  }[];
};

export type CorrelationReport = {
  readonly volume_id: string;
  readonly volume_name: string;
  /** bytes */
  readonly volume_size: number;
  readonly volume_state: string;
  readonly vm_id: string | null;
  /** CloudStack says that it is attached to this appliance; only then is a disk expected */
  readonly attached_here: boolean;
  readonly expected_serial: string;
  readonly answer: 'found' | 'waiting' | 'refused';
  /** when found */
  readonly device_path: string | null;
  readonly matched_by: 'serial' | 'size' | null;
  /** of the refusal */
  readonly code: string | null;
  readonly reason: string;
  readonly considered: readonly {
    readonly device_path: string;
    readonly serial: string | null;
    /** bytes */
    readonly size: number;
    readonly diskseq: number | null;
    readonly verdict: string;
  }[];
  readonly mapping: Mapping | null;
  /** why the mapping does not count now */
  readonly mapping_problem: string | null;
  /** when the last attach was sent to CloudStack */
  readonly submitted_at: string | null;
  readonly recent_events: readonly DeviceEvent[];
  readonly window_ms: number;
  /** bytes */
  readonly size_tolerance: number;
};

export type DatabaseCheck = {
  readonly ok: boolean;
  /** in words; empty when ok */
  readonly problems: readonly string[];
  /** the DSN, password masked */
  readonly database: string;
  readonly version: string | null;
  readonly round_trip_ms: number | null;
  readonly clock_skew_ms: number | null;
  readonly migrations: readonly {
    readonly id: string;
    readonly applied_at: string | null;
  }[];
  readonly pool: {
    readonly in_use: number;
    readonly waiting: number;
  };
  /** the daemon that owns this appliance */
  readonly owner: {
    readonly owner: string;
    readonly epoch: number;
    /** RFC 3339, UTC, milliseconds */
    readonly since: string;
  } | null;
};

export type DeviceEvent = {
  readonly sequence: number;
  readonly type: 'added' | 'removed' | 'changed';
  readonly name: string;
  readonly device_path: string;
  readonly size: number;
  readonly serial: string | null;
  readonly diskseq: number | null;
  readonly controller: string | null;
  /** RFC 3339, UTC, milliseconds */
  readonly at: string;
};

export type DiskOffering = {
  readonly id: string;
  readonly name: string;
  /** takes any size */
  readonly customized: boolean;
  /** null when customized */
  readonly size_gib: number | null;
};

export type Drift = {
  readonly kind:
    | 'ghost-disk'
    | 'phantom-attach'
    | 'letter-moved'
    | 'resized'
    | 'unmapped-volume'
    | 'stale-mapping'
    | 'missing-export'
    | 'orphan-export'
    | 'unhealthy-export'
    | 'stuck-state'
    | 'identity-conflict';
  readonly volume_id: string | null;
  readonly vm_id: string | null;
  readonly device_path: string | null;
  readonly message: string;
  readonly remedy: string;
  readonly action: 'repaired' | 'planned' | 'reported' | 'failed';
};

export type Export = {
  readonly id: string;
  readonly volume_id: string;
  /** migration-vol-<volume id> */
  readonly export_name: string;
  readonly device_path: string;
  readonly port: number;
  readonly status: 'pending' | 'active' | 'failed';
  /** RFC 3339, UTC, milliseconds */
  readonly created_at: string;
  /** RFC 3339, UTC, milliseconds */
  readonly updated_at: string;
  readonly metadata: Readonly<Record<string, string>>;
};

export type ExportList = readonly Export[];

export type ExportValidation = {
  readonly message: string;
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
  readonly valid: boolean;
  readonly results: readonly {
    readonly volume_id: string;
    readonly export_name: string;
    readonly ok: boolean;
    readonly message: string;
    readonly size: number | null;
    /** bytes */
    readonly expected_size: number;
  }[];
};

export type ExportWithdrawal = {
  readonly message: string;
  readonly existed: boolean;
};

export type Guest = {
  /** RFC 3339, UTC, milliseconds */
  readonly scanned_at: string;
  /** false until the first look after the start */
  readonly scanned: boolean;
  readonly boot_id: string | null;
  readonly devices: readonly GuestDevice[];
};

export type GuestDevice = {
  readonly name: string;
  readonly device_path: string;
  /** bytes */
  readonly size: number;
  readonly serial: string | null;
  readonly serial_state: 'read' | 'absent' | 'unreadable' | 'pending';
  readonly diskseq: number | null;
  readonly dev: string | null;
  readonly controller: string | null;
  /** this system runs from it: never a candidate for a volume */
  readonly root: boolean;
  /** of the mapping that provably owns the disk */
  readonly volume_id: string | null;
};

export type Health = {
  readonly status: 'healthy' | 'degraded' | 'unhealthy';
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
  readonly cloudstack_health: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
  readonly database_health: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
  readonly device_monitor: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
  readonly details: {
    readonly implementation_status: 'production_ready';
    readonly version: string;
    readonly phase: 'starting' | 'ready' | 'standby' | 'stopping' | 'failed';
    readonly phase_reason: string | null;
    readonly polling_interval: string;
    readonly active_operations: number;
    readonly pending_operations: number;
    readonly device_count: number | null;
    readonly uptime_seconds: number;
    readonly appliance: {
      readonly vm_id: string | null;
      readonly source: string | null;
      readonly epoch: number | null;
      readonly owner: string | null;
    };
    readonly components: {
      readonly cloudstack: {
        readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
      readonly database: {
        readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
      readonly device_monitor: {
        readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
      readonly export_server: {
        readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
      readonly appliance: {
        readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'unknown' | 'disabled';
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
    };
    readonly waiting: readonly {
      readonly id: string;
      readonly type: 'create' | 'attach' | 'detach' | 'delete' | 'cleanup';
      readonly step: string;
      readonly reason: string;
      readonly attempt: number;
      readonly next_attempt_at: string | null;
    }[];
    readonly drifts: readonly Drift[];
  };
};

export type JournalEntry = {
  readonly id: number;
  readonly operation_id: string;
  readonly sequence: number;
  readonly step: string;
  readonly state:
    | 'intent'
    | 'accepted'
    | 'refused'
    | 'finished'
    | 'done'
    | 'failing'
    | 'waiting'
    | 'note'
    | 'pending'
    | 'executing'
    | 'completed'
    | 'failed'
    | 'cancelled';
  readonly data: Readonly<Record<string, unknown>>;
  /** RFC 3339, UTC, milliseconds */
  readonly at: string;
};

export type Mapping = {
  readonly id: string;
  readonly vm_context_id: null;
  readonly volume_id: string;
  /** the same as volume_id, under its older name */
  readonly volume_uuid: string;
  readonly vm_id: string;
  /** oma: on this appliance; failover: on another VM */
  readonly operation_mode: 'oma' | 'failover';
  readonly requires_device_correlation: boolean;
  readonly cloudstack_device_id: number | null;
  /** /dev/vdX here; remote-vm-… elsewhere; missing-… when the disk is not there */
  readonly device_path: string;
  readonly cloudstack_state: 'attached' | 'detached';
  readonly linux_state: 'detected' | 'missing' | 'n/a';
  /** bytes */
  readonly size: number;
  readonly controller: string | null;
  readonly serial: string | null;
  readonly diskseq: number | null;
  readonly matched_by: 'serial' | 'size' | null;
  /** RFC 3339, UTC, milliseconds */
  readonly last_sync: string;
  /** RFC 3339, UTC, milliseconds */
  readonly created_at: string;
  /** RFC 3339, UTC, milliseconds */
  readonly updated_at: string;
};

export type MappingList = readonly Mapping[];

export type Metrics = {
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
  readonly total_operations: number;
  readonly pending_operations: number;
  readonly active_mappings: number;
  readonly operations_by_type: Readonly<
    Record<'create' | 'attach' | 'detach' | 'delete' | 'cleanup', number>
  >;
  readonly operations_by_status: Readonly<
    Record<'pending' | 'executing' | 'completed' | 'failed' | 'cancelled', number>
  >;
  readonly average_response_time_ms: number;
  readonly error_rate_percent: number;
  readonly details: {
    readonly cloudstack_api_calls: number;
    readonly cloudstack_api_errors: number;
    readonly device_events_processed: number;
    readonly uptime_seconds: number;
    readonly epoch: number | null;
  };
};

export type OfferingList = readonly DiskOffering[];

export type Operation = {
  readonly id: string;
  readonly type: 'create' | 'attach' | 'detach' | 'delete' | 'cleanup';
  readonly status: 'pending' | 'executing' | 'completed' | 'failed' | 'cancelled';
  /** empty for a create until CloudStack has named the volume */
  readonly volume_id: string;
  readonly vm_id?: string;
  readonly request: Readonly<Record<string, unknown>>;
  readonly response?: Readonly<Record<string, unknown>>;
  readonly error?: string;
  readonly error_code?: string;
  /** retries of the current step */
  readonly attempt: number;
  /** RFC 3339, UTC, milliseconds */
  readonly next_attempt_at?: string;
  /** why the operation waits, in words */
  readonly wait_reason?: string;
  readonly cancel_requested: boolean;
  /** RFC 3339, UTC, milliseconds */
  readonly created_at: string;
  /** RFC 3339, UTC, milliseconds */
  readonly updated_at: string;
  /** RFC 3339, UTC, milliseconds */
  readonly completed_at?: string;
};

export type OperationList = readonly Operation[];

export type Phase = {
  readonly status: string;
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
};

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  /** the same text as detail */
  readonly error: string;
  /** stable, see docs/reference/errors.md */
  readonly code: string;
  /** machine readable; for VALIDATION_FAILED: fields, a list of {field, message} */
  readonly details?: Readonly<Record<string, unknown>>;
  /** what the reader can do */
  readonly fix: string;
  readonly request_id: string;
};

export type SyncResult = {
  readonly message: string;
  /** RFC 3339, UTC, milliseconds */
  readonly timestamp: string;
  readonly report: {
    /** RFC 3339, UTC, milliseconds */
    readonly started_at: string;
    /** RFC 3339, UTC, milliseconds */
    readonly finished_at: string;
    readonly dry_run: boolean;
    readonly reason: string;
    readonly observed: {
      readonly cloud_volumes: number;
      readonly devices: number;
      readonly mappings: number;
      readonly exports: number;
    };
    /** views that could not be read; their drifts are not judged */
    readonly unavailable: readonly string[];
    /** left alone because an operation is in flight */
    readonly skipped_volumes: number;
    readonly drifts: readonly Drift[];
  };
};

export type VmVolume = {
  readonly volume_id: string;
  readonly vm_id: string;
  readonly device_path: string;
  readonly state: string;
  /** bytes */
  readonly size: number;
  /** RFC 3339, UTC, milliseconds */
  readonly attached_at: string;
  readonly cloudstack_data: null;
};

export type VmVolumeList = readonly VmVolume[];

export type Volume = {
  readonly volume_id: string;
  readonly vm_id: string | null;
  readonly device_path: string | null;
  /** CloudStack's state: Allocated, Ready, … */
  readonly state: string;
  /** bytes */
  readonly size: number;
  readonly cloudstack_data: {
    readonly id: string;
    readonly name: string;
    readonly state: string;
    readonly type: string;
    readonly zonename: string | null;
    readonly attached: string | null;
    readonly deviceid: number | null;
    readonly vmname: string | null;
  };
  readonly linux_data: {
    readonly device_path: string;
    /** bytes */
    readonly size: number;
    readonly controller: string | null;
  } | null;
  readonly last_operation: {
    readonly id: string;
    readonly type: 'create' | 'attach' | 'detach' | 'delete' | 'cleanup';
    readonly status: 'pending' | 'executing' | 'completed' | 'failed' | 'cancelled';
  } | null;
  readonly export: Export | null;
};

export type Zone = {
  readonly id: string;
  readonly name: string;
  readonly allocation_state: string | null;
  /** the zone of the active row of ossea_configs */
  readonly configured: boolean;
};

export type ZoneList = readonly Zone[];

export type CheckCloudstackInput = Readonly<Record<string, never>>;

export interface ExplainCorrelationInput {
  readonly path: {
    readonly volume_id: string;
  };
}

export type CheckDatabaseInput = Readonly<Record<string, never>>;

export interface InspectGuestInput {
  readonly query?: {
    readonly scan?: '0' | '1' | 'true' | 'false' | undefined;
  };
}

export interface ForceSyncInput {
  readonly query?: {
    readonly dry_run?: '0' | '1' | 'true' | 'false' | undefined;
  };
}

export type ListOfferingsInput = Readonly<Record<string, never>>;

export type ListZonesInput = Readonly<Record<string, never>>;

export interface CleanupTestFailoverInput {
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body: {
    readonly volume_id: string;
    readonly test_vm_id: string;
    readonly oma_vm_id: string;
    readonly delete_vm?: boolean | null;
    readonly force_clean?: boolean | null;
  };
}

export type ListDevicesInput = Readonly<Record<string, never>>;

export interface ReadDeviceVolumeInput {
  readonly path: {
    readonly path: string;
  };
  readonly headers?: {
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export interface StreamEventsInput {
  readonly query?: {
    readonly last_event_id?: string | undefined;
  };
}

export interface ListExportsInput {
  readonly query?: {
    readonly volume_id?: string | undefined;
    readonly status?: 'pending' | 'active' | 'failed' | undefined;
    readonly vm_name?: string | undefined;
    readonly limit?: string | undefined;
  };
}

export interface PublishExportInput {
  readonly body: {
    readonly volume_id: string;
    readonly vm_name?: '' | string | null;
    readonly vm_id?: '' | string | null;
    readonly disk_number?: number | string | null;
  };
}

export type ValidateExportsInput = Readonly<Record<string, never>>;

export interface ReadExportInput {
  readonly path: {
    readonly volume_id: string;
  };
  readonly headers?: {
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export interface WithdrawExportInput {
  readonly path: {
    readonly volume_id: string;
  };
  readonly query?: {
    readonly force?: '0' | '1' | 'true' | 'false' | undefined;
  };
  readonly body?: {
    readonly force?: boolean | null;
  };
}

export type HealthInput = Readonly<Record<string, never>>;

export type MetricsInput = Readonly<Record<string, never>>;

export interface OpenapiInput {
  readonly headers?: {
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export interface ListOperationsInput {
  readonly query?: {
    readonly type?: 'create' | 'attach' | 'detach' | 'delete' | 'cleanup' | undefined;
    readonly status?: 'pending' | 'executing' | 'completed' | 'failed' | 'cancelled' | undefined;
    readonly volume_id?: string | undefined;
    readonly vm_id?: string | undefined;
    readonly since?: string | undefined;
    readonly limit?: string | undefined;
    readonly cursor?: string | undefined;
  };
}

export interface ReadOperationInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export interface CancelOperationInput {
  readonly path: {
    readonly id: string;
  };
}

export interface StreamOperationInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    readonly last_event_id?: string | undefined;
  };
}

export interface ListVmVolumesInput {
  readonly path: {
    readonly id: string;
  };
}

export interface CreateVolumeInput {
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body: {
    readonly name: string;
    readonly size: number;
    readonly disk_offering_id: string;
    readonly zone_id: string;
    readonly metadata?: Readonly<Record<string, string | number | boolean>> | null;
  };
}

export interface DeleteVolumeInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body?: {
    readonly force?: boolean | null;
  };
}

export interface ReadVolumeInput {
  readonly path: {
    readonly id: string;
  };
  readonly headers?: {
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export interface AttachVolumeInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body: {
    readonly vm_id: string;
  };
}

export interface AttachRootVolumeInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body: {
    readonly vm_id: string;
  };
}

export interface DetachVolumeInput {
  readonly path: {
    readonly id: string;
  };
  readonly query?: {
    /** Answer when the operation has ended, at most 25s. */
    readonly wait?: string | undefined;
  };
  readonly headers?: {
    /** The same key and body give the same operation for 24 hours. */
    readonly 'Idempotency-Key'?: string | undefined;
    /** wait=N, in seconds */
    readonly Prefer?: string | undefined;
  };
  readonly body?: {
    readonly force?: boolean | null;
  };
}

export interface ReadVolumeDeviceInput {
  readonly path: {
    readonly id: string;
  };
  readonly headers?: {
    /** The ETag of an earlier answer; 304 when nothing has changed. */
    readonly 'If-None-Match'?: string | undefined;
  };
}

export type AliveInput = Readonly<Record<string, never>>;

export type LiveInput = Readonly<Record<string, never>>;

export type PrometheusInput = Readonly<Record<string, never>>;

export type ReadyInput = Readonly<Record<string, never>>;

/** Every call of the API; pages for people are left out. */

export class Api<Options> {
  constructor(private readonly sender: Sender<Options>) {}

  /** GET /api/v1/admin/cloudstack: Whether CloudStack answers, how its clock stands, and what our key may do */
  async checkCloudstack(input: CheckCloudstackInput = {}, options?: Options): Promise<CloudstackCheck> {
    return this.sender.json<CloudstackCheck>(
      { method: 'GET', path: '/api/v1/admin/cloudstack', input },
      options,
    );
  }

  /** GET /api/v1/admin/correlation/{volume_id}: Which disk a volume is, or why none: every disk considered, with its verdict */
  async explainCorrelation(input: ExplainCorrelationInput, options?: Options): Promise<CorrelationReport> {
    return this.sender.json<CorrelationReport>(
      { method: 'GET', path: '/api/v1/admin/correlation/{volume_id}', input },
      options,
    );
  }

  /** GET /api/v1/admin/database: Whether the database answers, its schema, its clock and its owner */
  async checkDatabase(input: CheckDatabaseInput = {}, options?: Options): Promise<DatabaseCheck> {
    return this.sender.json<DatabaseCheck>({ method: 'GET', path: '/api/v1/admin/database', input }, options);
  }

  /** GET /api/v1/admin/devices: The disks of this guest, and whose they are */
  async inspectGuest(input: InspectGuestInput = {}, options?: Options): Promise<Guest> {
    return this.sender.json<Guest>({ method: 'GET', path: '/api/v1/admin/devices', input }, options);
  }

  /** POST /api/v1/admin/force-sync: Compare CloudStack, guest, database and exports, and repair what is safe */
  async forceSync(input: ForceSyncInput = {}, options?: Options): Promise<SyncResult> {
    return this.sender.json<SyncResult>({ method: 'POST', path: '/api/v1/admin/force-sync', input }, options);
  }

  /** GET /api/v1/admin/offerings: The disk offerings that CloudStack offers */
  async listOfferings(input: ListOfferingsInput = {}, options?: Options): Promise<OfferingList> {
    return this.sender.json<OfferingList>({ method: 'GET', path: '/api/v1/admin/offerings', input }, options);
  }

  /** GET /api/v1/admin/zones: The zones that CloudStack offers */
  async listZones(input: ListZonesInput = {}, options?: Options): Promise<ZoneList> {
    return this.sender.json<ZoneList>({ method: 'GET', path: '/api/v1/admin/zones', input }, options);
  }

  /** POST /api/v1/cleanup/test-failover: Bring a volume back from a test VM, as one operation */
  async cleanupTestFailover(input: CleanupTestFailoverInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>(
      { method: 'POST', path: '/api/v1/cleanup/test-failover', input },
      options,
    );
  }

  /** GET /api/v1/devices: Every device mapping */
  async listDevices(input: ListDevicesInput = {}, options?: Options): Promise<MappingList> {
    return this.sender.json<MappingList>({ method: 'GET', path: '/api/v1/devices', input }, options);
  }

  /** GET /api/v1/devices/{path}/volume: The mapping of a device */
  async readDeviceVolume(input: ReadDeviceVolumeInput, options?: Options): Promise<Mapping> {
    return this.sender.json<Mapping>(
      { method: 'GET', path: '/api/v1/devices/{path}/volume', input },
      options,
    );
  }

  /** GET /api/v1/events: Everything that happens, as server-sent events */
  streamEvents(input: StreamEventsInput = {}, options?: Options): AsyncIterable<ServerEvent> {
    return this.sender.events({ method: 'GET', path: '/api/v1/events', input }, options);
  }

  /** GET /api/v1/exports: The NBD exports of this appliance */
  async listExports(input: ListExportsInput = {}, options?: Options): Promise<ExportList> {
    return this.sender.json<ExportList>({ method: 'GET', path: '/api/v1/exports', input }, options);
  }

  /** POST /api/v1/exports: Export an attached volume */
  async publishExport(input: PublishExportInput, options?: Options): Promise<Export> {
    return this.sender.json<Export>({ method: 'POST', path: '/api/v1/exports', input }, options);
  }

  /** POST /api/v1/exports/validate: Ask every export whether it answers, with the right size */
  async validateExports(input: ValidateExportsInput = {}, options?: Options): Promise<ExportValidation> {
    return this.sender.json<ExportValidation>(
      { method: 'POST', path: '/api/v1/exports/validate', input },
      options,
    );
  }

  /** GET /api/v1/exports/{volume_id}: The export of a volume */
  async readExport(input: ReadExportInput, options?: Options): Promise<Export> {
    return this.sender.json<Export>({ method: 'GET', path: '/api/v1/exports/{volume_id}', input }, options);
  }

  /** DELETE /api/v1/exports/{volume_id}: Withdraw the export of a volume */
  async withdrawExport(input: WithdrawExportInput, options?: Options): Promise<ExportWithdrawal> {
    return this.sender.json<ExportWithdrawal>(
      { method: 'DELETE', path: '/api/v1/exports/{volume_id}', input },
      options,
    );
  }

  /** GET /api/v1/health: The health of the daemon and of everything it depends on */
  async health(input: HealthInput = {}, options?: Options): Promise<Health> {
    return this.sender.json<Health>({ method: 'GET', path: '/api/v1/health', input }, options);
  }

  /** GET /api/v1/metrics: Counts of operations, as JSON */
  async metrics(input: MetricsInput = {}, options?: Options): Promise<Metrics> {
    return this.sender.json<Metrics>({ method: 'GET', path: '/api/v1/metrics', input }, options);
  }

  /** GET /api/v1/openapi.json: This document */
  async openapi(input: OpenapiInput = {}, options?: Options): Promise<Readonly<Record<string, unknown>>> {
    return this.sender.json<Readonly<Record<string, unknown>>>(
      { method: 'GET', path: '/api/v1/openapi.json', input },
      options,
    );
  }

  /** GET /api/v1/operations: Operations, newest first */
  async listOperations(input: ListOperationsInput = {}, options?: Options): Promise<OperationList> {
    return this.sender.json<OperationList>({ method: 'GET', path: '/api/v1/operations', input }, options);
  }

  /** GET /api/v1/operations/{id}: One operation; with ?wait=25s answered when it has ended */
  async readOperation(input: ReadOperationInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>({ method: 'GET', path: '/api/v1/operations/{id}', input }, options);
  }

  /** POST /api/v1/operations/{id}/cancel: Cancel an operation that CloudStack has not been asked for yet */
  async cancelOperation(input: CancelOperationInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>(
      { method: 'POST', path: '/api/v1/operations/{id}/cancel', input },
      options,
    );
  }

  /** GET /api/v1/operations/{id}/events: The journal of one operation, as server-sent events */
  streamOperation(input: StreamOperationInput, options?: Options): AsyncIterable<ServerEvent> {
    return this.sender.events({ method: 'GET', path: '/api/v1/operations/{id}/events', input }, options);
  }

  /** GET /api/v1/vms/{id}/volumes: The volumes of a VM, from the mappings */
  async listVmVolumes(input: ListVmVolumesInput, options?: Options): Promise<VmVolumeList> {
    return this.sender.json<VmVolumeList>(
      { method: 'GET', path: '/api/v1/vms/{id}/volumes', input },
      options,
    );
  }

  /** POST /api/v1/volumes: Create a volume in CloudStack */
  async createVolume(input: CreateVolumeInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>({ method: 'POST', path: '/api/v1/volumes', input }, options);
  }

  /** DELETE /api/v1/volumes/{id}: Delete a volume, detaching it from this appliance first */
  async deleteVolume(input: DeleteVolumeInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>({ method: 'DELETE', path: '/api/v1/volumes/{id}', input }, options);
  }

  /** GET /api/v1/volumes/{id}: What CloudStack, the guest and the daemon say of a volume */
  async readVolume(input: ReadVolumeInput, options?: Options): Promise<Volume> {
    return this.sender.json<Volume>({ method: 'GET', path: '/api/v1/volumes/{id}', input }, options);
  }

  /** POST /api/v1/volumes/{id}/attach: Attach a volume to a VM */
  async attachVolume(input: AttachVolumeInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>(
      { method: 'POST', path: '/api/v1/volumes/{id}/attach', input },
      options,
    );
  }

  /** POST /api/v1/volumes/{id}/attach-root: Attach a volume as the root disk (device 0) of a stopped VM */
  async attachRootVolume(input: AttachRootVolumeInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>(
      { method: 'POST', path: '/api/v1/volumes/{id}/attach-root', input },
      options,
    );
  }

  /** POST /api/v1/volumes/{id}/detach: Detach a volume from its VM */
  async detachVolume(input: DetachVolumeInput, options?: Options): Promise<Operation> {
    return this.sender.json<Operation>(
      { method: 'POST', path: '/api/v1/volumes/{id}/detach', input },
      options,
    );
  }

  /** GET /api/v1/volumes/{id}/device: The device mapping of a volume */
  async readVolumeDevice(input: ReadVolumeDeviceInput, options?: Options): Promise<Mapping> {
    return this.sender.json<Mapping>({ method: 'GET', path: '/api/v1/volumes/{id}/device', input }, options);
  }

  /** GET /health: Answers while the process serves */
  async alive(input: AliveInput = {}, options?: Options): Promise<Alive> {
    return this.sender.json<Alive>({ method: 'GET', path: '/health', input }, options);
  }

  /** GET /livez: Liveness: the process serves */
  async live(input: LiveInput = {}, options?: Options): Promise<Phase> {
    return this.sender.json<Phase>({ method: 'GET', path: '/livez', input }, options);
  }

  /** GET /metrics: Metrics for Prometheus */
  async prometheus(input: PrometheusInput = {}, options?: Options): Promise<string> {
    return this.sender.text({ method: 'GET', path: '/metrics', input }, options);
  }

  /** GET /readyz: Readiness: this daemon owns its appliance and takes requests */
  async ready(input: ReadyInput = {}, options?: Options): Promise<Phase> {
    return this.sender.json<Phase>({ method: 'GET', path: '/readyz', input }, options);
  }
}
