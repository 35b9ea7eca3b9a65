import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { createCloud, type HttpCloud } from '../cloudstack/http-cloud';
import { CloudSettings } from '../cloudstack/settings';
import type { CloudCallListener } from '../cloudstack/wire/signed-calls';
import { systemClock } from '../core/clock';
import type { ClockNotes } from '../core/clock-steps';
import type { Logger } from '../core/log/logger';
import type { Redactor } from '../core/redaction';
import { type OpenDatabase, openDatabase } from '../database/open-database';
import { readOsseaConfigs } from '../database/ossea-configs';
import type { Guest } from '../devices/device';
import { DeviceWatcher } from '../devices/device-watcher';
import type { CounterReader } from '../devices/disk-counters';
import { createInventoryStore } from '../devices/inventory-store';
import { HandsOff } from '../devices/sysfs/hands-off';
import { createSysfsCounters } from '../devices/sysfs/sysfs-counters';
import { createSysfsGuest } from '../devices/sysfs/sysfs-guest';
import { createExportServer } from '../exports/create-export-server';
import type { ExportServer } from '../exports/export-server';
import { readBootId } from './boot-id';
import { createClockNotesFile } from './clock-notes-file';
import type { Configuration } from './configuration/configuration';
import { ApplianceIdentity } from './identity';
import { createLastWrittenFile, type LastWrittenFile } from './last-written-file';

/** Built beside the server (scripts/nbd-holder.ts). */
const HOLDER = join(dirname(process.argv[1] ?? ''), '../nbd-holder/nbd-holder.mjs');

/** The ports of the real daemon, built but not started. Building them does not block. */
export interface Adapters {
  readonly database: OpenDatabase;
  readonly settings: CloudSettings;
  readonly cloud: HttpCloud;
  readonly guest: Guest;
  readonly counters: CounterReader;
  readonly watcher: DeviceWatcher;
  readonly handsOff: HandsOff;
  readonly exports: ExportServer;
  readonly identity: ApplianceIdentity;
  readonly lastWritten: LastWrittenFile;
  readonly clockNotes: ClockNotes;
}

/** The composition root: the only place that chooses the real implementations of the ports. */
export function createAdapters(
  configuration: Configuration,
  logger: Logger,
  redactor: Redactor,
  onCloudCall: CloudCallListener,
): Adapters {
  const clock = systemClock;
  const { devices, exports: nbd } = configuration;
  const database = openDatabase(configuration.database.dsn, clock, logger);
  const settings = new CloudSettings({
    readRows: () => readOsseaConfigs(database.kysely),
    encryptionKey: configuration.credentials.encryptionKey,
    owner: configuration.cloudstack.owner,
    register: (secret: string) => redactor.register(secret),
    clock,
    logger,
  });
  const ca = configuration.cloudstack.ca?.pem ?? null;
  const cloud = createCloud({ settings, clock, logger, ca, onCall: onCloudCall });
  const exports = createExportServer({
    ...nbd,
    holder: nbd.holder ?? HOLDER,
    runDir: configuration.runDir,
    devDir: devices.devDir,
    sysBlockDir: devices.sysBlockDir,
    clock,
    logger,
  });
  // A laboratory has no udev of its own: that of the machine it runs on knows other disks.
  const isReal = devices.devDir === '/dev';
  const guest = createSysfsGuest({
    ...devices,
    runDir: isReal ? '/run' : undefined,
    exportClients: () => exports.clientProcesses(),
    clock,
  });
  const counters = createSysfsCounters({ sysBlockDir: devices.sysBlockDir, clock });
  const watcher = new DeviceWatcher({
    guest,
    clock,
    logger,
    inventory: createInventoryStore(join(configuration.stateDir, 'inventory')),
    uptime: uptimeMs,
    pollIntervalMs: configuration.devices.pollIntervalMs,
  });
  const handsOff = new HandsOff({
    // The rules of the machine that a laboratory runs on read no marks of its disks.
    marksDir: join(isReal ? join(devices.etcDir, 'volume-daemon') : configuration.stateDir, 'hands-off'),
    udevDir: isReal ? '/run/udev/data' : join(devices.devDir, 'no-udev'),
    rulesDirs: ['/etc', '/run', '/usr/lib', '/lib'].map((dir) => join(dir, 'udev/rules.d')),
    cmdline: join(devices.procDir, 'cmdline'),
  });
  const identity = new ApplianceIdentity({
    cloud,
    logger,
    configuredVmId: configuration.appliance.vmId,
    osseaVmId: async () => (await settings.active())?.omaVmId ?? null,
    productUuid: () => guest.productUuid(),
  });
  const lastWritten = createLastWrittenFile(join(configuration.stateDir, 'last-written.json'), logger);
  const clockNotes = createClockNotesFile(
    join(configuration.stateDir, 'clock.json'),
    { bootId: readBootId(devices.procDir), uptime: uptimeMs },
    logger,
  );
  const kept = { lastWritten, clockNotes };
  return { database, settings, cloud, guest, counters, watcher, handsOff, exports, identity, ...kept };
}

function uptimeMs(): number {
  return uptime() * 1_000;
}
