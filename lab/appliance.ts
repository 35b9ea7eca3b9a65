import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Simulator, startSimulator } from './cloudstack/http';
import { type DaemonOptions, type DaemonProcess, startDaemon } from './daemon';
import { createSysfsGuest, type SysfsGuest } from './guest/sysfs-guest';
import { type Mariadb, type MariadbOptions, startMariadb } from './mariadb';
import { type NbdServer, startNbdServer } from './nbd-server';
import { type Nbdkit, startNbdkit } from './nbdkit';

/**
 * A whole appliance on this machine: a private MariaDB, the CloudStack simulator that plugs disks into a
 * simulated guest (a /sys/block-shaped tree with backing files), real export servers, and the built daemon.
 * Private folder, free ports.
 */
export interface LabAppliance {
  readonly dir: string;
  readonly database: Mariadb;
  readonly cloud: Simulator;
  readonly guest: SysfsGuest;
  /** The default export server. */
  readonly nbdkit: Nbdkit;
  /** The one of NBD_BACKEND=nbd-server, on the same port. */
  readonly nbd: NbdServer;
  /** The environment the daemon runs with. */
  readonly env: Readonly<Record<string, string>>;
  startDaemon(options?: Partial<DaemonOptions>): Promise<DaemonProcess>;
  /** Stops every part, daemons included, and removes the folder. */
  close(): Promise<void>;
}

export interface LabOptions {
  readonly cloud?: Parameters<typeof startSimulator>[0];
  readonly database?: MariadbOptions;
  /** Added to the daemon's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onProgress?: (text: string) => void;
}

export async function startAppliance(options: LabOptions = {}): Promise<LabAppliance> {
  const say = options.onProgress ?? (() => {});
  const dir = await mkdtemp(join(tmpdir(), 'volume-lab-'));
  const undo: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const close = async () => {
    for (const step of undo.reverse()) await step();
  };
  try {
    say('starting a private MariaDB');
    const database = await startMariadb(options.database);
    undo.push(() => database.stop());
    say('starting the CloudStack simulator and its guest');
    const guest = await createSysfsGuest({ dir: join(dir, 'guest') });
    const cloud = await startSimulator({ ...options.cloud, guest });
    undo.push(() => cloud.stop());
    // Both are started by the daemon, the one that it uses.
    const nbd = await startNbdServer({ dir: join(dir, 'nbd') });
    undo.push(() => nbd.stop());
    const nbdkit = await startNbdkit({ runDir: join(dir, 'run'), port: nbd.port });
    undo.push(() => nbdkit.stop());
    await database.configureCloud({
      apiUrl: cloud.url,
      apiKey: cloud.apiKey,
      secretKey: cloud.secretKey,
      zone: cloud.zoneId,
    });
    const env = { ...environmentOf(dir, database, cloud, guest, nbd, nbdkit), ...options.env };
    const daemons = new Set<DaemonProcess>();
    undo.push(() => Promise.all([...daemons].map((daemon) => daemon.kill())));
    const start = async (more: Partial<DaemonOptions> = {}) => {
      const daemon = await startDaemon({ ...more, env: { ...env, ...more.env } });
      daemons.add(daemon);
      void daemon.exited.then(() => daemons.delete(daemon));
      return daemon;
    };
    return { dir, database, cloud, guest, nbdkit, nbd, env, startDaemon: start, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function environmentOf(
  dir: string,
  database: Mariadb,
  cloud: Simulator,
  guest: SysfsGuest,
  nbd: NbdServer,
  nbdkit: Nbdkit,
): Record<string, string> {
  return {
    DATABASE_DSN: database.dsn,
    OMA_VM_ID: cloud.applianceVmId,
    SYS_BLOCK_DIR: guest.sysBlockDir,
    DEV_DIR: guest.devDir,
    PROC_DIR: guest.procDir,
    DMI_DIR: guest.dmiDir,
    ETC_DIR: guest.etcDir,
    NBD_PORT: String(nbd.port),
    NBD_READ_ONLY_PORT: String(nbdkit.readOnlyPort),
    NBD_CONFIG_DIR: nbd.configDir,
    NBD_BASE_CONFIG: nbd.baseConfig,
    NBD_PID_FILE: nbd.pidFile,
    NBD_MANAGE: 'own',
    RUNTIME_DIRECTORY: join(dir, 'run'),
    STATE_DIRECTORY: join(dir, 'state'),
    LOG_FORMAT: 'json',
    // The simulated CloudStack has one management server: a job that it denies was never accepted.
    JOB_LOST_AFTER: '1s',
  };
}
