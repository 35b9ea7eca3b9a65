import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { messageOf } from '../../core/errors';
import type { Logger } from '../../core/log/logger';
import { unhealthy } from '../export-errors';
import { ExportLinks } from '../export-links';
import type {
  ConfiguredExport,
  ExportFigures,
  ExportServer,
  ExportServerHealth,
  ExportTarget,
  ProbeResult,
} from '../export-server';
import { HealthCache } from '../health-cache';
import { volumeIdOf } from '../naming';
import { Probes } from '../protocol/probes';
import { QmpError } from './qmp';
import { StorageDaemonClients } from './storage-daemon-clients';
import { refusalOf, StorageDaemonMonitor, toUnhealthy } from './storage-daemon-monitor';
import { StorageDaemonProcess } from './storage-daemon-process';
import { StorageDaemonPublisher } from './storage-daemon-publisher';

export interface StorageDaemonOptions {
  readonly host: string;
  readonly port: number;
  readonly qmpSocket: string;
  readonly runDir: string;
  readonly devDir: string;
  readonly binary: string;
  readonly manage: 'auto' | 'systemd' | 'own';
  readonly unit: string | null;
  /** Which plug of a disk a device name is now; null when the kernel does not count plugs. */
  readonly diskseq: (deviceName: string) => number | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * qemu-storage-daemon over QMP: exports come and go at run time, in its memory only; after its end the health
 * check publishes them again. It keeps the device open, so an export is bound to one plug of the disk:
 * verified before and after the server opened it, and only then offered (docs/reference/exports.md).
 */
export class StorageDaemonExports implements ExportServer {
  readonly kind = 'qemu-storage-daemon' as const;
  readonly port: number;
  private readonly monitor: StorageDaemonMonitor;
  private readonly process: StorageDaemonProcess;
  private readonly probes: Probes;
  private readonly publisher: StorageDaemonPublisher;
  private readonly connections: StorageDaemonClients;
  private readonly byName = new KeyedMutex();
  /** What was published and not withdrawn: put back when the server comes back without it. */
  private readonly wanted = new Map<string, ExportTarget>();
  /** Exports that could not be put back, with the reason. */
  private readonly failing = new Map<string, string>();
  private restarts = 0;
  private cleaned: string | null = null;
  private readonly cache: HealthCache;

  constructor(private readonly options: StorageDaemonOptions) {
    this.port = options.port;
    this.monitor = new StorageDaemonMonitor(options.qmpSocket);
    this.connections = new StorageDaemonClients(options.port, this.monitor, options.clock);
    const unit = options.manage === 'own' ? null : options.unit;
    this.process = new StorageDaemonProcess({ ...options, unit, monitor: this.monitor });
    // It goes on serving a disk that was unplugged; only reading shows it.
    this.probes = new Probes({ host: options.host, port: options.port }, { read: true });
    this.publisher = new StorageDaemonPublisher({
      links: new ExportLinks(options.runDir, options.devDir),
      monitor: this.monitor,
      process: this.process,
      probes: this.probes,
      diskseq: options.diskseq,
      clock: options.clock,
    });
    this.cache = new HealthCache(
      options.clock,
      () => this.look(),
      () => this.process.version,
    );
  }

  get figures(): ExportFigures {
    return { reloads: 0, restarts: this.restarts, lastRestartMs: null, ...this.probes.figures };
  }

  async publish(target: ExportTarget): Promise<void> {
    if (volumeIdOf(target.name) === null) throw unhealthy(`${target.name} is not the name of an export`);
    this.cache.drop();
    await this.byName.run(target.name, async () => {
      try {
        await this.publishNow(target);
        this.wanted.set(target.name, target);
        this.failing.delete(target.name);
      } catch (error) {
        // What was right before stays wanted when the server merely did not answer.
        if (!sameTarget(this.wanted.get(target.name), target)) this.wanted.delete(target.name);
        throw toUnhealthy(error);
      }
    });
  }

  async withdraw(name: string, { force = false }: { force?: boolean } = {}): Promise<void> {
    const volumeId = volumeIdOf(name);
    if (volumeId === null) return;
    this.cache.drop();
    await this.byName.run(name, async () => {
      this.wanted.delete(name);
      this.failing.delete(name);
      try {
        await this.publisher.remove(name, volumeId, force);
      } catch (error) {
        if (!(error instanceof QmpError)) throw error;
        // No server, no exports; but one whose socket was removed still serves.
        if (error.kind !== 'absent' || this.process.exists()) throw toUnhealthy(error);
      }
    });
  }

  async list(): Promise<ConfiguredExport[]> {
    try {
      const exports = await this.monitor.talk((commands) => commands.exports());
      return exports.map(({ name, volumeId, path }) => ({ name, volumeId, target: path }));
    } catch (error) {
      if (error instanceof QmpError && error.kind === 'absent' && !this.process.exists()) return [];
      throw toUnhealthy(error);
    }
  }

  probe(name: string): Promise<ProbeResult> {
    return this.probes.probe(name);
  }

  clients(name: string): Promise<{ count: number; details: string[] }> {
    return this.byName.run(name, () =>
      this.probes
        .without(() => this.connections.of(name))
        .catch((error: unknown) => {
          throw toUnhealthy(error);
        }),
    );
  }

  connected(): Promise<number> {
    return this.probes.without(async () => this.connections.count());
  }

  /** Our server, while it has the device open for an export: that alone is no use of the disk. */
  async holding(devicePath: string): Promise<number[]> {
    const exports = await this.monitor.talk((commands) => commands.exports()).catch(() => []);
    if (!exports.some(({ path }) => path === devicePath)) return [];
    const pid = await this.process.pid();
    return pid === null ? [] : [pid];
  }

  health(): Promise<ExportServerHealth> {
    return this.cache.get();
  }

  /** The server goes on without us: its clients are in the middle of copying. */
  async close(): Promise<void> {
    await this.cache.idle();
  }

  private async publishNow(target: ExportTarget): Promise<void> {
    await this.publisher.verify(target);
    await this.serve();
    await this.publisher.publish(target);
  }

  private async serve(): Promise<void> {
    if (!(await this.process.isListening())) await this.process.ensureServing();
    await this.cleanUp();
  }

  /** Once for each process: a crash of ours between two commands leaves a disk open without an export. */
  private async cleanUp(): Promise<void> {
    await this.process.pid();
    const { identity } = this.process;
    if (identity !== null && this.cleaned === identity) return;
    if (this.cleaned !== null) this.restarts += 1;
    const left = await this.monitor.talk(async (commands) => {
      const names = await commands.leftovers();
      for (const name of names) await refusalOf(commands.close(name));
      return names;
    });
    if (left.length > 0) this.options.logger.warn('Disks without an export were let go', { nodes: left });
    this.cleaned = identity;
  }

  /**
   * Starts a dead server that is ours to start, and publishes again what it lost. Throws QmpError,
   * EXPORT_SERVER_UNHEALTHY.
   */
  private async look(): Promise<ExportServerHealth> {
    if (!(await this.process.isRunning()) || !(await this.process.isServing())) await this.process.revive();
    await this.cleanUp();
    await this.restore();
    const failing = [...this.failing].map(([name, reason]) => `${name} (${reason})`);
    return {
      status: failing.length > 0 ? 'unhealthy' : 'healthy',
      message: [
        `qemu-storage-daemon ${this.process.version ?? '?'} on port ${this.port}`,
        ...(failing.length > 0 ? [`${failing.length} export(s) fail: ${failing.join(', ')}`] : []),
      ].join('; '),
      version: this.process.version,
      pid: await this.process.pid(),
      staleUntilRestart: 0,
    };
  }

  /** Publishes again what was published and is not there any more: the server was restarted by somebody. */
  private async restore(): Promise<void> {
    if (this.wanted.size === 0) return;
    const there = new Set(
      (await this.monitor.talk((commands) => commands.exports())).map(({ name }) => name),
    );
    for (const [name, target] of this.wanted) {
      if (there.has(name)) continue;
      await this.byName.run(name, async () => {
        // Withdrawn, or published anew, while this one waited for its turn.
        if (this.wanted.get(name) !== target) return;
        try {
          await this.publishNow(target);
          this.failing.delete(name);
          this.options.logger.info('Export published again', { export: name });
        } catch (error) {
          this.failing.set(name, messageOf(error));
        }
      });
    }
  }
}

function sameTarget(a: ExportTarget | undefined, b: ExportTarget): boolean {
  return a?.devicePath === b.devicePath && a.diskseq === b.diskseq && a.size === b.size;
}
