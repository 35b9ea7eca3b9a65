import type {
  ConfiguredExport,
  ExportClients,
  ExportServer,
  ExportTarget,
  ProbeResult,
} from '~/server/exports/export-server';
import { WantedExports } from '~/server/exports/wanted-exports';
import { volumeIdOf } from '~/server/model/export-name';

/**
 * An export server that can be wrong in every way (lab/exports/memory-exports.ts, like the real ones,
 * cannot): links that lead to nothing or to another disk, exports that do not answer. Like the real one it
 * opens the target of a link anew for every client, so an export answers with whatever disk its target is
 * now.
 */
export class DriftingExports implements ExportServer {
  readonly kind = 'nbd-server' as const;
  readonly port = 10809;
  /** By export name: where the link leads. */
  readonly links = new Map<string, string | null>();
  /** By export name: the plug that the link names. */
  readonly plugs = new Map<string, number>();
  /** Names that do not answer until they are published again. */
  readonly sick = new Set<string>();
  /** Every change that was asked for, in order. */
  readonly changes: string[] = [];
  private wanted = new WantedExports();

  /** Bytes of the disk at a path, null when there is none. */
  constructor(private readonly sizeAt: (path: string) => Promise<number | null>) {}

  /** The daemon is another process now: what it had published, only the links tell. */
  forget(): void {
    this.wanted = new WantedExports();
  }

  async publish(target: ExportTarget): Promise<void> {
    const { name, devicePath, size } = target;
    this.wanted.want(target);
    this.changes.push(`publish ${name} ${devicePath}`);
    this.links.set(name, devicePath);
    this.sick.delete(name);
    const answer = await this.probe(name);
    if (!answer.ok || answer.size !== size) throw new Error(`${name} does not answer with ${size} bytes`);
  }

  async withdraw(name: string, { published }: { published?: ExportTarget | null } = {}): Promise<void> {
    if (published !== undefined && published !== this.wanted.current(name)) return;
    this.wanted.withdraw(name);
    this.changes.push(`withdraw ${name}`);
    this.links.delete(name);
  }

  async list(): Promise<ConfiguredExport[]> {
    return [...this.links].map(([name, target]) => ({
      name,
      volumeId: volumeIdOf(name) ?? '',
      target,
      plug: this.plugs.get(name) ?? null,
      published: this.wanted.current(name),
    }));
  }

  async probe(name: string): Promise<ProbeResult> {
    const target = this.links.get(name);
    const size = target && !this.sick.has(name) ? await this.sizeAt(target) : null;
    if (size === null) return { ok: false, reason: 'refused', message: 'no such disk', ms: 0 };
    return { ok: true, size, readOnly: false, flush: true, fua: true, ms: 0 };
  }

  async clients(): Promise<ExportClients> {
    return { connected: [], leaving: [] };
  }

  portOf(): number {
    return this.port;
  }

  async clientProcesses() {
    return new Map();
  }

  async health() {
    return {
      status: 'healthy' as const,
      message: 'in memory',
      version: null,
      pid: null,
      staleUntilRestart: 0,
    };
  }

  async close(): Promise<void> {}
}
