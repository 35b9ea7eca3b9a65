import { dirname } from 'node:path';
import { DaemonError } from '~/server/core/errors';
import type {
  ConfiguredExport,
  ExportClients,
  ExportFigures,
  ExportServer,
  ExportServerHealth,
  ExportTarget,
  ProbeResult,
} from '~/server/exports/export-server';
import { WantedExports } from '~/server/exports/wanted-exports';
import { volumeIdOf } from '~/server/model/export-name';

/** What lies under a device path at the moment. */
export interface MemoryDisk {
  readonly size: number;
  /** Tells this disk from another one under the same path. */
  readonly key: string;
}

export interface MemoryServerOptions {
  readonly port: number;
  readonly devDir: string;
  /** null when there is no such device, or it is not one (a link). */
  readonly disk: (path: string) => Promise<MemoryDisk | null>;
}

interface Served {
  readonly volumeId: string;
  readonly path: string;
  readonly key: string;
  readonly readOnly: boolean;
}

export interface MemoryClient {
  readonly name: string;
  readonly disk: string;
  cut: boolean;
}

/**
 * An export server that serves nobody outside this process. It outlives the daemons that use it, as a real
 * one does.
 */
export class MemoryServer {
  running = true;
  /** Somebody else listens on the port: the server cannot come back. */
  portTaken = false;
  readonly served = new Map<string, Served>();
  readonly clients = new Set<MemoryClient>();
  starts = 0;

  constructor(readonly options: MemoryServerOptions) {}

  /** A crash: nobody gets in, and who was connected goes on (nbd-server forks a child per client). */
  kill(): void {
    this.running = false;
  }

  revive(): void {
    if (this.running && !this.portTaken) return;
    if (this.portTaken) throw unhealthy(`port ${this.options.port} is taken by another process`);
    this.running = true;
    this.starts += 1;
  }

  /** Which disk a client gets now: that of the volume, or none. */
  async open(name: string): Promise<MemoryDisk | Extract<ProbeResult, { ok: false }>['reason']> {
    if (!this.running || this.portTaken) return 'refused';
    const served = this.served.get(name);
    if (!served) return 'unknown-export';
    const disk = await this.options.disk(served.path);
    return disk?.key === served.key ? disk : 'denied';
  }

  async connect(name: string): Promise<MemoryClient> {
    const disk = await this.open(name);
    if (typeof disk === 'string') throw new Error(disk);
    const client = { name, disk: disk.key, cut: false };
    this.clients.add(client);
    return client;
  }

  hangUp(client: MemoryClient): void {
    this.clients.delete(client);
  }
}

/** The daemon's side of it: what the real backends promise, without processes and files. */
export class MemoryExports implements ExportServer {
  readonly kind = 'nbd-server' as const;
  readonly port: number;
  private readonly counters = { reloads: 0, restarts: 0, probes: 0, probeFailures: 0 };
  private readonly wanted = new WantedExports();
  private chain: Promise<unknown> = Promise.resolve();

  constructor(private readonly server: MemoryServer) {
    this.port = server.options.port;
  }

  portOf(): number {
    return this.port;
  }

  get figures(): ExportFigures {
    return { ...this.counters, lastRestartMs: null };
  }

  publish(target: ExportTarget): Promise<void> {
    this.wanted.want(target);
    return this.inTurn(async () => {
      const { name, volumeId, devicePath, size, readOnly = false } = target;
      if (volumeIdOf(name) === null) throw unhealthy(`${name} is not the name of an export`);
      const disk =
        dirname(devicePath) === this.server.options.devDir
          ? await this.server.options.disk(devicePath)
          : null;
      if (!disk)
        throw new DaemonError('DEVICE_IDENTITY_MISMATCH', `${devicePath} is not exported: it is no device`);
      this.server.revive();
      const before = this.server.served.get(name);
      if (disk.size !== size) {
        this.server.served.delete(name);
        throw unhealthy(`export ${name} answers with ${disk.size} bytes instead of ${size}`);
      }
      if (before?.path === devicePath && before.key === disk.key && before.readOnly === readOnly) return;
      if (!before) this.counters.reloads += 1;
      this.server.served.set(name, { volumeId, path: devicePath, key: disk.key, readOnly });
    });
  }

  withdraw(name: string, options: { force?: boolean; published?: ExportTarget | null } = {}): Promise<void> {
    const { published } = options;
    if (published !== undefined && published !== this.wanted.current(name)) return Promise.resolve();
    this.wanted.withdraw(name);
    return this.inTurn(async () => {
      this.server.served.delete(name);
      if (!options.force) return;
      for (const client of this.server.clients) {
        if (client.name !== name) continue;
        client.cut = true;
        this.server.hangUp(client);
      }
    });
  }

  list(): Promise<ConfiguredExport[]> {
    return this.inTurn(async () =>
      [...this.server.served].map(([name, { volumeId, path }]) => ({
        name,
        volumeId,
        target: path,
        plug: null,
        published: this.wanted.current(name),
      })),
    );
  }

  async probe(name: string): Promise<ProbeResult> {
    const disk = await this.server.open(name);
    this.counters.probes += 1;
    if (typeof disk !== 'string')
      return {
        ok: true,
        size: disk.size,
        readOnly: this.server.served.get(name)?.readOnly ?? false,
        flush: true,
        fua: true,
        ms: 0,
      };
    this.counters.probeFailures += 1;
    return { ok: false, reason: disk, message: `export ${name}: ${disk}`, ms: 0 };
  }

  async clients(name: string): Promise<ExportClients> {
    const connected = [...this.server.clients].filter((client) => client.name === name);
    return { connected: connected.map(({ disk }) => `client of ${disk}`), leaving: [] };
  }

  /** It serves nobody outside this process. */
  async clientProcesses() {
    return new Map();
  }

  async health(): Promise<ExportServerHealth> {
    try {
      this.server.revive();
      return { status: 'healthy', message: 'in memory', version: 'memory', pid: null, staleUntilRestart: 0 };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { status: 'unhealthy', message, version: 'memory', pid: null, staleUntilRestart: 0 };
    }
  }

  async close(): Promise<void> {
    await this.chain;
  }

  /** One after another in the order of the calls. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.chain.then(work);
    this.chain = turn.catch(() => undefined);
    return turn;
  }
}

function unhealthy(reason: string): DaemonError {
  return new DaemonError('EXPORT_SERVER_UNHEALTHY', `The NBD server does not answer as it should: ${reason}`);
}
