import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import { makePrivateCa } from '~/lab/certificates';
import { systemClock } from '~/server/core/clock';
import { createLogger } from '~/server/core/log/create-logger';
import { createRedactor } from '~/server/core/redaction';
import { noTracing } from '~/server/core/tracing';
import { openAccess } from '~/server/daemon/access/access';
import {
  type Configuration,
  ConfigurationError,
  loadConfiguration,
} from '~/server/daemon/configuration/configuration';
import { VARIABLES } from '~/server/daemon/configuration/variables';
import { prepareListening } from '~/server/daemon/listening';
import { pruneHistory } from '~/server/daemon/prune-history';
import type { sendSpans } from '~/server/daemon/tracing/opentelemetry';
import { startTracing } from '~/server/daemon/tracing/start-tracing';
import { VolumeDaemon } from '~/server/daemon/volume-daemon';
import { fillGuardSettings, guardSettings } from '~/server/http/request/guard-settings';

/**
 * Every setting is read by something and changes something: the real daemon is built with the default and
 * with another value, and what its parts are given must differ. The parts are the real ones; the doubles only
 * write down what they are built with.
 */
const built = vi.hoisted(() => ({ with: [] as { part: string; options: unknown }[] }));
type Options = { readonly [key: string]: unknown };

vi.mock('~/server/database/open-database', async (original) => {
  const real = await original<typeof import('~/server/database/open-database')>();
  const openDatabase: typeof real.openDatabase = (dsn, clock, logger) => {
    built.with.push({ part: 'database', options: dsn });
    return real.openDatabase(dsn, clock, logger);
  };
  return { ...real, openDatabase };
});
vi.mock('~/server/exports/create-export-server', async (original) => {
  const real = await original<typeof import('~/server/exports/create-export-server')>();
  const createExportServer: typeof real.createExportServer = (options) => {
    built.with.push({ part: 'export server', options });
    return real.createExportServer(options);
  };
  return { ...real, createExportServer };
});
vi.mock('~/server/devices/sysfs/sysfs-guest', async (original) => {
  const real = await original<typeof import('~/server/devices/sysfs/sysfs-guest')>();
  const createSysfsGuest: typeof real.createSysfsGuest = (options) => {
    built.with.push({ part: 'guest', options });
    return real.createSysfsGuest(options);
  };
  return { ...real, createSysfsGuest };
});
vi.mock('~/server/devices/inventory-store', async (original) => {
  const real = await original<typeof import('~/server/devices/inventory-store')>();
  const createInventoryStore: typeof real.createInventoryStore = (folder) => {
    built.with.push({ part: 'inventory', options: { folder } });
    return real.createInventoryStore(folder);
  };
  return { ...real, createInventoryStore };
});
vi.mock('~/server/cloudstack/settings', async (original) => {
  const real = await original<typeof import('~/server/cloudstack/settings')>();
  class CloudSettings extends real.CloudSettings {
    constructor(parts: ConstructorParameters<typeof real.CloudSettings>[0]) {
      super(parts);
      const owner = JSON.stringify(parts.owner);
      built.with.push({ part: 'CloudStack settings', options: { ...parts, owner } });
    }
  }
  return { ...real, CloudSettings };
});
vi.mock('~/server/cloudstack/http-cloud', async (original) => {
  const real = await original<typeof import('~/server/cloudstack/http-cloud')>();
  const createCloud: typeof real.createCloud = (parts) => {
    built.with.push({ part: 'CloudStack', options: parts });
    return real.createCloud(parts);
  };
  return { ...real, createCloud };
});
vi.mock('~/server/daemon/identity', async (original) => {
  const real = await original<typeof import('~/server/daemon/identity')>();
  class ApplianceIdentity extends real.ApplianceIdentity {
    constructor(parts: ConstructorParameters<typeof real.ApplianceIdentity>[0]) {
      super(parts);
      built.with.push({ part: 'identity', options: parts });
    }
  }
  return { ...real, ApplianceIdentity };
});
vi.mock('~/server/daemon/ownership', async (original) => {
  const real = await original<typeof import('~/server/daemon/ownership')>();
  class Ownership extends real.Ownership {
    constructor(...args: ConstructorParameters<typeof real.Ownership>) {
      super(...args);
      const { settings, policy } = args[0].engineParts;
      built.with.push({ part: 'engine', options: { ...settings, ...policy() } });
    }
  }
  return { ...real, Ownership };
});
vi.mock('~/server/sync/periodic-sync', async (original) => {
  const real = await original<typeof import('~/server/sync/periodic-sync')>();
  class PeriodicSync extends real.PeriodicSync {
    constructor(...args: ConstructorParameters<typeof real.PeriodicSync>) {
      super(...args);
      built.with.push({ part: 'periodic sync', options: { intervalMs: args[1] } });
    }
  }
  return { ...real, PeriodicSync };
});

vi.mock('~/server/daemon/tracing/opentelemetry', () => ({
  sendSpans: ({ endpoint, headers, serviceName }: Parameters<typeof sendSpans>[0]) => {
    const options = { endpoint, headers: JSON.stringify(headers), serviceName };
    built.with.push({ part: 'traces', options });
    return noTracing;
  },
}));

const folder = mkdtempSync(join(tmpdir(), 'settings-'));
const TOKEN = join(folder, 'token');
writeFileSync(TOKEN, 'a-token');
const CA_FILE = makePrivateCa(folder).file;
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  built.with = [];
});

/** Another value than the default, for each variable. */
const OTHER: { readonly [K in keyof typeof VARIABLES]: string } = {
  dsn: 'somebody:secret@tcp(database.example:3307)/other',
  databaseCa: CA_FILE,
  host: '::1',
  port: '9090',
  socketPath: join(folder, 'volume-daemon.sock'),
  tokenFile: TOKEN,
  tokensFile: join(folder, 'tokens.json'),
  allowedHosts: 'appliance.example',
  allowInsecureBind: 'true',
  logLevel: 'error',
  logFormat: 'journald',
  ginMode: 'debug',
  cloudCa: CA_FILE,
  cloudProject: '0b5a2e4c-54b3-4f37-9f5c-6d2a3f1e7b91',
  cloudAccount: 'migration',
  cloudDomain: '0b5a2e4c-54b3-4f37-9f5c-6d2a3f1e7b92',
  pollIntervalMs: '5s',
  correlationTimeoutMs: '90s',
  sizeToleranceBytes: '1GiB',
  vmId: '0b5a2e4c-54b3-4f37-9f5c-6d2a3f1e7b90',
  sysBlockDir: '/lab/sys/block',
  devDir: '/lab/dev',
  procDir: '/lab/proc',
  dmiDir: '/lab/dmi',
  etcDir: '/lab/etc',
  attachRollback: 'keep',
  detachInUse: 'force',
  detachConnected: 'disconnect',
  slots: 'wait',
  volumeNames: 'any',
  deleteMode: 'trash',
  jobLostAfterMs: '45s',
  backend: 'none',
  nbdHost: '127.0.0.2',
  nbdPort: '10812',
  nbdReadOnlyPort: '10811',
  configDir: '/lab/conf.d',
  baseConfig: '/lab/nbd.conf',
  pidFile: '/lab/nbd.pid',
  binary: '/lab/nbd-server',
  manage: 'own',
  unit: 'lab-nbd.service',
  restartPolicy: 'never',
  tls: 'on',
  tlsDir: '/lab/tls',
  maxConnections: '9',
  maxPerExport: '5',
  maxBytesPerSecond: '1048576',
  holder: '/lab/nbd-holder.mjs',
  runDir: '/lab/run',
  stateDir: '/lab/state',
  reconcileIntervalMs: '5m',
  historyDays: '7',
  encryptionKey: Buffer.alloc(32, 7).toString('base64'),
  traceEndpoint: 'http://collector.example:4318',
  traceHeaders: 'authorization=Bearer%20abc',
  traceService: 'appliance-7',
};

/** What a setting needs to count. */
const NEEDED: Readonly<Partial<Record<keyof typeof VARIABLES, Record<string, string>>>> = {
  // The permission to listen without a token counts only where one would be needed.
  allowInsecureBind: { HOST: '0.0.0.0' },
  traceHeaders: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' },
  traceService: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' },
};

const KEYS = Object.keys(OTHER) as (keyof typeof VARIABLES)[];

it('the sample has another value for every documented setting', () => {
  expect(KEYS).toEqual(Object.keys(VARIABLES));
});

it.each(KEYS.map((key) => [VARIABLES[key].name, key] as const))(
  '%s changes what the daemon does',
  async (name, key) => {
    const base = NEEDED[key] ?? {};
    const before = await consequences(base);
    const after = await consequences({ ...base, [name]: OTHER[key] });
    expect(after).not.toEqual(before);
  },
);

/** Everything outside of the configuration that depends on it, as plain values. */
async function consequences(env: Record<string, string>): Promise<unknown> {
  built.with = [];
  const redactor = createRedactor();
  const silent = createLogger({ level: 'error', format: 'json', redactor, write: () => undefined });
  let configuration: Configuration;
  try {
    configuration = loadConfiguration(env);
  } catch (error) {
    if (error instanceof ConfigurationError) return 'refused';
    throw error;
  }
  const onFatal = (error: unknown) => {
    throw error;
  };
  const access = openAccess(configuration.http, { clock: systemClock, logger: silent, redactor });
  const traces = startTracing({ settings: configuration.tracing, version: '1', logger: silent });
  await vi.dynamicImportSettled();
  const daemon = new VolumeDaemon({ configuration, logger: silent, redactor, access, traces, onFatal });
  const listening: Record<string, string> = {};
  prepareListening(configuration.http, listening);
  fillGuardSettings(configuration.http, access);
  const deletedBefore: number[] = [];
  await pruneHistory(
    { prune: async (_epoch, { ageMs }) => ({ deleted: deletedBefore.push(ageMs), refused: null }) },
    { applianceId: 'a', number: 1 },
    {
      nowMs: 0,
      historyDays: configuration.historyDays,
      stepped: false,
      logger: silent,
      stopping: daemon.stopping,
    },
  );
  return {
    parts: built.with.map(({ part, options }) => ({ part, ...plain(options) })),
    listening,
    guard: { ...guardSettings(), access: guardSettings().access.health() },
    log: logged(configuration.log),
    deletedBefore,
    pollIntervalMs: daemon.reports.health().pollIntervalMs,
  };
}

/** The lines that a logger of this configuration writes. */
function logged({ level, format }: Configuration['log']): string[] {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  const logger = createLogger({ level, format, redactor: createRedactor(), write, now: () => 0 });
  for (const severity of ['debug', 'info', 'warn', 'error'] as const) logger[severity](severity);
  return lines;
}

/** Options without functions and objects that are parts themselves. */
function plain(options: unknown): Options {
  if (typeof options !== 'object' || options === null) return {};
  return Object.fromEntries(
    Object.entries(options).flatMap(([key, value]) => {
      if (Buffer.isBuffer(value)) return [[key, value.toString('hex')]];
      return value === null || typeof value !== 'object'
        ? typeof value === 'function'
          ? []
          : [[key, value]]
        : [];
    }),
  );
}

/** Where a setting is in the configuration under another name than in the table of variables. */
const PLACE: Readonly<Record<string, string>> = {
  logLevel: 'level',
  logFormat: 'format',
  databaseCa: 'ca',
  cloudCa: 'ca',
  cloudProject: 'projectId',
  cloudAccount: 'account',
  cloudDomain: 'domainId',
  nbdHost: 'host',
  nbdPort: 'port',
  nbdReadOnlyPort: 'readOnlyPort',
  traceEndpoint: 'endpoint',
  traceHeaders: 'headers',
  traceService: 'serviceName',
  // Decides the level, inside of the configuration.
  ginMode: 'level',
};
/** Only the check of the configuration itself asks for it. */
const CHECKED_ON_LOADING = new Set(['allowInsecureBind']);

it.each(KEYS.filter((key) => !CHECKED_ON_LOADING.has(key)))(
  'the setting %s is read outside of the configuration',
  (key) => {
    const property = PLACE[key] ?? key;
    const read = new RegExp(`\\.${property}\\b|[{,]\\s*${property}\\s*[,}:]`);
    expect(sources().filter((text) => read.test(text)).length).toBeGreaterThan(0);
  },
);

function sources(): string[] {
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  return readdirSync(join(root, 'server'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith(join('daemon', 'configuration')))
    .map((path) => readFileSync(join(root, 'server', path), 'utf8'));
}
