import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { DaemonError } from '../../core/errors';
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
import { complaint, isRight } from '../judge-probe';
import { volumeIdOf } from '../naming';
import { Coalescer } from './coalescer';
import { ExportFiles } from './export-files';
import { LoadedNames } from './loaded-names';
import { NbdClients } from './nbd-clients';
import { NbdServerProcess } from './nbd-server-process';

export interface NbdServerOptions {
  readonly host: string;
  readonly port: number;
  /** Folder of the export files; only `migration-vol-*.conf` in it are ours. */
  readonly configDir: string;
  /** Made when it is missing, never changed. */
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

/**
 * nbd-server: one file per export in conf.d, one reload per change set, and a handshake that proves it. A
 * running server never forgets a name, so withdrawing removes link and file, which closes the export at once;
 * a new parent process forgets the name later (docs/reference/exports.md).
 */
export class NbdServerExports implements ExportServer {
  readonly kind = 'nbd-server' as const;
  readonly port: number;
  private readonly links: ExportLinks;
  private readonly files: ExportFiles;
  private readonly process: NbdServerProcess;
  private readonly nbdClients: NbdClients;
  private readonly loadedNames: LoadedNames;
  private readonly changes: Coalescer;
  private readonly byName = new KeyedMutex();
  /** What each name should be now: withdrawing or publishing something else overtakes a publish under way. */
  private readonly wanted = new Map<string, ExportTarget>();
  private prepared: Promise<void> | null = null;
  private readonly cache: HealthCache;

  constructor(private readonly options: NbdServerOptions) {
    this.port = options.port;
    const address = { host: options.host, port: options.port };
    const unit = options.manage === 'own' ? null : options.unit;
    this.links = new ExportLinks(options.runDir, options.devDir);
    this.files = new ExportFiles(options, (name) => this.links.path(name));
    this.process = new NbdServerProcess({ ...options, address, unit });
    this.nbdClients = new NbdClients(options, address);
    this.loadedNames = new LoadedNames({
      ...options,
      process: this.process,
      clients: this.nbdClients,
      files: this.files,
      links: this.links,
      expectedSize: (name) => this.wanted.get(name)?.size ?? null,
    });
    this.changes = new Coalescer((names) => this.loadedNames.load(names));
    this.cache = new HealthCache(
      options.clock,
      () => this.look(),
      () => this.loadedNames.version,
    );
  }

  get figures(): ExportFigures {
    return { ...this.loadedNames.figures, ...this.nbdClients.figures };
  }

  async publish(target: ExportTarget): Promise<void> {
    if (volumeIdOf(target.name) === null) throw unhealthy(`${target.name} is not the name of an export`);
    this.cache.drop();
    // Before anything is waited for: a withdraw that is called after us must find it.
    const mine = this.want(target);
    try {
      await this.prepare();
    } catch (error) {
      if (this.wanted.get(target.name) === mine) this.wanted.delete(target.name);
      throw error;
    }
    const before = await this.byName.run(target.name, () => this.declare(mine));
    let seen: ProbeResult | null = null;
    const look = async () => {
      seen = await this.probe(target.name);
      return seen;
    };
    try {
      const first = before.trusted ? await look() : null;
      if (first && isRight(first, mine)) return this.assertCurrent(mine);
      if (first && isClosed(first)) throw unhealthy(complaint(mine, first));
      if (first?.ok) await this.distrust(mine);
      await this.changes.add(target.name);
      await this.open(mine);
      const second = await look();
      if (!isRight(second, mine) && !isClosed(second)) await this.loadedNames.restart();
      const last = isRight(second, mine) ? second : await look();
      if (!isRight(last, mine)) throw unhealthy(complaint(mine, last));
      this.assertCurrent(mine);
    } catch (error) {
      await this.undo(mine, before, seen);
      throw error;
    }
  }

  async withdraw(name: string, options: { force?: boolean } = {}): Promise<void> {
    if (volumeIdOf(name) === null) return;
    this.wanted.delete(name);
    this.cache.drop();
    const target = await this.byName.run(name, async () => {
      const last = await this.lastTarget(name);
      // The link first: from here on nobody new gets in, whatever the server remembers.
      await this.links.remove(name);
      await this.files.remove(name);
      return last;
    });
    if (target === null) return;
    this.nbdClients.remember(name, target);
    if (options.force) await this.nbdClients.cut(name, target, this.options);
  }

  async list(): Promise<ConfiguredExport[]> {
    const files = new Set(await this.files.names());
    const found: ConfiguredExport[] = [];
    for (const name of new Set([...files, ...(await this.links.names())])) {
      const volumeId = volumeIdOf(name);
      if (volumeId === null) continue;
      found.push({ name, volumeId, target: files.has(name) ? await this.links.read(name) : null });
    }
    return found;
  }

  probe(name: string): Promise<ProbeResult> {
    return this.nbdClients.probe(name);
  }

  async clients(name: string): Promise<{ count: number; details: string[] }> {
    const target = await this.lastTarget(name);
    const found = target === null ? [] : await this.nbdClients.to(target);
    const details = found.map(
      ({ pid, peer }) => `pid ${pid} (nbd-server)${peer === null ? '' : ` for ${peer}`}`,
    );
    return { count: found.length, details };
  }

  health(): Promise<ExportServerHealth> {
    return this.cache.get();
  }

  /** The server goes on without us: its clients are in the middle of copying. */
  async close(): Promise<void> {
    await this.changes.idle();
  }

  /** Starts the server again when it is dead and ours to start. */
  private async look(): Promise<ExportServerHealth> {
    await this.prepare();
    return this.loadedNames.look();
  }

  /** Once, repeated until it works: base configuration, leftovers of a crash, the version. */
  private prepare(): Promise<void> {
    this.prepared ??= this.prepareOnce().catch((error: unknown) => {
      this.prepared = null;
      throw error;
    });
    return this.prepared;
  }

  private async prepareOnce(): Promise<void> {
    await this.loadedNames.readVersion();
    await this.files.prepare(this.options.logger);
    const removed = await this.links.sweep();
    if (removed.length > 0)
      this.options.logger.warn('Export links that led nowhere were removed', { removed });
  }

  private want(target: ExportTarget): ExportTarget {
    const before = this.wanted.get(target.name);
    const same = before && before.devicePath === target.devicePath && before.size === target.size;
    const mine = same ? before : target;
    this.wanted.set(target.name, mine);
    this.nbdClients.forget(target.devicePath);
    return mine;
  }

  /**
   * Writes file and link where the server is known to follow the link: the link exists already (it is made
   * only for a name that the server read from our file), or this process has read the name from us. Any other
   * name gets no link until it is loaded: the server might remember an old device for it.
   */
  private async declare(target: ExportTarget): Promise<{ trusted: boolean; existed: boolean }> {
    const { name, devicePath, dev } = target;
    this.assertCurrent(target);
    await this.links.verify(devicePath, dev);
    const existed = await this.files.isRight(name);
    const link = await this.links.read(name);
    const trusted = (existed && link !== null) || (await this.loadedNames.isLoaded(name));
    if (!trusted) await this.links.remove(name);
    if (!existed) await this.files.write(name);
    if (trusted && link !== devicePath) await this.links.point(name, devicePath, dev);
    return { trusted, existed };
  }

  private distrust(target: ExportTarget): Promise<void> {
    this.loadedNames.drop(target.name);
    return this.byName.run(target.name, () => this.links.remove(target.name));
  }

  private async open(target: ExportTarget): Promise<void> {
    await this.byName.run(target.name, async () => {
      this.assertCurrent(target);
      await this.links.point(target.name, target.devicePath, target.dev);
    });
  }

  /** Throws when the export was withdrawn, or published for another device, while we were at it. */
  private assertCurrent(target: ExportTarget): void {
    if (this.wanted.get(target.name) !== target)
      throw unhealthy(`export ${target.name} was withdrawn while it was being published`);
  }

  /**
   * After a failed publish no wrong disk can be served: no link, and no file unless it was there before. What
   * was right before stays when the server merely did not answer, and so does what somebody else published
   * meanwhile.
   */
  private async undo(
    target: ExportTarget,
    before: { trusted: boolean; existed: boolean },
    seen: ProbeResult | null,
  ): Promise<void> {
    if (this.wanted.get(target.name) !== target) return;
    this.wanted.delete(target.name);
    if (before.trusted && before.existed && !seen?.ok) return;
    try {
      await this.byName.run(target.name, async () => {
        await this.links.remove(target.name);
        if (!before.existed) await this.files.remove(target.name);
      });
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error;
      this.options.logger.error('A failed publish could not be undone', {
        export: target.name,
        reason: error.message,
      });
    }
  }

  private async lastTarget(name: string): Promise<string | null> {
    return (await this.links.read(name)) ?? this.nbdClients.lastTarget(name);
  }
}

/** The server knows the name but cannot open the target: no restart would change that. */
function isClosed(probe: ProbeResult): boolean {
  return !probe.ok && probe.reason === 'denied';
}
