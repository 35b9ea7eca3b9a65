import type { CloudOwner } from '../../cloudstack/cloud';
import { nearest } from '../../core/nearest';
import { type Dsn, describeDsn, trusting } from '../../database/connection/dsn';
import type { CaFile } from './ca-file';
import { checkTogether, type Problem } from './check-together';
import type { Variable } from './variable';
import { NOT_READ, VARIABLES } from './variables';

type ValueOf<K extends keyof typeof VARIABLES> = (typeof VARIABLES)[K] extends Variable<infer T> ? T : never;

/** The configuration, grouped by who uses it. */
export interface Configuration {
  readonly database: { readonly dsn: Dsn; readonly ca: CaFile | null };
  readonly cloudstack: {
    readonly ca: CaFile | null;
    /** The owner of new volumes; null when the environment does not say. */
    readonly owner: CloudOwner | null;
  };
  readonly http: {
    readonly host: string;
    readonly port: number;
    /** Listens here instead of on host and port. */
    readonly socketPath: string | null;
    readonly tokenFile: string | null;
    readonly tokensFile: string | null;
    readonly allowedHosts: readonly string[];
    readonly allowInsecureBind: boolean;
  };
  readonly log: {
    readonly level: NonNullable<ValueOf<'logLevel'>>;
    readonly format: ValueOf<'logFormat'>;
    readonly ginMode: ValueOf<'ginMode'>;
  };
  readonly devices: {
    readonly pollIntervalMs: number;
    readonly correlationTimeoutMs: number;
    readonly sizeToleranceBytes: number;
    readonly sysBlockDir: string;
    readonly devDir: string;
    readonly procDir: string;
    readonly dmiDir: string;
    readonly etcDir: string;
  };
  /** Lower-case UUID, null when the environment does not say. */
  readonly appliance: { readonly vmId: string | null };
  readonly operations: {
    readonly attachRollback: ValueOf<'attachRollback'>;
    readonly detachInUse: ValueOf<'detachInUse'>;
    readonly detachConnected: ValueOf<'detachConnected'>;
    readonly slots: ValueOf<'slots'>;
    readonly volumeNames: ValueOf<'volumeNames'>;
    readonly deleteMode: ValueOf<'deleteMode'>;
    readonly jobLostAfterMs: number;
  };
  readonly exports: {
    readonly backend: ValueOf<'backend'>;
    readonly host: string;
    readonly port: number;
    readonly readOnlyPort: number;
    readonly configDir: string;
    readonly baseConfig: string;
    readonly pidFile: string;
    readonly binary: string | null;
    readonly manage: ValueOf<'manage'>;
    readonly unit: string | null;
    readonly restartPolicy: ValueOf<'restartPolicy'>;
    readonly tls: ValueOf<'tls'>;
    readonly tlsDir: string;
    readonly maxConnections: number;
    readonly maxPerExport: number;
    readonly maxBytesPerSecond: number;
    readonly holder: string | null;
  };
  readonly runDir: string;
  readonly stateDir: string;
  readonly tracing: {
    /** null: nothing is traced. */
    readonly endpoint: string | null;
    readonly headers: Readonly<Record<string, string>>;
    readonly serviceName: string;
  };
  readonly credentials: { readonly encryptionKey: Buffer | null };
  readonly reconcileIntervalMs: number;
  readonly historyDays: number;
  /** Notes for the log on variables that are set and not used, or mistyped. The DSN has notes of its own. */
  readonly notes: readonly string[];
}

/** All mistakes at once, with the notes: a mistyped name may be why a setting is said to be missing. */
export class ConfigurationError extends Error {
  constructor(
    readonly problems: readonly Problem[],
    readonly notes: readonly string[] = [],
  ) {
    super(problems.map(({ variable, message }) => `${variable}: ${message}`).join('; '));
    this.name = 'ConfigurationError';
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
/** Reads one variable; on a mistake it is recorded and the default used, so that all mistakes are found. */
type Read = <T>(variable: Variable<T>) => T;

/**
 * Reads and checks the environment; an empty variable counts as unset. Throws ConfigurationError with every
 * mistake at once, so that an operator need not fix them one start at a time.
 */
export function loadConfiguration(env: Environment): Configuration {
  const problems: Problem[] = [];
  const configuration = group(
    (variable) => readOne(env, variable, problems),
    notesOn(env, problems),
    problems,
  );
  checkTogether(configuration, problems);
  if (problems.length > 0) throw new ConfigurationError(problems, configuration.notes);
  return configuration;
}

/** The effective configuration, secrets masked; for `--check-config`. */
export function describeConfiguration(configuration: Configuration): Record<string, unknown> {
  const { database, credentials, ...rest } = configuration;
  const { password, ca, ...dsn } = database.dsn;
  return {
    database: {
      dsn: describeDsn(database.dsn),
      ...dsn,
      password: password === '' ? null : '***',
      ca: database.ca && describeCa(database.ca),
    },
    ...rest,
    cloudstack: { ...rest.cloudstack, ca: rest.cloudstack.ca && describeCa(rest.cloudstack.ca) },
    tracing: { ...rest.tracing, headers: masked(rest.tracing.headers) },
    credentials: { encryptionKey: credentials.encryptionKey === null ? null : '***' },
  };
}

function masked(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.keys(headers).map((name) => [name, '***']));
}

function describeCa({ path, subjects }: CaFile): Record<string, unknown> {
  return { path, subjects };
}

function readOne<T>(env: Environment, variable: Variable<T>, problems: Problem[]): T {
  const text = env[variable.name];
  if (text === undefined || text === '') return variable.absent();
  try {
    return variable.parse(text);
  } catch (error) {
    problems.push({
      variable: variable.name,
      message: error instanceof Error ? error.message : 'is not valid',
    });
    return variable.absent();
  }
}

function notesOn(env: Environment, problems: Problem[]): string[] {
  const notes: string[] = [];
  for (const [name, { instead, refused }] of Object.entries(NOT_READ)) {
    if (env[name] === undefined || env[name] === '') continue;
    if (refused) problems.push({ variable: name, message: `is not read; use ${instead}` });
    else notes.push(`${name} is not read; the daemon uses ${instead}`);
  }
  return [...notes, ...mistyped(env)];
}

const SETTINGS = Object.values<Variable<unknown>>(VARIABLES).map(({ name }) => name);
/** Of these also what is like no setting is named: who has written it means this daemon. */
const OURS = /^(?:ATTACH|CLOUDSTACK|DATABASE|DETACH|NBD)_/i;
/** Two mistakes lead from HOST to HOME, which every process has. */
const SHORT_NAME = 6;

/**
 * Variables that are like a setting and none. Whoever mistypes one runs with its default and believes
 * otherwise: with NBD_TSL=require the exports are in the clear. Notes, not mistakes: other programs have
 * their variables here, too.
 */
function mistyped(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => env[name] && !SETTINGS.includes(name) && !Object.hasOwn(NOT_READ, name))
    .flatMap((name) => {
      const meant = nearest(name, SETTINGS, name.length < SHORT_NAME ? 1 : 2);
      if (meant !== null) return [`${name} is not a setting, and is not read; did you mean ${meant}?`];
      return OURS.test(name) ? [`${name} is not a setting, and is not read`] : [];
    });
}

/** LOG_LEVEL, else what GIN_MODE implies, else info. */
function levelOf(level: ValueOf<'logLevel'>, ginMode: ValueOf<'ginMode'>): NonNullable<ValueOf<'logLevel'>> {
  return level ?? (ginMode === 'debug' ? 'debug' : 'info');
}

/** The owner of new volumes. CloudStack would refuse every create with an incomplete owner, or with two. */
function ownerOf(read: Read, problems: Problem[]): CloudOwner | null {
  const projectId = read(VARIABLES.cloudProject);
  const account = read(VARIABLES.cloudAccount);
  const domainId = read(VARIABLES.cloudDomain);
  const given = (name: string) => problems.some(({ variable }) => variable === name);
  if (projectId !== null && (account !== null || domainId !== null))
    problems.push({
      variable: 'CLOUDSTACK_PROJECT',
      message: 'cannot be set together with an account or a domain',
    });
  else if (account !== null && domainId === null && !given('CLOUDSTACK_DOMAIN'))
    problems.push({
      variable: 'CLOUDSTACK_ACCOUNT',
      message: 'needs CLOUDSTACK_DOMAIN, the id of its domain',
    });
  else if (domainId !== null && account === null && !given('CLOUDSTACK_ACCOUNT'))
    problems.push({ variable: 'CLOUDSTACK_DOMAIN', message: 'needs CLOUDSTACK_ACCOUNT' });
  return projectId === null && account === null ? null : { projectId, account, domainId };
}

function group(read: Read, notes: readonly string[], problems: Problem[]): Configuration {
  const v = VARIABLES;
  const ginMode = read(v.ginMode);
  const databaseCa = read(v.databaseCa);
  return {
    database: { dsn: trusting(read(v.dsn), databaseCa?.pem ?? null), ca: databaseCa },
    cloudstack: { ca: read(v.cloudCa), owner: ownerOf(read, problems) },
    http: {
      host: read(v.host),
      port: read(v.port),
      socketPath: read(v.socketPath),
      tokenFile: read(v.tokenFile),
      tokensFile: read(v.tokensFile),
      allowedHosts: read(v.allowedHosts),
      allowInsecureBind: read(v.allowInsecureBind),
    },
    log: { level: levelOf(read(v.logLevel), ginMode), format: read(v.logFormat), ginMode },
    devices: {
      pollIntervalMs: read(v.pollIntervalMs),
      correlationTimeoutMs: read(v.correlationTimeoutMs),
      sizeToleranceBytes: read(v.sizeToleranceBytes),
      sysBlockDir: read(v.sysBlockDir),
      devDir: read(v.devDir),
      procDir: read(v.procDir),
      dmiDir: read(v.dmiDir),
      etcDir: read(v.etcDir),
    },
    appliance: { vmId: read(v.vmId) },
    operations: {
      attachRollback: read(v.attachRollback),
      detachInUse: read(v.detachInUse),
      detachConnected: read(v.detachConnected),
      slots: read(v.slots),
      volumeNames: read(v.volumeNames),
      deleteMode: read(v.deleteMode),
      jobLostAfterMs: read(v.jobLostAfterMs),
    },
    exports: {
      backend: read(v.backend),
      host: read(v.nbdHost),
      port: read(v.nbdPort),
      readOnlyPort: read(v.nbdReadOnlyPort),
      configDir: read(v.configDir),
      baseConfig: read(v.baseConfig),
      pidFile: read(v.pidFile),
      binary: read(v.binary),
      manage: read(v.manage),
      unit: read(v.unit),
      restartPolicy: read(v.restartPolicy),
      tls: read(v.tls),
      tlsDir: read(v.tlsDir),
      maxConnections: read(v.maxConnections),
      maxPerExport: read(v.maxPerExport),
      maxBytesPerSecond: read(v.maxBytesPerSecond),
      holder: read(v.holder),
    },
    runDir: read(v.runDir),
    stateDir: read(v.stateDir),
    tracing: {
      endpoint: read(v.traceEndpoint),
      headers: read(v.traceHeaders),
      serviceName: read(v.traceService),
    },
    credentials: { encryptionKey: read(v.encryptionKey) },
    reconcileIntervalMs: read(v.reconcileIntervalMs),
    historyDays: read(v.historyDays),
    notes,
  };
}
