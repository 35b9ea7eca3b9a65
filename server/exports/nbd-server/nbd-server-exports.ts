import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { DaemonError } from '../../core/errors';
import type { Logger } from '../../core/log/logger';
import { ConnectedClients } from '../connected-clients';
import { notTheDevice, unhealthy } from '../export-errors';
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
import { complaint, isRight, servesAnother } from '../judge-probe';
import { volumeIdOf } from '../naming';
import { isForkedChild } from '../process-table';
import { WantedExports } from '../wanted-exports';
import { Coalescer } from './coalescer';
import { ExportFiles } from './export-files';
import { LoadedNames } from './loaded-names';
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
  readonly diskseq: (deviceName: string) => number | null;
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
  private readonly nbdClients: ConnectedClients;
  private readonly loadedNames: LoadedNames;
  private readonly changes: Coalescer;
  private readonly byName = new KeyedMutex();
  private readonly wanted = new WantedExports();
  private prepared: Promise<void> | null = null;
  private readonly cache: HealthCache;

  constructor(private readonly options: NbdServerOptions) {
    this.port = options.port;
    const address = { host: options.host, port: options.port };
    const unit = options.manage === 'own' ? null : options.unit;
    this.links = new ExportLinks(options.runDir, options.devDir, options.diskseq);
    this.files = new ExportFiles(options, (name) => this.links.path(name));
    this.process = new NbdServerProcess({ ...options, address, unit });
    this.nbdClients = new ConnectedClients(
      { binary: options.binary, mayBeOurs: (pid) => isForkedChild(pid, options) },
      address,
    );
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
    const mine = this.wanted.want(target);
    this.nbdClients.forget(target.devicePath);
    try {
      await this.prepare();
    } catch (error) {
      this.wanted.giveUp(mine);
      throw error;
    }
    const before = await this.byName.run(target.name, () => this.declare(mine));
    const { node } = before;
    let seen: ProbeResult | null = null;
    const look = async () => {
      seen = await this.nbdClients.prove(target.name);
      return seen;
    };
    try {
      const first = before.trusted ? await look() : null;
      if (first && isRight(first, mine, node)) return await this.assertProven(mine, node);
      if (first && isClosed(first)) throw unhealthy(complaint(mine, first, node) ?? '');
      if (first?.ok) await this.distrust(mine);
      await this.changes.add(target.name);
      await this.open(mine);
      const second = await look();
      if (!isRight(second, mine, node) && !isClosed(second)) await this.loadedNames.restart();
      const last = isRight(second, mine, node) ? second : await look();
      const wrong = complaint(mine, last, node);
      if (servesAnother(last, node)) throw notTheDevice(mine.devicePath, wrong ?? '');
      if (wrong !== null) throw unhealthy(wrong);
      await this.assertProven(mine, node);
    } catch (error) {
      await this.undo(mine, before, seen);
      throw error;
    }
  }

  async withdraw(name: string, options: { force?: boolean } = {}): Promise<void> {
    if (volumeIdOf(name) === null) return;
    this.wanted.withdraw(name);
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
    return target === null ? { count: 0, details: [] } : this.nbdClients.describe(target);
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

  /**
   * Writes file and link where the server is known to follow the link: the link exists already (it is made
   * only for a name that the server read from our file), or this process has read the name from us. Any other
   * name gets no link until it is loaded: the server might remember an old device for it.
   */
  private async declare(target: ExportTarget): Promise<Declared> {
    const { name, devicePath } = target;
    this.wanted.assertCurrent(target);
    const node = await this.links.verify(target);
    const existed = await this.files.isRight(name);
    const link = await this.links.read(name);
    const trusted = (existed && link !== null) || (await this.loadedNames.isLoaded(name));
    if (!trusted) await this.links.remove(name);
    if (!existed) await this.files.write(name);
    if (trusted && link !== devicePath) await this.links.point(target);
    return { trusted, existed, node };
  }

  private distrust(target: ExportTarget): Promise<void> {
    this.loadedNames.drop(target.name);
    return this.byName.run(target.name, () => this.links.remove(target.name));
  }

  private async open(target: ExportTarget): Promise<void> {
    await this.byName.run(target.name, async () => {
      this.wanted.assertCurrent(target);
      await this.links.point(target);
    });
  }

  /** The disk is still the one that was verified, and nobody has asked for something else. */
  private async assertProven(target: ExportTarget, node: string): Promise<void> {
    await this.links.verifyAgain(target, node);
    this.wanted.assertCurrent(target);
  }

  /**
   * After a failed publish no wrong disk can be served: no link, and no file unless it was there before. What
   * was right before stays when the server merely did not answer, and so does what somebody else published
   * meanwhile.
   */
  private async undo(target: ExportTarget, before: Declared, seen: ProbeResult | null): Promise<void> {
    if (!this.wanted.giveUp(target)) return;
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

interface Declared {
  /** The server follows our link for this name. */
  readonly trusted: boolean;
  /** The file was there before. */
  readonly existed: boolean;
  /** The disk that was verified (`nodeKey`). */
  readonly node: string;
}

/** The server knows the name but cannot open the target: no restart would change that. */
function isClosed(probe: ProbeResult): boolean {
  return !probe.ok && probe.reason === 'denied';
}
