import { GIB } from '../../core/gib';
import { parseDsn } from '../../database/connection/dsn';
import { BACKENDS, MANAGERS, RESTART_POLICIES, TLS_MODES } from '../../exports/export-choices';
import { POLICY_CHOICES } from '../../operations/policy';
import { caFile } from './ca-file';
import {
  bytes,
  duration,
  firstPath,
  flag,
  headers,
  hosts,
  httpUrl,
  integer,
  key32,
  listener,
  logLevel,
  name,
  oneOf,
  path,
  program,
  retired,
  socketPath,
  uuid,
  word,
} from './values';
import { optional, secret, withDefault } from './variable';

const port = integer(1, 65_535);

export const DEFAULT_DSN = 'oma_user:oma_password@tcp(localhost:3306)/migratekit_oma?parseTime=true';

const SERVER = {
  dsn: secret(
    withDefault(
      'DATABASE_DSN',
      parseDsn,
      DEFAULT_DSN,
      'The database: Go form `user:pass@tcp(host:port)/db`, `user:pass@unix(/path)/db`, or a `mysql://` URL. The nodes of a cluster: `tcp(host1:port,host2:port)`, in the order in which they are tried. Parameters that count: `tls`, `timeout`.',
    ),
  ),
  databaseCa: optional(
    'DATABASE_CA_FILE',
    caFile,
    'PEM file with the certificate of the CA that signed the one of the database, where the usual CAs did not. The connection then uses TLS; not with `tls=skip-verify`, which trusts everybody.',
  ),
  host: withDefault(
    'HOST',
    listener,
    '127.0.0.1',
    'Address to listen on. Anything but loopback needs TOKENS_FILE, TOKEN_FILE or ALLOW_INSECURE_BIND=true.',
  ),
  port: withDefault('PORT', port, '8090', 'TCP port to listen on.'),
  socketPath: optional(
    'UNIX_SOCKET',
    socketPath,
    'Listen on this unix socket instead of HOST and PORT; a socket left there by an earlier run is replaced.',
  ),
  tokenFile: optional(
    'TOKEN_FILE',
    path,
    'File with one bearer token, which may do everything; when set, every request needs `Authorization: Bearer <token>`.',
  ),
  tokensFile: optional(
    'TOKENS_FILE',
    path,
    'File with named tokens and their roles, written by `volumectl token`; when set, every request needs one of them (or that of TOKEN_FILE, which is `admin`). Read again when it has changed; while it cannot be read, nobody is let in but with what was read before.',
  ),
  allowedHosts: withDefault(
    'ALLOWED_HOSTS',
    hosts,
    '',
    'Further names allowed in the Host header, separated by commas (loopback names always are).',
  ),
  allowInsecureBind: withDefault(
    'ALLOW_INSECURE_BIND',
    flag,
    'false',
    '`true`: listen on a non-loopback address without a token.',
  ),
  logLevel: optional(
    'LOG_LEVEL',
    logLevel,
    'Least severe level that is logged: `debug`, `info`, `warn` or `error` (`trace`, `warning` and `fatal` of the Go daemon are understood). Without it GIN_MODE decides, else `info`.',
  ),
  logFormat: withDefault(
    'LOG_FORMAT',
    oneOf('auto', 'pretty', 'json', 'journald'),
    'auto',
    '`pretty`, `json`, `journald` (JSON behind a priority, so that `journalctl -p err` works), or `auto`: pretty on a terminal, journald under systemd, JSON elsewhere.',
  ),
  ginMode: optional(
    'GIN_MODE',
    oneOf('debug', 'release', 'test'),
    'Of the Go daemon, still read: where LOG_LEVEL is unset, `debug` logs at debug, `release` and `test` at info.',
  ),
};

const CLOUDSTACK = {
  cloudCa: optional(
    'CLOUDSTACK_CA_FILE',
    caFile,
    'PEM file with the certificate of the CA that signed the one of CloudStack, where the usual CAs did not. The usual ones stay trusted.',
  ),
  cloudProject: optional(
    'CLOUDSTACK_PROJECT',
    uuid,
    'Id of the project that new volumes belong to; else `ossea_configs.project_id`, else that of the appliance.',
  ),
  cloudAccount: optional(
    'CLOUDSTACK_ACCOUNT',
    name,
    'Name of the account that new volumes belong to, with CLOUDSTACK_DOMAIN; else `ossea_configs.account` and `domain_id`, else that of the appliance where the key may create for others.',
  ),
  cloudDomain: optional('CLOUDSTACK_DOMAIN', uuid, 'Id of the domain of CLOUDSTACK_ACCOUNT.'),
};

const DEVICES = {
  pollIntervalMs: withDefault(
    'POLL_INTERVAL',
    duration(500, 60_000),
    '2s',
    'Pause between two looks at the devices when nothing waits.',
  ),
  correlationTimeoutMs: withDefault(
    'CORRELATION_TIMEOUT',
    duration(1_000, 3_600_000),
    '30s',
    'How long an attach waits for its device to appear.',
  ),
  sizeToleranceBytes: withDefault(
    'SIZE_TOLERANCE',
    bytes(0, 1024 * GIB),
    '3GiB',
    'How much larger than the volume its device may be.',
  ),
  vmId: optional(
    'OMA_VM_ID',
    uuid,
    'CloudStack id of the VM the daemon runs on; else `ossea_configs.oma_vm_id`, else the SMBIOS UUID.',
  ),
  sysBlockDir: withDefault(
    'SYS_BLOCK_DIR',
    path,
    '/sys/block',
    'Where the devices are read; another folder is for laboratories.',
  ),
  devDir: withDefault(
    'DEV_DIR',
    path,
    '/dev',
    'Where the device nodes are; another folder is for laboratories and relaxes the check of the node.',
  ),
  procDir: withDefault('PROC_DIR', path, '/proc', 'Where processes and mounts are read.'),
  dmiDir: withDefault('DMI_DIR', path, '/sys/class/dmi/id', 'Where the SMBIOS UUID is read.'),
  etcDir: withDefault(
    'ETC_DIR',
    path,
    '/etc',
    'Where fstab, crypttab, the devices file of LVM and the list of own disks are read.',
  ),
};

const OPERATIONS = {
  attachRollback: withDefault(
    'ATTACH_ROLLBACK',
    oneOf(...POLICY_CHOICES.attachRollback),
    'detach',
    'What happens to a volume whose device never appeared: `detach` it again, or `keep` it attached.',
  ),
  detachInUse: withDefault(
    'DETACH_IN_USE',
    oneOf(...POLICY_CHOICES.detachInUse),
    'refuse',
    'A detach of a mounted or otherwise used device: `refuse` or `force`.',
  ),
  detachConnected: withDefault(
    'DETACH_CONNECTED',
    oneOf(...POLICY_CHOICES.detachConnected),
    'when-idle',
    'A detach while NBD clients are connected: `when-idle` goes on when the disk has seen no I/O for 30 s and refuses while it does, `refuse` always refuses, `disconnect` cuts them.',
  ),
  slots: withDefault(
    'SLOTS',
    oneOf(...POLICY_CHOICES.slots),
    'refuse',
    'An attach to this VM when it takes no more disks: `refuse` ends it at once with NO_FREE_SLOT, `wait` waits up to 24 h for a detach.',
  ),
  volumeNames: withDefault(
    'VOLUME_NAMES',
    oneOf(...POLICY_CHOICES.volumeNames),
    'warn',
    'A volume name that a live volume of the same account has in the zone: `warn` creates and names the others in the response, `unique` refuses, `any` does not look.',
  ),
  deleteMode: withDefault(
    'DELETE_MODE',
    oneOf(...POLICY_CHOICES.deleteMode),
    'expunge',
    '`expunge` deletes for good; `trash` destroys without expunging, so that the volume can be recovered until CloudStack expunges it.',
  ),
  jobLostAfterMs: withDefault(
    'JOB_LOST_AFTER',
    duration(1_000, 600_000),
    '30s',
    'How long CloudStack must deny a job before the daemon believes that it was never accepted.',
  ),
};

const STORAGE_DAEMON_FIX =
  'set NBD_BACKEND=nbdkit (apt-get install nbdkit), or leave it out; remove NBD_QMP_SOCKET and volume-daemon-qsd.service';

const EXPORTS = {
  backend: withDefault(
    'NBD_BACKEND',
    retired(
      {
        'qemu-storage-daemon': STORAGE_DAEMON_FIX,
        'storage-daemon': STORAGE_DAEMON_FIX,
        qsd: STORAGE_DAEMON_FIX,
      },
      oneOf(...BACKENDS),
    ),
    'auto',
    'The export server: `nbdkit`, `nbd-server`, `none`, or `auto`: an nbd-server that has the port already, else nbdkit where it is installed, else nbd-server.',
  ),
  nbdHost: withDefault(
    'NBD_HOST',
    listener,
    '127.0.0.1',
    'Address under which the daemon probes the export server.',
  ),
  nbdPort: withDefault('NBD_PORT', port, '10809', 'Port of the export server.'),
  nbdReadOnlyPort: withDefault(
    'NBD_READ_ONLY_PORT',
    port,
    '10810',
    'Port of the exports that cannot be written (nbdkit only; nbd-server has them on NBD_PORT).',
  ),
  configDir: withDefault(
    'NBD_CONFIG_DIR',
    path,
    '/etc/nbd-server/conf.d',
    'Folder of the export files; the daemon touches only its own `migration-vol-*.conf`.',
  ),
  baseConfig: withDefault(
    'NBD_BASE_CONFIG',
    path,
    '/etc/nbd-server/config',
    'Base configuration of nbd-server; created when it is missing, never changed.',
  ),
  pidFile: withDefault('NBD_PID_FILE', path, '/run/nbd-server.pid', 'Pid file of nbd-server.'),
  binary: optional(
    'NBD_BINARY',
    program,
    'Program to run when the daemon runs the export server itself: a name on the PATH or an absolute path. Default: the one that NBD_BACKEND is called after.',
  ),
  manage: withDefault(
    'NBD_MANAGE',
    oneOf(...MANAGERS),
    'auto',
    'Who starts the export server: `systemd` (NBD_UNIT), `own` (the daemon), or `auto`: systemd where NBD_UNIT is set, else own.',
  ),
  unit: optional(
    'NBD_UNIT',
    word,
    'systemd unit of the export server: volume-daemon-nbd.socket for nbdkit; for nbd-server one that kills only the parent (volume-daemon-nbd-server.service).',
  ),
  restartPolicy: withDefault(
    'NBD_RESTART',
    oneOf(...RESTART_POLICIES),
    'preserve',
    'May nbd-server be restarted so that it forgets old exports: `preserve` (live clients carry on), `when-idle`, `never`.',
  ),
  tls: withDefault(
    'NBD_TLS',
    oneOf(...TLS_MODES),
    'off',
    'TLS of the exports (needs NBD_BACKEND=nbdkit; `auto` is not enough): `off`, `on` (clients may use it), `require` (no client without it). The daemon checks its exports through TLS unless it is `off`.',
  ),
  tlsDir: withDefault(
    'NBD_TLS_DIR',
    path,
    '/etc/volume-daemon/tls',
    'Keys of the exports: `keys.psk`, or `ca-cert.pem`, `server-cert.pem` and `server-key.pem`; with `client-cert.pem` and `client-key.pem` clients must have certificates, too.',
  ),
  maxConnections: withDefault(
    'NBD_MAX_CONNECTIONS',
    integer(1, 1_000),
    '64',
    'Clients of all exports together (nbdkit only); the next one is refused with the reason.',
  ),
  maxPerExport: withDefault(
    'NBD_MAX_PER_EXPORT',
    integer(1, 1_000),
    '16',
    'Clients of one export (nbdkit only); nbdcopy alone makes four connections.',
  ),
  maxBytesPerSecond: withDefault(
    'NBD_MAX_BYTES_PER_SECOND',
    integer(0, 1_000_000_000_000),
    '0',
    'Limit of one export, bytes a second, for reading and for writing each (needs NBD_BACKEND=nbdkit; `auto` is not enough); 0: none. Each client gets its share of NBD_MAX_PER_EXPORT.',
  ),
  holder: optional(
    'NBD_HOLDER',
    path,
    'Program that accepts the clients of nbdkit when the daemon starts it itself. Default: the one that was built with the daemon.',
  ),
};

const KEEPING = {
  runDir: withDefault(
    'RUNTIME_DIRECTORY',
    firstPath,
    '/run/volume-daemon',
    'Export links and sockets; set by systemd.',
  ),
  stateDir: withDefault(
    'STATE_DIRECTORY',
    firstPath,
    '/var/lib/volume-daemon',
    'Device inventory, and how far the database had come; set by systemd.',
  ),
  reconcileIntervalMs: withDefault(
    'RECONCILE_INTERVAL',
    duration(5_000, 86_400_000),
    '60s',
    'Pause between two syncs; the task that makes them ticks every 5 seconds.',
  ),
  historyDays: withDefault(
    'HISTORY_DAYS',
    integer(1, 36_500),
    '90',
    'Ended operations older than this many days are deleted, unless something still relies on them.',
  ),
  encryptionKey: secret(
    optional(
      'MIGRATEKIT_CRED_ENCRYPTION_KEY',
      key32,
      'base64 of the 32-byte key with which `ossea_configs.api_key` and `secret_key` are encrypted.',
    ),
  ),
};

/** The names and forms are those of OpenTelemetry. */
const TRACES = {
  traceEndpoint: optional(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    httpUrl,
    'Base URL of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; traces are sent to `v1/traces` below it. Without it nothing is traced.',
  ),
  traceHeaders: secret(
    withDefault(
      'OTEL_EXPORTER_OTLP_HEADERS',
      headers,
      '',
      'Headers of the requests to the collector: `name=value,name=value`, values percent-encoded.',
    ),
  ),
  traceService: withDefault(
    'OTEL_SERVICE_NAME',
    name,
    'volume-daemon',
    'What the daemon is called in traces (`service.name`).',
  ),
};

/**
 * Every environment variable the daemon reads, in the order of the configuration:
 * docs/reference/configuration.md is generated from this table (`npm run docs`).
 */
export const VARIABLES = {
  ...SERVER,
  ...CLOUDSTACK,
  ...DEVICES,
  ...OPERATIONS,
  ...EXPORTS,
  ...KEEPING,
  ...TRACES,
};

/**
 * Variables that old units set and the daemon does not read: they are mentioned in the notes instead of
 * silently ignored. The first are Nitro's own, so they are mistakes: they would bypass the rule about
 * non-loopback addresses, or put a server of another kind (HTTPS) there, for which the limits of
 * connections do not hold.
 */
export const NOT_READ: Readonly<Record<string, { readonly instead: string; readonly refused: boolean }>> = {
  NITRO_HOST: { instead: 'HOST', refused: true },
  NITRO_PORT: { instead: 'PORT', refused: true },
  NITRO_UNIX_SOCKET: { instead: 'UNIX_SOCKET', refused: true },
  NITRO_SSL_CERT: { instead: 'a TLS proxy before the daemon', refused: true },
  NITRO_SSL_KEY: { instead: 'a TLS proxy before the daemon', refused: true },
  DB_HOST: { instead: 'DATABASE_DSN', refused: false },
  DB_PORT: { instead: 'DATABASE_DSN', refused: false },
  DB_USER: { instead: 'DATABASE_DSN', refused: false },
  DB_PASS: { instead: 'DATABASE_DSN', refused: false },
  DB_NAME: { instead: 'DATABASE_DSN', refused: false },
};
