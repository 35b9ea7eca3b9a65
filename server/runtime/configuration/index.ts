import type { Dsn } from '../../database/dsn';
import { describeDsn } from '../../database/dsn';
import { VARIABLES, type Variable, type VariableName } from './variables';

type Values = { readonly [N in VariableName]: (typeof VARIABLES)[N] extends Variable<infer T> ? T : never };

/** The configuration, grouped by who uses it. Durations are ms, sizes bytes. */
export interface Configuration {
  readonly database: { readonly dsn: Dsn };
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly tokenFile: string | null;
    readonly allowedHosts: readonly string[];
  };
  readonly log: { readonly level: Values['LOG_LEVEL']; readonly format: Values['LOG_FORMAT'] };
  readonly devices: {
    readonly pollInterval: number;
    readonly correlationTimeout: number;
    readonly sizeTolerance: number;
    readonly sysBlockDir: string;
    readonly devDir: string;
    readonly procDir: string;
    readonly dmiDir: string;
  };
  readonly appliance: { readonly vmId: string | null };
  readonly operations: {
    readonly attachRollback: Values['ATTACH_ROLLBACK'];
    readonly detachInUse: Values['DETACH_IN_USE'];
    readonly detachConnected: Values['DETACH_CONNECTED'];
    readonly volumeNames: Values['VOLUME_NAMES'];
  };
  readonly exports: {
    readonly backend: Values['NBD_BACKEND'];
    readonly host: string;
    readonly port: number;
    readonly configDir: string;
    readonly baseConfig: string;
    readonly pidFile: string;
    readonly binary: string;
    readonly manage: Values['NBD_MANAGE'];
    readonly unit: string | null;
    readonly restartPolicy: Values['NBD_RESTART'];
    readonly qmpSocket: string;
  };
  readonly runDir: string;
  readonly stateDir: string;
  readonly credentials: { readonly encryptionKey: Buffer | null };
  readonly historyDays: number;
}

export interface Problem {
  readonly variable: string;
  readonly message: string;
}

/** All mistakes at once. */
export class ConfigurationError extends Error {
  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(({ variable, message }) => `${variable}: ${message}`).join('; '));
    this.name = 'ConfigurationError';
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads and checks the environment. Throws ConfigurationError with every mistake; values of secrets are never part of it. */
export function loadConfiguration(env: Environment): Configuration {
  const problems: Problem[] = [];
  const values = readAll(env, problems);
  if (values && !isLoopback(values.HOST) && values.TOKEN_FILE === null && !values.ALLOW_INSECURE_BIND) {
    problems.push({ variable: 'HOST', message: `${values.HOST} is not a loopback address: set TOKEN_FILE, or ALLOW_INSECURE_BIND=true if the network is trusted` });
  }
  if (!values || problems.length > 0) throw new ConfigurationError(problems);
  return group(values);
}

/** What is in force, secrets masked; for `--check-config`. */
export function describeConfiguration(configuration: Configuration): Record<string, unknown> {
  const { database, credentials, ...rest } = configuration;
  return { database: { dsn: describeDsn(database.dsn), notes: database.dsn.notes }, credentials: { encryptionKey: credentials.encryptionKey ? '***' : null }, ...rest };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function readAll(env: Environment, problems: Problem[]): Values | null {
  const read = <N extends VariableName>(name: N): unknown => {
    const { parse, fallback }: Variable<unknown> = VARIABLES[name];
    const text = env[name] === undefined || env[name] === '' ? fallback : env[name];
    if (text === null || text === undefined) return null;
    try {
      return parse(text);
    } catch (error) {
      problems.push({ variable: name, message: error instanceof Error ? error.message : String(error) });
      return null;
    }
  };
  const entries = names().map((name) => [name, read(name)] as const);
  return problems.length > 0 ? null : (Object.fromEntries(entries) as Values);
}

function names(): VariableName[] {
  return Object.keys(VARIABLES).filter((name): name is VariableName => name in VARIABLES);
}

function group(v: Values): Configuration {
  return {
    database: { dsn: v.DATABASE_DSN },
    http: { host: v.HOST, port: v.PORT, tokenFile: v.TOKEN_FILE, allowedHosts: v.ALLOWED_HOSTS },
    log: { level: v.LOG_LEVEL, format: v.LOG_FORMAT },
    devices: {
      pollInterval: v.POLL_INTERVAL,
      correlationTimeout: v.CORRELATION_TIMEOUT,
      sizeTolerance: v.SIZE_TOLERANCE,
      sysBlockDir: v.SYS_BLOCK_DIR,
      devDir: v.DEV_DIR,
      procDir: v.PROC_DIR,
      dmiDir: v.DMI_DIR,
    },
    appliance: { vmId: v.OMA_VM_ID },
    operations: { attachRollback: v.ATTACH_ROLLBACK, detachInUse: v.DETACH_IN_USE, detachConnected: v.DETACH_CONNECTED, volumeNames: v.VOLUME_NAMES },
    exports: {
      backend: v.NBD_BACKEND,
      host: v.NBD_HOST,
      port: v.NBD_PORT,
      configDir: v.NBD_CONFIG_DIR,
      baseConfig: v.NBD_BASE_CONFIG,
      pidFile: v.NBD_PID_FILE,
      binary: v.NBD_BINARY,
      manage: v.NBD_MANAGE,
      unit: v.NBD_UNIT,
      restartPolicy: v.NBD_RESTART,
      qmpSocket: v.NBD_QMP_SOCKET,
    },
    runDir: v.RUNTIME_DIRECTORY,
    stateDir: v.STATE_DIRECTORY,
    credentials: { encryptionKey: v.MIGRATEKIT_CRED_ENCRYPTION_KEY },
    historyDays: v.HISTORY_DAYS,
  };
}
