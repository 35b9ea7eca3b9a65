import { basename } from 'node:path';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { DaemonError, messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { ExportLinks, isBlockDevice } from '../export-links';
import type {
  ConfiguredExport,
  ExportFigures,
  ExportServer,
  ExportServerHealth,
  ExportTarget,
  ProbeResult,
} from '../export-server';
import { volumeIdOf } from '../naming';
import { complaint, isRight } from '../nbd-server/nbd-server-exports';
import { unhealthy } from '../nbd-server/nbd-server-process';
import { Probes } from '../protocol/probes';
import { QmpError } from './qmp';
import { StorageConnections } from './storage-daemon-clients';
import {
  nodeName,
  persist,
  refusalOf,
  type StorageCommands,
  type StorageExport,
  StorageMonitor,
  toUnhealthy,
} from './storage-daemon-monitor';
import { StorageProcess } from './storage-daemon-process';

export interface StorageDaemonOptions {
  readonly host: string;
  readonly port: number;
  readonly qmpSocket: string;
  readonly runDir: string;
  readonly devDir: string;
  readonly binary: string;
  readonly manage: 'auto' | 'systemd' | 'own';
  readonly unit: string | null;
  /** Which plug of a disk a device name is at the moment (`/sys/block/vdX/diskseq`); null when the kernel does not count. */
  readonly diskseq: (deviceName: string) => number | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * qemu-storage-daemon over QMP: exports come and go at run time, and nothing is written to disk. It opens the device when the export
 * is added and keeps it open, so an export is bound to that very plug of the disk: verified before and after the server opened it,
 * and offered to clients only then. What it has in memory dies with it; the health check publishes it again (docs/exports.md).
 */
export class StorageDaemonExports implements ExportServer {
  readonly kind = 'qemu-storage-daemon' as const;
  readonly port: number;
  private readonly links: ExportLinks;
  private readonly monitor: StorageMonitor;
  private readonly process: StorageProcess;
  private readonly probes: Probes;
  private readonly connections: StorageConnections;
  private readonly byName = new KeyedMutex();
  /** What was published and not withdrawn: put back when the server comes back without it. */
  private readonly wanted = new Map<string, ExportTarget>();
  /** Exports that could not be put back, with the reason. */
  private readonly failing = new Map<string, string>();
  private restarts = 0;
  private cleaned: string | null = null;
  private looking: Promise<ExportServerHealth> | null = null;
  private lastLook: { readonly at: number; readonly health: ExportServerHealth } | null = null;

  constructor(private readonly options: StorageDaemonOptions) {
    this.port = options.port;
    this.links = new ExportLinks(options.runDir, options.devDir);
    this.monitor = new StorageMonitor(options.qmpSocket);
    this.connections = new StorageConnections(options.port, this.monitor, options.clock);
    const unit = options.manage === 'own' ? null : options.unit;
    this.process = new StorageProcess({ ...options, unit, monitor: this.monitor });
    // It goes on serving a disk that was unplugged; only reading shows it.
    this.probes = new Probes({ host: options.host, port: options.port }, { read: true });
  }

  get figures(): ExportFigures {
    return { reloads: 0, restarts: this.restarts, lastRestartMs: null, ...this.probes.figures };
  }

  async publish(target: ExportTarget): Promise<void> {
    if (volumeIdOf(target.name) === null) throw unhealthy(`${target.name} is not the name of an export`);
    this.lastLook = null;
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
    this.lastLook = null;
    await this.byName.run(name, async () => {
      this.wanted.delete(name);
      this.failing.delete(name);
      try {
        await this.remove(name, volumeId, force);
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

  /** Our server, while it has this device open for an export of ours: that is no use of the disk, a connected client is. */
  async holding(devicePath: string): Promise<number[]> {
    const exports = await this.monitor.talk((commands) => commands.exports()).catch(() => []);
    if (!exports.some(({ path }) => path === devicePath)) return [];
    const pid = await this.process.pid();
    return pid === null ? [] : [pid];
  }

  /** The last look, at most two seconds old. A look starts a dead server that is ours to start, and publishes again what it lost. */
  health(): Promise<ExportServerHealth> {
    const { clock } = this.options;
    if (this.lastLook && clock.monotonic() - this.lastLook.at < LIMITS.EXPORT_HEALTH_CACHE_MS)
      return Promise.resolve(this.lastLook.health);
    this.looking ??= this.look().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  /** The server goes on without us: its clients are in the middle of copying. */
  async close(): Promise<void> {
    await this.looking?.catch(() => undefined);
  }

  private async publishNow(target: ExportTarget): Promise<void> {
    const { name, volumeId } = target;
    await this.verify(target);
    await this.serve();
    const { found, open } = await this.monitor.talk((commands) => commands.state(name, volumeId));
    if (found && (await this.isOfSameDisk(found, target)) && !found.shuttingDown) {
      const seen = await this.probe(name);
      if (isRight(seen, target)) return;
    }
    if (open) await this.remove(name, volumeId, false, target);
    await this.monitor.talk((commands) => this.add(commands, target));
    const seen = await this.probe(name);
    if (isRight(seen, target)) return;
    await this.remove(name, volumeId, true);
    throw unhealthy(complaint(target, seen));
  }

  /** Nobody can read the disk before it has been verified once more with the server holding it. */
  private async add(commands: StorageCommands, target: ExportTarget): Promise<void> {
    const { name, volumeId, devicePath } = target;
    await commands.open(volumeId, devicePath, await isBlockDevice(devicePath));
    try {
      await this.verify(target);
      if ((await this.process.holdsOpen(devicePath)) === false)
        throw mismatch(target, 'qemu-storage-daemon has opened another disk');
      await commands.offer(name, volumeId, this.plugOf(target));
    } catch (error) {
      await refusalOf(commands.close(nodeName(volumeId)));
      throw error;
    }
  }

  /** Is the device still the one that the caller spoke of? Throws DEVICE_IDENTITY_MISMATCH. */
  private async verify(target: ExportTarget): Promise<void> {
    await this.links.verify(target.devicePath, target.dev);
    const now = this.options.diskseq(basename(target.devicePath));
    if (target.diskseq !== undefined && target.diskseq !== null && now !== target.diskseq)
      throw mismatch(target, `diskseq is ${now ?? 'unknown'}, the disk of the volume had ${target.diskseq}`);
  }

  private plugOf(target: ExportTarget): number | null {
    return target.diskseq ?? this.options.diskseq(basename(target.devicePath));
  }

  private async isOfSameDisk(existing: StorageExport, target: ExportTarget): Promise<boolean> {
    return (
      existing.path === target.devicePath &&
      existing.diskseq === this.plugOf(target) &&
      (await this.process.holdsOpen(target.devicePath)) !== false
    );
  }

  /** Is the disk that the server opened still plugged? A session on one that is not gets errors for ever. */
  private async isAlive({ path, diskseq }: StorageExport, target: ExportTarget | null): Promise<boolean> {
    if (path === null) return false;
    // In a laboratory a disk may get another letter while it is plugged.
    if (target && (await this.process.holdsOpen(target.devicePath)) === true) return true;
    if ((await this.process.holdsOpen(path)) === false) return false;
    return diskseq === null || this.options.diskseq(basename(path)) === diskseq;
  }

  /**
   * Takes the export away and lets go of the disk. Clients of a live disk are cut by force only: without it they are a reason to
   * refuse. Throws QmpError, EXPORT_SERVER_UNHEALTHY.
   */
  private async remove(
    name: string,
    volumeId: string,
    force: boolean,
    next: ExportTarget | null = null,
  ): Promise<void> {
    const { clock } = this.options;
    await this.probes.without(() =>
      this.monitor.talk(async (commands) => {
        const { found, open } = await commands.state(name, volumeId);
        if (found) {
          const mode = force || !(await this.isAlive(found, next)) ? 'hard' : 'safe';
          const refusal = await persist(clock, LIMITS.EXPORT_CLIENT_LINGER_MS, () =>
            commands.withhold(found.id, mode),
          );
          if (refusal !== null)
            throw unhealthy(
              `export ${name} has a connected client (${refusal}); qemu-storage-daemon cannot withdraw it without cutting it off`,
            );
        }
        if (!open) return;
        const node = found?.node ?? nodeName(volumeId);
        const refusal = await persist(clock, LIMITS.EXPORT_RELOAD_SETTLE_MS, () => commands.close(node));
        if (refusal !== null) throw unhealthy(`the disk of export ${name} is still held: ${refusal}`);
      }),
    );
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

  private async look(): Promise<ExportServerHealth> {
    const { clock, port } = this.options;
    let health: ExportServerHealth;
    try {
      if (!(await this.process.isRunning()) || !(await this.process.isServing())) await this.process.revive();
      await this.cleanUp();
      await this.restore();
      const failing = [...this.failing].map(([name, reason]) => `${name} (${reason})`);
      health = {
        status: failing.length > 0 ? 'unhealthy' : 'healthy',
        message: [
          `qemu-storage-daemon ${this.process.version ?? '?'} on port ${port}`,
          ...(failing.length > 0 ? [`${failing.length} export(s) fail: ${failing.join(', ')}`] : []),
        ].join('; '),
        version: this.process.version,
        pid: await this.process.pid(),
        staleUntilRestart: 0,
      };
    } catch (error) {
      health = {
        status: 'unhealthy',
        message: messageOf(error),
        version: this.process.version,
        pid: null,
        staleUntilRestart: 0,
      };
    }
    this.lastLook = { at: clock.monotonic(), health };
    return health;
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

function mismatch({ devicePath }: ExportTarget, reason: string): DaemonError {
  return new DaemonError('DEVICE_IDENTITY_MISMATCH', `${devicePath} is not exported: ${reason}`, {
    details: { device_path: devicePath },
  });
}
