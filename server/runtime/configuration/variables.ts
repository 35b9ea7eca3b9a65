import { parseDsn } from '../../database/dsn';
import { bytes, duration, firstPath, flag, integer, key32, oneOf, type Parse, path, uuid, word, words } from './values';

export interface Variable<T> {
  readonly parse: Parse<T>;
  /** As it would be written in the environment; null = unset. */
  readonly fallback: string | null;
  readonly doc: string;
  readonly secret?: true;
}

function required<T>(parse: Parse<T>, fallback: string, doc: string, secret?: true): Variable<T> {
  return { parse, fallback, doc, ...(secret ? { secret } : {}) };
}

function optional<T>(parse: Parse<T>, doc: string, secret?: true): Variable<T | null> {
  return { parse, fallback: null, doc, ...(secret ? { secret } : {}) };
}

const GIB = 1024 ** 3;

/** Every environment variable the daemon reads, with its default and its documentation: docs/configuration.md is made from it. */
export const VARIABLES = {
  DATABASE_DSN: required(parseDsn, 'oma_user:oma_password@tcp(localhost:3306)/migratekit_oma?parseTime=true', 'The database: Go form `user:pass@tcp(host:port)/db`, `user:pass@unix(/path)/db`, or a `mysql://` URL.', true),
  HOST: required(word, '127.0.0.1', 'Address to listen on. Anything but loopback needs TOKEN_FILE or ALLOW_INSECURE_BIND=true.'),
  PORT: required(integer(1, 65_535), '8090', 'TCP port to listen on.'),
  TOKEN_FILE: optional(path, 'File with a bearer token; when set, every request needs `Authorization: Bearer <token>`.'),
  ALLOWED_HOSTS: required(words, '', 'Further names allowed in the Host header, separated by commas (loopback names always are).'),
  ALLOW_INSECURE_BIND: required(flag, 'false', 'Listen on a non-loopback address without a token.'),
  LOG_LEVEL: required(oneOf('debug', 'info', 'warn', 'error'), 'info', 'Least severe level that is logged: `debug`, `info`, `warn` or `error`.'),
  LOG_FORMAT: required(oneOf('auto', 'pretty', 'json', 'journald'), 'auto', '`pretty`, `json`, `journald`, or `auto`: journald under systemd, pretty on a terminal, JSON elsewhere.'),
  GIN_MODE: optional(oneOf('debug', 'release', 'test'), 'Of the Go daemon; accepted. `debug` with no LOG_LEVEL of its own has no further effect, `release` hides debug lines.'),
  POLL_INTERVAL: required(duration(500, 60_000), '2s', 'Pause between two looks at the devices when nothing waits.'),
  CORRELATION_TIMEOUT: required(duration(1_000, 3_600_000), '30s', 'How long an attach waits for its device to appear.'),
  SIZE_TOLERANCE: required(bytes(0, 1024 * GIB), '3GiB', 'How much larger than the volume its device may be.'),
  OMA_VM_ID: optional(uuid, 'CloudStack id of the VM the daemon runs on; else `ossea_configs.oma_vm_id`, else the SMBIOS UUID.'),
  ATTACH_ROLLBACK: required(oneOf('detach', 'keep'), 'detach', 'What happens to a volume whose device never appeared: `detach` it again, or `keep` it attached.'),
  DETACH_IN_USE: required(oneOf('refuse', 'force'), 'refuse', 'A detach of a mounted or otherwise used device: `refuse` or `force`.'),
  DETACH_CONNECTED: required(oneOf('refuse', 'disconnect'), 'refuse', 'A detach while NBD clients are connected: `refuse` or `disconnect`.'),
  VOLUME_NAMES: required(oneOf('unique', 'any'), 'unique', '`unique` refuses a volume name that a live volume of the zone has; `any` does not.'),
  NBD_BACKEND: required(oneOf('nbd-server', 'qemu-storage-daemon', 'none'), 'nbd-server', 'The export server: `nbd-server`, `qemu-storage-daemon` or `none`.'),
  NBD_HOST: required(word, '127.0.0.1', 'Address under which the daemon probes the export server.'),
  NBD_PORT: required(integer(1, 65_535), '10809', 'Port of the export server.'),
  NBD_CONFIG_DIR: required(path, '/etc/nbd-server/conf.d', 'Folder of the export files; the daemon touches only its own `migration-vol-*.conf`.'),
  NBD_BASE_CONFIG: required(path, '/etc/nbd-server/config', 'Base configuration of nbd-server; created when it is missing, never changed.'),
  NBD_PID_FILE: required(path, '/run/nbd-server.pid', 'Pid file of nbd-server.'),
  NBD_BINARY: required(word, 'nbd-server', 'Program to run when the daemon runs nbd-server itself.'),
  NBD_MANAGE: required(oneOf('auto', 'systemd', 'own'), 'auto', 'Who starts nbd-server: `systemd` (NBD_UNIT), `own` (the daemon), or `auto`: systemd where NBD_UNIT is set, else own.'),
  NBD_UNIT: optional(word, 'systemd unit of nbd-server; must be one that kills only the parent (packaging/systemd/volume-daemon-nbd.service).'),
  NBD_RESTART: required(oneOf('preserve', 'when-idle', 'never'), 'preserve', 'May nbd-server be restarted so that it forgets old exports: `preserve` (live clients carry on), `when-idle`, `never`.'),
  NBD_QMP_SOCKET: required(path, '/run/volume-daemon/qsd.sock', 'QMP socket of qemu-storage-daemon.'),
  SYS_BLOCK_DIR: required(path, '/sys/block', 'Where the devices are read; another folder is for laboratories.'),
  DEV_DIR: required(path, '/dev', 'Where the device nodes are; another folder is for laboratories and relaxes the check of the node.'),
  PROC_DIR: required(path, '/proc', 'Where processes and mounts are read.'),
  DMI_DIR: required(path, '/sys/class/dmi/id', 'Where the SMBIOS UUID is read.'),
  RUNTIME_DIRECTORY: required(firstPath, '/run/volume-daemon', 'Export links and sockets; set by systemd.'),
  STATE_DIRECTORY: required(firstPath, '/var/lib/volume-daemon', 'Device inventory and caches; set by systemd.'),
  RECONCILE_INTERVAL: required(duration(5_000, 86_400_000), '60s', 'Pause between two syncs.'),
  HISTORY_DAYS: required(integer(1, 36_500), '90', 'Ended operations older than this many days are deleted.'),
  MIGRATEKIT_CRED_ENCRYPTION_KEY: optional(key32, 'base64 of the 32-byte key with which `ossea_configs.api_key` and `secret_key` are encrypted.', true),
} satisfies Record<string, Variable<unknown>>;

export type VariableName = keyof typeof VARIABLES;
