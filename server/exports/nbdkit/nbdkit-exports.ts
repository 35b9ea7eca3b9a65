import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
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
import { complaint, servesAnother } from '../judge-probe';
import { volumeIdOf } from '../naming';
import { readTlsClient } from '../protocol/tls';
import { WantedExports } from '../wanted-exports';
import { HolderProcess } from './holder-process';
import { servesFolder } from './sessions';

const run = promisify(execFile);

export interface NbdkitOptions {
  readonly host: string;
  readonly port: number;
  readonly runDir: string;
  readonly devDir: string;
  readonly binary: string;
  /** The holder's program, a file that Node runs. */
  readonly holder: string;
  readonly manage: 'auto' | 'systemd' | 'own';
  readonly unit: string | null;
  readonly tls: 'off' | 'on' | 'require';
  readonly tlsDir: string;
  readonly maxConnections: number;
  readonly maxPerExport: number;
  /** ms that a client may take to ask for an export. */
  readonly handshakeMs: number;
  readonly diskseq: (deviceName: string) => number | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * nbdkit: the folder of links is the table of exports, and a connection is a process. There is no server to
 * configure, reload or restart: a link is an export, no link is none (docs/reference/exports.md).
 */
export class NbdkitExports implements ExportServer {
  readonly kind = 'nbdkit' as const;
  readonly port: number;
  private readonly links: ExportLinks;
  private readonly holder: HolderProcess;
  private readonly nbdClients: ConnectedClients;
  private readonly cache: HealthCache;
  private readonly byName = new KeyedMutex();
  private readonly wanted = new WantedExports();
  private version: string | null = null;
  private prepared: Promise<void> | null = null;

  constructor(private readonly options: NbdkitOptions) {
    const { host, port, runDir, binary, tls, tlsDir, clock } = options;
    this.port = port;
    const address = { host, port };
    this.links = new ExportLinks(runDir, options.devDir, options.diskseq);
    const exportsDir = this.links.folder;
    this.holder = new HolderProcess({
      ...options,
      address,
      exportsDir,
      unit: options.manage === 'own' ? null : options.unit,
      program: options.holder,
      args: holderArguments(options),
      pidFile: join(runDir, 'nbd-holder.pid'),
    });
    this.nbdClients = new ConnectedClients(
      { binary, mayBeOurs: (pid) => servesFolder(pid, exportsDir) },
      address,
      tls === 'off' ? null : () => readTlsClient(tlsDir),
    );
    this.cache = new HealthCache(
      clock,
      () => this.look(),
      () => this.version,
    );
  }

  get figures(): ExportFigures {
    return { reloads: 0, restarts: 0, lastRestartMs: null, ...this.nbdClients.figures };
  }

  async publish(target: ExportTarget): Promise<void> {
    const { name } = target;
    if (volumeIdOf(name) === null) throw unhealthy(`${name} is not the name of an export`);
    this.cache.drop();
    // Before anything is waited for: a withdraw that is called after us must find it.
    const mine = this.wanted.want(target);
    this.nbdClients.forget(target.devicePath);
    let wasThere = false;
    let probe: ProbeResult | null = null;
    try {
      await this.prepare();
      const before = await this.byName.run(name, () => this.link(mine));
      wasThere = before.wasThere;
      probe = await this.nbdClients.prove(name);
      this.assertRight(mine, probe, before.node);
      await this.links.verifyAgain(mine, before.node);
      this.wanted.assertCurrent(mine);
    } catch (error) {
      const isOurs = this.wanted.giveUp(mine);
      // A link that was there before stays when the server merely did not answer.
      if (isOurs && !(wasThere && !probe?.ok)) await this.byName.run(name, () => this.links.remove(name));
      throw error;
    }
  }

  async withdraw(name: string, options: { force?: boolean } = {}): Promise<void> {
    if (volumeIdOf(name) === null) return;
    this.wanted.withdraw(name);
    this.cache.drop();
    const target = await this.byName.run(name, async () => {
      const last = await this.lastTarget(name);
      await this.links.remove(name);
      return last;
    });
    if (target === null) return;
    this.nbdClients.remember(name, target);
    if (options.force) await this.nbdClients.cut(name, target, this.options);
  }

  async list(): Promise<ConfiguredExport[]> {
    const found: ConfiguredExport[] = [];
    for (const name of await this.links.names()) {
      const volumeId = volumeIdOf(name);
      if (volumeId !== null) found.push({ name, volumeId, target: await this.links.read(name) });
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

  /** Holder and clients go on without us. */
  async close(): Promise<void> {
    await this.cache.idle();
  }

  /** The disk that was verified (`nodeKey`), and whether the link led there already. */
  private async link(target: ExportTarget): Promise<{ node: string; wasThere: boolean }> {
    this.wanted.assertCurrent(target);
    const node = await this.links.verify(target);
    const wasThere = (await this.links.read(target.name)) === target.devicePath;
    if (!wasThere) await this.links.point(target);
    return { node, wasThere };
  }

  /** Name, size, and that the process which answered has the verified disk open. */
  private assertRight(target: ExportTarget, probe: ProbeResult, node: string): void {
    const wrong = complaint(target, probe, node);
    if (wrong === null) return;
    throw servesAnother(probe, node) ? notTheDevice(target.devicePath, wrong) : unhealthy(wrong);
  }

  private async lastTarget(name: string): Promise<string | null> {
    return (await this.links.read(name)) ?? this.nbdClients.lastTarget(name);
  }

  /**
   * Once, repeated until it works: the program, leftovers of a crash. Each time: keys, and somebody who
   * accepts. Throws EXPORT_SERVER_UNHEALTHY.
   */
  private async prepare(): Promise<void> {
    const { tls, tlsDir } = this.options;
    if (tls !== 'off')
      await readTlsClient(tlsDir).catch((error: unknown) => {
        throw unhealthy(`TLS has no keys: ${messageOf(error)}`, error);
      });
    this.prepared ??= this.prepareOnce().catch((error: unknown) => {
      this.prepared = null;
      throw error;
    });
    await this.prepared;
    await this.holder.ensureRunning();
  }

  private async prepareOnce(): Promise<void> {
    const { binary, logger } = this.options;
    const { stdout } = await run(binary, ['--version'], { timeout: LIMITS.NBD_HANDSHAKE_TIMEOUT_MS }).catch(
      (error: unknown) => {
        throw unhealthy(`${binary} is not installed (apt-get install nbdkit)`, error);
      },
    );
    this.version = /\d+\.\d+(?:\.\d+)?/.exec(stdout)?.[0] ?? null;
    const removed = await this.links.sweep();
    if (removed.length > 0) logger.warn('Export links that led nowhere were removed', { removed });
  }

  private async look(): Promise<ExportServerHealth> {
    if (this.version === null) await this.prepare();
    await this.holder.revive();
    return {
      status: 'healthy',
      message: `nbdkit ${this.version ?? '?'} on port ${this.port}, a process for each client`,
      version: this.version,
      pid: await this.holder.pid(),
      staleUntilRestart: 0,
    };
  }
}

function holderArguments(options: NbdkitOptions): string[] {
  return [
    `--nbdkit=${options.binary}`,
    `--tls=${options.tls}`,
    `--tls-dir=${options.tlsDir}`,
    `--max-connections=${options.maxConnections}`,
    `--max-per-export=${options.maxPerExport}`,
    `--handshake-ms=${options.handshakeMs}`,
  ];
}
