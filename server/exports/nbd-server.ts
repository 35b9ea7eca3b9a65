import { join } from 'node:path';
import type { Clock } from '../runtime/clock';
import { messageOf } from '../runtime/errors';
import type { Logger } from '../runtime/logger';
import { baseConfig, exportSection, parse, serialize } from './config-file';
import type {
  ConfiguredExport,
  ExportServer,
  ExportServerHealth,
  ExportTarget,
  ProbeResult,
} from './export-server';
import { namesIn, readIfThere, removeDurably, removeLeftovers, writeDurably } from './files';
import { greets, type NbdAddress, probeExport } from './handshake';
import { ExportLinks } from './links';
import { volumeIdOf } from './naming';
import { ServerProcess, unhealthy } from './server-process';

export interface NbdServerOptions {
  readonly host: string;
  readonly port: number;
  readonly configDir: string;
  readonly baseConfig: string;
  readonly pidFile: string;
  readonly runDir: string;
  readonly devDir: string;
  readonly binary: string;
  readonly manage: 'auto' | 'systemd' | 'own';
  readonly unit: string | null;
  readonly restartPolicy: 'preserve' | 'when-idle' | 'never';
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Versions whose parent dies of SIGHUP or drops every new connection after it (fixed in 3.25). */
const DIES_OF_SIGHUP = /^3\.2[0-4](\.|$)/;

/**
 * nbd-server as the specification wants it: one file per export in conf.d, one reload per change set, and a handshake that proves
 * it. The server only ever *learns* names, so withdrawing removes link and file, which fails closed at once; a new parent process
 * forgets the name later (docs/exports.md).
 */
export class NbdServerExports implements ExportServer {
  readonly kind = 'nbd-server' as const;
  readonly port: number;
  private readonly address: NbdAddress;
  private readonly links: ExportLinks;
  private readonly process: ServerProcess;
  private readonly stale = new Set<string>();
  private version: string | null = null;
  private reloading: Promise<void> | null = null;
  private queued: Promise<void> | null = null;
  private prepared: Promise<void> | null = null;
  private state: ExportServerHealth = {
    status: 'unhealthy',
    message: 'not looked at yet',
    version: null,
    pid: null,
    staleUntilRestart: 0,
  };

  constructor(private readonly options: NbdServerOptions) {
    this.port = options.port;
    this.address = { host: options.host, port: options.port };
    this.links = new ExportLinks(options.runDir, options.devDir);
    const unit = options.manage === 'own' ? null : options.unit;
    this.process = new ServerProcess({ ...options, address: this.address, unit });
  }

  async publish(target: ExportTarget): Promise<void> {
    await this.prepare();
    await this.links.point(target.name, target.devicePath, target.dev);
    const changed = await this.writeFile(target.name);
    this.stale.delete(target.name);
    if (!changed && this.isRight(await this.probe(target.name), target)) return;
    await this.reload();
    if (this.isRight(await this.probe(target.name), target)) return;
    await this.restart();
    const last = await this.probe(target.name);
    if (this.isRight(last, target)) return;
    throw unhealthy(
      last.ok
        ? `export ${target.name} answers with ${last.size} bytes instead of ${target.size}`
        : `export ${target.name}: ${last.message}`,
    );
  }

  async withdraw(name: string, options: { force?: boolean } = {}): Promise<void> {
    const target = await this.links.read(name);
    // The link first: from here on nobody new gets in, whatever the server remembers.
    await this.links.remove(name);
    if (await removeDurably(this.file(name))) this.stale.add(name);
    if (options.force && target !== null) {
      for (const pid of await this.process.clientsOf(target)) {
        this.options.logger.warn('NBD client disconnected by force', { export: name, pid });
        kill(pid);
      }
    }
  }

  async list(): Promise<ConfiguredExport[]> {
    const files = (await namesIn(this.options.configDir))
      .filter((name) => name.endsWith('.conf'))
      .map((name) => name.slice(0, -'.conf'.length));
    const names = new Set([...files, ...(await this.links.names())]);
    const found: ConfiguredExport[] = [];
    for (const name of names) {
      const volumeId = volumeIdOf(name);
      if (volumeId !== null)
        found.push({ name, volumeId, target: files.includes(name) ? await this.links.read(name) : null });
    }
    return found;
  }

  probe(name: string): Promise<ProbeResult> {
    return probeExport(this.address, name);
  }

  async clients(name: string): Promise<{ count: number; details: string[] }> {
    const target = await this.links.read(name);
    const pids = target === null ? [] : await this.process.clientsOf(target);
    return { count: pids.length, details: pids.map((pid) => `pid ${pid} (nbd-server)`) };
  }

  /** Looks at the server, and starts it again when it is dead and ours to start. */
  async health(): Promise<ExportServerHealth> {
    try {
      await this.prepare();
      const complaint = await greets(this.address);
      if (complaint !== null) await this.process.ensureRunning();
      const pid = await this.process.mainPid();
      const staleUntilRestart = this.stale.size;
      const message =
        pid === null
          ? `port ${this.port} speaks NBD, but ${this.options.pidFile} does not name its process`
          : `nbd-server ${this.version ?? '?'} on port ${this.port}`;
      this.state = {
        status: pid === null ? 'unhealthy' : 'healthy',
        message,
        version: this.version,
        pid,
        staleUntilRestart,
      };
    } catch (error) {
      this.state = {
        ...this.state,
        status: 'unhealthy',
        message: messageOf(error),
        pid: null,
        staleUntilRestart: this.stale.size,
      };
    }
    return this.state;
  }

  /** The server goes on without us: its clients are in the middle of copying. */
  async close(): Promise<void> {
    await this.queued?.catch(() => undefined);
    await this.reloading?.catch(() => undefined);
  }

  /** Once: folder, base configuration where there is none, leftovers of a crash, the version. Tried again until it works. */
  private prepare(): Promise<void> {
    this.prepared ??= this.prepareOnce().catch((error: unknown) => {
      this.prepared = null;
      throw error;
    });
    return this.prepared;
  }

  private async prepareOnce(): Promise<void> {
    const { baseConfig: path, configDir, port, host, logger } = this.options;
    this.version = await this.process.version();
    if (this.version === null)
      throw unhealthy(`${this.options.binary} is not installed (apt-get install nbd-server)`);
    await removeLeftovers(configDir);
    if ((await readIfThere(path)) === null) {
      logger.info('The base configuration of nbd-server is made', { path });
      await writeDurably(path, baseConfig({ port, configDir, listen: host === '127.0.0.1' ? host : null }));
    }
  }

  /** Name and content never change for a volume, so publishing again finds the same file and needs no reload. */
  private async writeFile(name: string): Promise<boolean> {
    const section = exportSection(name, this.links.path(name));
    const content = serialize([section]);
    const path = this.file(name);
    if ((await readIfThere(path)) === content) return false;
    await writeDurably(path, content);
    const [back] = parse((await readIfThere(path)) ?? '');
    if (back?.name !== name || back.values.exportname !== section.values.exportname)
      throw unhealthy(`${path} does not read back as it was written`);
    return true;
  }

  /** One reload serves everybody who wrote before it began; who writes during one gets the next. */
  private reload(): Promise<void> {
    if (!this.reloading) return this.startReload();
    this.queued ??= this.reloading.then(
      () => this.startReload(),
      () => this.startReload(),
    );
    return this.queued;
  }

  private startReload(): Promise<void> {
    this.queued = null;
    this.reloading = this.reloadOnce().finally(() => {
      this.reloading = null;
    });
    return this.reloading;
  }

  private async reloadOnce(): Promise<void> {
    if ((await this.process.mainPid()) === null) return this.process.ensureRunning();
    const deadly = this.version !== null && DIES_OF_SIGHUP.test(this.version);
    if (deadly) return this.restartNow();
    await this.process.hangUp();
  }

  /** For one whose export still does not answer; shared like a reload. */
  private async restart(): Promise<void> {
    await (this.queued ?? this.reloading ?? Promise.resolve());
    this.reloading ??= this.restartNow().finally(() => {
      this.reloading = null;
    });
    await this.reloading;
  }

  private async restartNow(): Promise<void> {
    const { restartPolicy, logger, clock } = this.options;
    if (restartPolicy === 'never')
      throw unhealthy(
        `nbd-server ${this.version ?? ''} must be restarted to learn the export, and NBD_RESTART=never forbids it`,
      );
    if (restartPolicy === 'when-idle' && (await this.anyClient()))
      throw unhealthy(
        'nbd-server must be restarted to learn the export; NBD_RESTART=when-idle waits for its clients to leave',
      );
    const begun = clock.monotonic();
    await this.process.restart();
    this.stale.clear();
    logger.info('nbd-server was restarted without cutting its clients', {
      ms: Math.round(clock.monotonic() - begun),
      version: this.version,
    });
  }

  private async anyClient(): Promise<boolean> {
    for (const { name } of await this.list()) if ((await this.clients(name)).count > 0) return true;
    return false;
  }

  private isRight(probe: ProbeResult, target: ExportTarget): boolean {
    return probe.ok && probe.size === target.size && !probe.readOnly;
  }

  private file(name: string): string {
    return join(this.options.configDir, `${name}.conf`);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has left by itself.
  }
}
