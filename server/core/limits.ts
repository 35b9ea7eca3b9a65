/**
 * Every bound of the daemon in one place. Times are ms, sizes are bytes, unless the name says otherwise.
 * What an operator may change is configuration (../daemon/configuration/variables.ts), not here.
 */
export const LIMITS = {
  // HTTP
  HTTP_HEADERS_MS: 10_000,
  HTTP_REQUEST_MS: 30_000,
  HTTP_CONNECTIONS: 1_024,
  // Of those; the rest is for connections that are at work
  HTTP_IDLE_CONNECTIONS: 768,
  // Longer than callers keep an idle connection (Go 90 s, curl 118 s), so that it is they who end it
  HTTP_IDLE_MS: 120_000,
  // Pipelined requests that wait for their turn: reading stops, then the connection ends; and in all
  // connections
  PIPELINED_PAUSE: 64,
  PIPELINED_MAX: 1_024,
  PIPELINED_ALL_MAX: 8_192,
  // Answers that clients have not read, in all connections: beyond it the one that waits longest is cut
  UNREAD_ALL_BYTES: 16 * 1024 * 1024,
  // Of a file, what is written before the client has taken what was written before; and in a
  // turn of the event loop
  STATIC_CHUNK_BYTES: 64 * 1024,
  STATIC_CHUNKS_A_TURN: 8,
  // Long lists that are being made at a time; between two of them there is a pause as long as the first took
  LARGE_ANSWERS_AT_ONCE: 1,
  LARGE_ANSWER_PAUSE_MAX_MS: 500,
  SYNCS_AT_ONCE: 4,
  VALIDATIONS_AT_ONCE: 2,
  CLOUDSTACK_READS_AT_ONCE: 64,
  DIAGNOSTICS_AT_ONCE: 4,
  BODY_BYTES: 64 * 1024,
  NAME_CHARACTERS: 255,
  /** The id of the operation follows it. */
  SNAPSHOT_NAME_CHARACTERS: 200,
  GROUP_VOLUMES: 32,
  GROUP_POLL_MS: 1_000,
  METADATA_ENTRIES: 64,
  METADATA_VALUE_CHARACTERS: 1024,
  // Of the newest operations, those that a search for a text looks through; a whole id is looked for in all
  SEARCH_OPERATIONS: 10_000,
  LIST_DEFAULT: 100,
  LIST_MAX: 1000,
  // A page of mappings unless told: callers that know no pages have dozens
  MAPPINGS_DEFAULT: 500,
  // A device path and a volume id of 255 and 64 characters, of up to 4 bytes, as base64
  CURSOR_CHARACTERS: 1712,
  LONG_POLL_SECONDS: 25,
  // Who does not own the appliance reads so often whether an operation that is waited for has ended
  END_LOOK_MS: 500,
  IDEMPOTENCY_KEY_CHARACTERS: 128,
  IDEMPOTENCY_TTL_MS: 24 * 3_600_000,
  REQUEST_ID_CHARACTERS: 64,
  TOKEN_NAME_CHARACTERS: 64,
  TOKENS_MAX: 100,
  TOKENS_FILE_BYTES: 64 * 1024,
  // All CAs of a distribution are a quarter of a MiB
  CA_FILE_BYTES: 4 * 1024 * 1024,
  // What was revoked may be used so long
  TOKENS_LOOK_MS: 1_000,
  FIELD_ISSUES: 64,
  STREAMS: 256,
  // To the end of the daemon: one of each connection (HTTP_CONNECTIONS), and some of its own
  STOP_LISTENERS: 1_024 + 16,
  STREAM_QUEUE: 1_000,
  STREAM_OVERTAKEN: 1_000,
  STREAM_TOLD: 4_000,
  STREAM_BUFFER_BYTES: 256 * 1024,
  STREAM_REPLAY_PAGE: 500,
  STREAM_HEARTBEAT_MS: 15_000,
  STREAM_TICK_MS: 1_000,
  // Volumes (2^53 bytes is the largest exact JSON number; CloudStack has its own, lower limit)
  VOLUME_BYTES_MAX: Number.MAX_SAFE_INTEGER,
  // Operations
  PENDING_MAX: 100_000,
  ACCEPT_GROUP_SIZE: 32,
  JOURNAL_GROUP_SIZE: 32,
  EXECUTING_MAX: 256,
  CLAIM_BATCH: 32,
  CLAIM_DELAY_MS: 5,
  ACTIVE_STEPS: 8,
  // Running operations stand back for callers at most so long
  TURNS_HELD_MS: 5,
  // So soon after a caller the next one may come
  TURNS_FLOW_MS: 50,
  RETRY_BASE_MS: 1_000,
  JOURNALED_WAITS: 12,
  CRASHES_UNTIL_HELD: 2,
  CRASH_NOTE_MS: 2_000,
  RETRY_CAP_MS: 30_000,
  // However long CloudStack, or something in front of it, asks to wait
  RETRY_AFTER_CAP_MS: 5 * 60_000,
  RESOURCE_RETRY_DEADLINE_MS: 15 * 60_000,
  MUTATION_TRIES: 3,
  // A management server answers before its hosts and storage are connected
  SERVER_START_MS: 60_000,
  JOB_DEADLINE_MS: 60 * 60_000,
  // CloudStack deletes unfinished jobs after an hour and finished ones after a day, unless told otherwise
  JOB_SURELY_KEPT_MS: 30 * 60_000,
  VOLUME_BUSY_DEADLINE_MS: 30 * 60_000,
  EXPORT_DEADLINE_MS: 60_000,
  DEVICE_GONE_DEADLINE_MS: 60_000,
  DELETE_DEADLINE_MS: 15 * 60_000,
  READ_SETTLE_MS: 15_000,
  // So often one attach maps its volume, where the disk comes and goes or its row is deleted each time
  MAPS_PER_ATTACH: 20,
  // Between the last look at what may forbid a call and its departure; usually some ms.
  GUARDS_AGE_MAX_MS: 2_000,
  // How often they are read for one departure, where reading them takes longer than that
  GUARD_PASSES: 5,
  // How often one that waits for another operation of this process looks whether it has ended
  CONFLICT_POLL_MS: 250,
  SLOT_POLL_MS: 1_000,
  SLOT_WAIT_DEADLINE_MS: 24 * 3_600_000,
  // Half of EXECUTING_MAX: the detaches that make room must find a place to run
  SLOT_WAITERS_MAX: 128,
  VM_MOVING_DEADLINE_MS: 10 * 60_000,
  // Between the `created` of a VM and that of the root disk that it came with
  MADE_WITH_VM_MS: 60_000,
  AUTH_RETRY_DEADLINE_MS: 5 * 60_000,
  QUIET_WAIT_MS: 2_000,
  DRAIN_MS: 9_000,
  // For answers that are under way when the daemon is ended, and for the rest of its end:
  // systemd kills it after 20 s
  HTTP_DRAIN_MS: 15_000,
  LISTEN_POLL_MS: 1,
  LISTEN_WAIT_MS: 5_000,
  // Ownership: how long a renewal counts for others, and for the owner itself; the difference is for clocks
  // that do not run equally fast and for an answer that is on its way
  LEASE_MS: 4_000,
  LEASE_HOLD_MS: 3_500,
  LEASE_RENEW_MS: 1_000,
  // So often is noted outside of the database how far the database has come.
  RENEWALS_PER_NOTE: 10,
  LEASE_RETRY_MS: 250,
  LEASE_LOOK_MS: 500,
  // Longer than DATABASE_LOCK_WAIT_MS: where writes wait for rows of other programs, one of them holds the
  // appliance's row nearly always, and gives way just when a renewal that waits as long would be given up.
  LEASE_STATEMENT_MS: 1_500,
  // In a row, before another node of a cluster is tried. One may be the load of a moment.
  UNANSWERED_WRITES: 2,
  HEALTH_RETRY_MS: 2_000,
  HEALTH_CLOUDSTACK_MS: 30_000,
  HEALTH_DATABASE_MS: 5_000,
  SLOT_REFRESH_MS: 30_000,
  HEALTH_EXPORTS_MS: 2_000,
  UNKNOWNS_REMEMBERED: 1_000,
  PRUNE_BATCH: 500,
  HISTORY_KEPT: 1_000,
  CLOCKS_AGREE_MS: 5 * 60_000,
  CLOCK_STEP_MS: 2_000,
  IDENTITY_RECHECK_MS: 5 * 60_000,
  // CloudStack
  CLOUDSTACK_TIMEOUT_MS: 30_000,
  CLOUDSTACK_CONNECT_TIMEOUT_MS: 10_000,
  // Jetty ends an idle connection after 30 s, and what stands before it perhaps sooner
  CLOUDSTACK_IDLE_MS: 4_000,
  CLOUDSTACK_DELETE_TIMEOUT_MS: 10 * 60_000,
  CLOUDSTACK_ANSWER_BYTES: 32 * 1024 * 1024,
  CLOUDSTACK_PAGE_SIZE: 500,
  CLOUDSTACK_PAGES: 200,
  CLOUDSTACK_LIST_READS: 3,
  DISK_LIMIT_CACHE_MS: 5 * 60_000,
  ROLE_CACHE_MS: 60 * 60_000,
  /** Longer than any healthy read of one object takes. */
  SHARED_READ_WAIT_MS: 250,
  SIGNATURE_LIFETIME_MS: 10 * 60_000,
  CLOCK_SKEW_WARN_MS: 60_000,
  CLOCK_MEASURE_PAUSE_MS: 60_000,
  CLOCK_MEASURE_CAP_MS: 3_600_000,
  CLOCK_PROBE_TIMEOUT_MS: 5_000,
  JOB_POLL_FIRST_MS: 50,
  JOB_POLL_SPACING_MS: 1,
  // Once the guest has shown the disk come or go
  JOB_POLL_RUNG_MS: 5,
  JOB_POLL_MAX_MS: 2_000,
  // Devices
  CHANNEL_CAPACITY: 100,
  CONTEMPORARY_WINDOW_MS: 5_000,
  FAST_SCAN_MS: 75,
  CONTESTED_DISK_POLL_MS: 500,
  // CloudStack shows a volume as attached some time after the guest has its disk: when the agent has
  // answered.
  SHOWN_AFTER_PLUG_MS: 2_000,
  RESIZE_SETTLE_MS: 2_000,
  POLL_SLACK_MS: 250,
  SERIAL_READ_TIMEOUT_MS: 2_000,
  SERIAL_GRACE_MS: 10,
  // Before kernel 4.20 virtio makes the file after the partitions of the disk have been read.
  SERIAL_FILE_LATE_MS: 1_000,
  SERIAL_READS_AT_ONCE: 2,
  SERIAL_STUCK_MAX: 8,
  SERIAL_RETRY_CAP_MS: 30_000,
  // device_mappings.serial
  SERIAL_CHARACTERS: 64,
  SYSFS_FILE_BYTES: 512,
  PROC_FILE_BYTES: 4 * 1024 * 1024,
  HINT_DEBOUNCE_MS: 2,
  HINT_RETRY_MS: 5_000,
  SCAN_STALE_MS: 30_000,
  HOLDER_DESCRIPTORS: 262_144,
  DESCRIPTORS_AT_ONCE: 16,
  DESCRIPTORS_AT_A_STRETCH: 2_048,
  // Processes such as a worker of udev let go of a disk within moments.
  HOLDER_PASSES_MS: 5_000,
  HOLDER_AGAIN_FIRST_MS: 10,
  HOLDER_AGAIN_MS: 200,
  EXCLUSIVE_OPEN_MS: 2_000,
  // Of the threads that Node has for files (UV_THREADPOOL_SIZE of the unit; else four).
  EXCLUSIVE_OPENS_STUCK_MAX: 2,
  OWN_DISKS: 256,
  OWN_DISKS_BYTES: 64 * 1024,
  DEVICES_MAX: 1_024,
  PROCESSES_MAX: 20_000,
  // Traffic of disks: the window of rates, how close two samples of it may be, and when a
  // client counts as idle
  TRAFFIC_WINDOW_MS: 10_000,
  TRAFFIC_SPACING_MS: 1_000,
  TRAFFIC_EVENT_MS: 1_000,
  TRAFFIC_MAPPINGS_MS: 30_000,
  CLIENT_IDLE_MS: 30_000,
  DISK_FLUSH_MS: 10_000,
  DISK_FLUSHES_AT_ONCE: 2,
  // Charts: the steps of the last hour and of the last day, over what gap between two looks nothing is
  // counted, and the exports that are remembered (some 22 KiB each)
  HISTORY_HOUR_STEP_MS: 20_000,
  HISTORY_DAY_STEP_MS: 5 * 60_000,
  HISTORY_GAP_MS: 30_000,
  HISTORY_EXPORTS: 64,
  // Latest operations that sync and correlation look back at, of a volume or a VM
  RECENT_OPERATIONS: 8,
  // Operations of a volume that are looked through for where one has left it, or for a disk that it has left
  OPERATIONS_LOOKED_THROUGH: 1_000,
  // Sync
  SYNC_LOOKUPS: 50,
  SYNC_CREATES: 200,
  /** Ids in one statement of Ledger.ownVolumes */
  OWN_VOLUMES_AT_ONCE: 1_000,
  SYNC_PROBE_AGAIN_MS: 1_000,
  SYNC_RETRY_MS: 5_000,
  SYNC_GRACE_MS: 2 * 60_000,
  SYNC_EXPORTS_AT_ONCE: 32,
  STUCK_STATE_MS: 50_000,
  // Exports
  NBD_HANDSHAKE_TIMEOUT_MS: 3_000,
  // How long a greeted connection waits for what is to be proved; shorter than a handshake may take
  NBD_STANDBY_MS: 2_000,
  NBD_LIST_ENTRIES: 10_000,
  PROBES_AT_ONCE: 8,
  METRICS_EXPORTS: 64,
  // nbd-server 3.24 makes Diffie-Hellman parameters before it listens: a random search, tenths of a second on
  // a free processor and many seconds on a starved one. Who gives up earlier begins the search anew.
  NBD_START_TIMEOUT_MS: 30_000,
  NBD_START_POLL_MS: 5,
  NBD_REVIVE_BASE_MS: 1_000,
  NBD_REVIVE_CAP_MS: 30_000,
  // A holder that still has its socket is not asked for a handshake again before this time
  NBD_BELIEVED_MS: 30_000,
  // A client of nbdkit that has not asked for an export by then gives up its place
  NBD_CLIENT_HANDSHAKE_MS: 10_000,
  NBD_APPEARS_MS: 1_000,
  // Health names a certificate of the exports from then on, or from the last tenth of its time
  CERTIFICATE_WARN_MS: 14 * 24 * 3_600_000,
  EXPORT_RELOAD_SETTLE_MS: 2_000,
  // Database
  DATABASE_RETRIES: 5,
  DATABASE_CONNECTIONS: 8,
  DATABASE_EFFECT_CONNECTIONS: 2,
  DATABASE_QUEUE: 1_000,
  READ_GROUP_SIZE: 64,
  DATABASE_CONNECT_TIMEOUT_MS: 5_000,
  DATABASE_BACKOFF_BASE_MS: 250,
  DATABASE_BACKOFF_CAP_MS: 5_000,
  // Longer than a wait for a lock, and than a Galera cluster needs to give up a node that died
  DATABASE_STATEMENT_MS: 8_000,
  // Whole seconds. Whoever waits for rows of other programs keeps the lease from being renewed meanwhile:
  // such a wait and a renewal fit into LEASE_HOLD_MS.
  DATABASE_LOCK_WAIT_MS: 1_000,
  // Longer than LEASE_RETRY_MS
  DATABASE_LOCK_PAUSE_MS: 500,
  DATABASE_IDLE_MS: 60_000,
  /**
   * MySQL 8.0.20 to 8.0.27 sort nothing that is not 15 times smaller than this: a request and
   * its response are rows.
   */
  DATABASE_SORT_BYTES: 4 * 1024 * 1024,
  // Shorter than a lease: what a vanished owner has locked is free before it is replaced.
  DATABASE_IDLE_TRANSACTION_MS: 3_000,
  DATABASE_ADDRESSES_MAX: 16,
  // The lock of the schema: an ALTER of a large table is renewed between two of its steps only
  MIGRATION_LEASE_MS: 30_000,
  MIGRATION_LOOK_MS: 250,
  MIGRATION_TRIES: 10,
  DATABASE_REASON_CHARACTERS: 300,
  MIGRATION_IDLE_MS: 8 * 3_600_000,
  TEXT_CHARACTERS: 16_000,
  /** How long GET /vms/{id}/volumes waits for CloudStack; its callers give up after 30 s. */
  VM_VOLUMES_LOOK_MS: 10_000,
  // The catalogue of volumes: older than this (sync has not looked for a while), a reader
  // starts a look itself
  CATALOGUE_AGE_MS: 75_000,
  CATALOGUE_RETRY_MS: 5_000,
  // Volumes read one by one since the last look at all of them
  CATALOGUE_NOTES: 10_000,
  // Looks at all volumes for the sake of a name or an id prefix
  RESOLUTIONS_AT_ONCE: 4,
  CANDIDATES: 20,
  // Logging (journald cuts lines at 48 KiB; a cut line would lose its priority and its JSON)
  LOG_DEPTH: 8,
  LOG_ENTRIES: 100,
  LOG_TEXT_CHARACTERS: 4_000,
  LOG_LINE_BYTES: 40_000,
  // Traces: spans that wait or are on their way; beyond that they are dropped and counted
  TRACE_SPANS_MAX: 2_048,
  TRACE_BATCH: 512,
  TRACE_DELAY_MS: 2_000,
  TRACE_SEND_MS: 10_000,
  TRACE_DRAIN_MS: 2_000,
  TRACE_TEXT_CHARACTERS: 256,
} as const;
