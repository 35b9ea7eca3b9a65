/**
 * Every error a caller can meet, in one catalogue: stable code → HTTP status and what to do about it.
 * `docs/reference/errors.md` is generated from this table (`npm run docs`) and a test keeps both equal.
 * A code is also what a failed operation carries in `error_code`.
 */
export interface ErrorSpec {
  /** HTTP status of the answer; codes of operations have the status a synchronous answer would have. */
  readonly status: number;
  /** Short human title (RFC 9457 `title`). */
  readonly title: string;
  /** What the reader can do about it. */
  readonly fix: string;
}

const catalogue = {
  // Requests
  VALIDATION_FAILED: {
    status: 400,
    title: 'The request is not valid',
    fix: 'Correct every field listed in details.',
  },
  MALFORMED_JSON: { status: 400, title: 'The body is not JSON', fix: 'Send one JSON object in UTF-8.' },
  UNAUTHORIZED: {
    status: 401,
    title: 'A token is needed',
    fix: 'Send Authorization: Bearer with a token that is not revoked.',
  },
  FORBIDDEN_ROLE: {
    status: 403,
    title: 'The token may not do this',
    fix: 'Use a token whose role is the one in details.needed, or a higher one.',
  },
  FORBIDDEN_ORIGIN: {
    status: 403,
    title: 'Requests from foreign web pages are refused',
    fix: 'Call the API from a program on the appliance, or from its own dashboard.',
  },
  FORBIDDEN_HOST: {
    status: 403,
    title: 'The Host header is not one of ours',
    fix: 'Use the address the daemon listens on, or add the name to ALLOWED_HOSTS.',
  },
  NOT_FOUND: { status: 404, title: 'There is no such resource', fix: 'Check the path and the id.' },
  OPERATION_NOT_FOUND: {
    status: 404,
    title: 'Operation not found',
    fix: 'List operations with GET /api/v1/operations.',
  },
  VOLUME_NOT_FOUND: {
    status: 404,
    title: 'Volume not found in CloudStack',
    fix: 'CloudStack says that this id names nothing: check it.',
  },
  VOLUME_NOT_VISIBLE: {
    status: 409,
    title: 'The volume is not visible to this API key',
    fix: 'It is not known whether it exists. Check which account or project it belongs to: volumectl check cloudstack.',
  },
  VOLUME_AMBIGUOUS: {
    status: 409,
    title: 'More than one volume is meant',
    fix: 'Name the volume by its whole id: details has the candidates.',
  },
  VOLUME_STATE: {
    status: 409,
    title: 'The volume is in a state in which this is not possible',
    fix: 'See the state in details; docs/reference/volume-states.md lists what each state allows.',
  },
  MAPPING_NOT_FOUND: {
    status: 404,
    title: 'Device mapping not found',
    fix: 'Attach the volume first; GET /api/v1/devices lists the mappings.',
  },
  EXPORT_NOT_FOUND: {
    status: 404,
    title: 'Export not found',
    fix: 'Only volumes attached to the appliance are exported; GET /api/v1/exports lists them.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    title: 'Method not allowed',
    fix: 'Use one of the methods named in the Allow header.',
  },
  CANCELLED: {
    status: 409,
    title: 'The operation was cancelled',
    fix: 'Nothing was changed; send the request again when it is wanted.',
  },
  TOO_LATE_TO_CANCEL: {
    status: 409,
    title: 'Too late to cancel',
    fix: 'Wait for the operation to end, then undo it with the opposite operation.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    title: 'The body is too large',
    fix: 'Requests of this API are small; send less than the stated limit.',
  },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type', fix: 'Send JSON.' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    title: 'The Idempotency-Key was used for another request',
    fix: 'Use a new key for a new request.',
  },
  RATE_LIMITED: { status: 429, title: 'Too many requests', fix: 'Wait for the time in Retry-After.' },
  INTERNAL: {
    status: 500,
    title: 'Internal error',
    fix: 'Look at the journal of the service for the request id and report it.',
  },
  // The daemon and what it depends on
  STARTING: { status: 503, title: 'The daemon is starting', fix: 'Try again after Retry-After.' },
  STOPPING: { status: 503, title: 'The daemon is stopping', fix: 'Try again after Retry-After.' },
  STANDBY: {
    status: 503,
    title: 'Another daemon owns this appliance',
    fix: 'Send changes to the owner named in details, or stop it.',
  },
  DATABASE_UNAVAILABLE: {
    status: 503,
    title: 'The database is away',
    fix: 'Do what the detail says, or check the database server and DATABASE_DSN; the daemon goes on by itself.',
  },
  APPLIANCE_UNKNOWN: {
    status: 503,
    title: 'The daemon does not know which VM it runs on',
    fix: 'Set OMA_VM_ID (or ossea_configs.oma_vm_id) to the CloudStack id of this VM.',
  },
  QUEUE_FULL: { status: 503, title: 'Too many operations are waiting', fix: 'Wait until some have ended.' },
  OPERATION_NOT_HELD: {
    status: 409,
    title: 'The operation is not held',
    fix: 'Only a held operation can be retried or abandoned (see held in GET /api/v1/operations/{id}), or abandoned where its appliance has no daemon any more.',
  },
  OPERATION_ABANDONED: {
    status: 409,
    title: 'The operation was abandoned by a person, or waited while the previous daemon worked',
    fix: 'Its error says what it may have left; look at the volume, then repeat the request if it is wanted.',
  },
  LEASE_LOST: {
    status: 503,
    title: 'This daemon no longer owns the appliance',
    fix: 'Nothing: the new owner continues the operation.',
  },
  // CloudStack
  CLOUDSTACK_NOT_CONFIGURED: {
    status: 503,
    title: 'CloudStack is not configured',
    fix: 'Insert an active row into ossea_configs.',
  },
  CLOUDSTACK_UNAVAILABLE: {
    status: 503,
    title: 'CloudStack is away',
    fix: 'Check the api_url of ossea_configs and the management server.',
  },
  CLOUDSTACK_AUTH: {
    status: 502,
    title: 'CloudStack refused the credentials',
    fix: 'Check api_key and secret_key (and MIGRATEKIT_CRED_ENCRYPTION_KEY, where they are encrypted), the clock of this machine, the allowed source addresses and the role of the key.',
  },
  CLOUDSTACK_REJECTED: {
    status: 502,
    title: 'CloudStack refused the request',
    fix: 'Read the text of CloudStack in the message.',
  },
  CLOUDSTACK_QUOTA: {
    status: 502,
    title: 'A CloudStack limit is reached',
    fix: 'Raise the limit of the account, or delete volumes.',
  },
  CLOUDSTACK_JOB_FAILED: {
    status: 502,
    title: 'The CloudStack job failed',
    fix: 'Read the text of CloudStack in the message.',
  },
  CLOUDSTACK_OUTCOME_UNKNOWN: {
    status: 502,
    title: 'CloudStack did not say how the call ended',
    fix: 'Look at the volume in CloudStack; force-sync reports differences.',
  },
  ZONE_NOT_FOUND: { status: 404, title: 'Zone not found', fix: 'List zones with volumectl check zones.' },
  DISK_OFFERING_NOT_FOUND: {
    status: 404,
    title: 'Disk offering not found',
    fix: 'List disk offerings with volumectl check offerings.',
  },
  VOLUME_NAME_EXISTS: {
    status: 409,
    title: 'A live volume of this name already exists in the zone',
    fix: 'Use another name, or set VOLUME_NAMES=any.',
  },
  VOLUME_ATTACHED_ELSEWHERE: {
    status: 409,
    title: 'The volume is not where this needs it: on another VM, or attached or detached anew meanwhile',
    fix: 'The message says where it is. Detach it from a VM named in details first, or repeat the request if it is still wanted.',
  },
  VOLUME_BUSY: {
    status: 409,
    title: 'CloudStack is busy with the volume',
    fix: 'Wait until the volume is in state Ready or Allocated.',
  },
  VOLUME_WOULD_SHRINK: {
    status: 409,
    title: 'The volume is larger than the size asked for',
    fix: 'A volume is only ever made larger. To have a smaller one, create it and copy.',
  },
  VOLUME_ATTACHED_HERE: {
    status: 409,
    title: 'The volume is attached to this appliance',
    fix: 'Detach it first; its content is not replaced under an export.',
  },
  SNAPSHOT_NOT_FOUND: {
    status: 404,
    title: 'Snapshot not found in CloudStack',
    fix: 'GET /api/v1/volumes/{id}/snapshots lists those of a volume.',
  },
  SNAPSHOT_NOT_VISIBLE: {
    status: 409,
    title: 'The snapshot is not visible to this API key',
    fix: 'It is deleted, or belongs to another account or project: GET /api/v1/volumes/{id}/snapshots.',
  },
  SNAPSHOT_STATE: {
    status: 409,
    title: 'The snapshot is in a state in which this is not possible',
    fix: 'Wait until it is BackedUp; one in state Error can only be deleted.',
  },
  SNAPSHOT_MISMATCH: {
    status: 409,
    title: 'The snapshot is of another volume',
    fix: 'GET /api/v1/volumes/{id}/snapshots lists those of a volume.',
  },
  VM_NOT_FOUND: { status: 404, title: 'VM not found in CloudStack', fix: 'Check the VM id.' },
  VM_NOT_VISIBLE: {
    status: 409,
    title: 'The VM is not visible to this API key',
    fix: 'Nothing was done to it. Check which account or project it belongs to.',
  },
  VM_STATE: {
    status: 409,
    title: 'The VM is in a state in which this is not possible',
    fix: 'Wait until the VM is Running or Stopped.',
  },
  NO_FREE_SLOT: {
    status: 409,
    title: 'The VM takes no more disks',
    fix: 'Detach a volume first (details say what is full), or set SLOTS=wait. More PCI slots or a higher maxdatavolumeslimit help for good.',
  },
  VM_HAS_DISKS: {
    status: 409,
    title: 'The VM still has data disks',
    fix: 'Detach the volumes named in details first.',
  },
  APPLIANCE_PROTECTED: {
    status: 409,
    title: 'This would act on an appliance',
    fix: 'Name another VM: the daemon never stops, destroys or changes the system disk of the VM it runs on, nor that of another daemon with this database. Disks of such a VM are attached and detached by its own daemon, which also removes the row of one that CloudStack has detached or given to another VM, within a minute.',
  },
  VM_NOT_STOPPED: {
    status: 409,
    title: 'The VM is not stopped',
    fix: 'Stop the VM first, or use force_clean.',
  },
  // Devices and exports
  DEVICE_NOT_DETECTED: {
    status: 504,
    title: 'No device appeared in the guest',
    fix: 'Check lsblk on the appliance and PCI hot-plug of the VM; see docs/reference/correlation.md.',
  },
  DEVICE_AMBIGUOUS: {
    status: 409,
    title: 'More than one device could be the volume',
    fix: 'Nothing was chosen. See the candidates in details and docs/reference/correlation.md.',
  },
  DEVICE_IDENTITY_MISMATCH: {
    status: 409,
    title: 'The device is not the disk of this volume',
    fix: 'Run force-sync and read the drift it reports.',
  },
  DEVICE_TOO_SMALL: {
    status: 409,
    title: 'The disk in the guest is smaller than its volume',
    fix: 'After a resize in CloudStack detach the volume and attach it again, or stop and start the appliance; it is not exported before.',
  },
  DEVICE_NOT_IDENTIFIED: {
    status: 409,
    title: 'It is not known which disk of this guest the volume is',
    fix: 'Stop what details names, or repeat with {"force": true}. Every disk: volumectl device list.',
  },
  DEVICE_IN_USE: {
    status: 409,
    title: 'The device is in use',
    fix: 'Stop what details names. A detach may be repeated with {"force": true}; a disk of this system itself is never exported.',
  },
  DEVICES_UNREADABLE: {
    status: 503,
    title: 'The devices of this guest cannot be read',
    fix: 'Check that /sys/block is readable for the daemon; it looks again by itself.',
  },
  DEVICE_STILL_PRESENT: {
    status: 504,
    title: 'The guest still has the disk after the detach',
    fix: 'See "ghost disk" in docs/reference/correlation.md.',
  },
  EXPORT_SERVER_UNHEALTHY: {
    status: 503,
    title: 'The NBD server does not answer as it should',
    fix: 'See exports in GET /api/v1/health and docs/reference/exports.md.',
  },
  EXPORT_CONFIG_FAILED: {
    status: 500,
    title: 'The export configuration could not be written',
    fix: 'Check space and permissions of the folder named in details.',
  },
  STEP_DEADLINE: {
    status: 504,
    title: 'A step took longer than its deadline',
    fix: 'The state that was read back is in details.',
  },
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof catalogue;

/**
 * A code as a row or a journal holds it: another version may have written one that this one does not know.
 */
export function storedErrorCode(text: string): ErrorCode {
  return isErrorCode(text) ? text : 'INTERNAL';
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(catalogue, text);
}

export const ERRORS: Readonly<Record<ErrorCode, ErrorSpec>> = catalogue;
