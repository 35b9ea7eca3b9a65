import { join } from 'node:path';
import type { Clock } from '../core/clock';
import { KeyedMutex } from '../core/concurrency/keyed-mutex';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { programIdentity } from '../core/program-file';
import type { ClientState } from '../devices/device';
import { openAddresses } from '../devices/sysfs/socket-table';
import { volumeIdOf } from '../model/export-name';
import { ClosedExports } from './closed-exports';
import type { ConnectedClients } from './connected-clients';
import { notTheDevice, unhealthy } from './export-errors';
import type { ExportLinks, Places } from './export-links';
import type {
  ConfiguredExport,
  ExportClients,
  ExportFigures,
  ExportServer,
  ExportServerHealth,
  ExportTarget,
  ProbeResult,
} from './export-server';
import { versionOf } from './server-process';
import { WantedExports } from './wanted-exports';

/** What all of them are told. */
export interface LinkedOptions extends Places {
  readonly host: string;
  readonly port: number;
  /** The program that serves clients. */
  readonly binary: string;
  /** systemd's to start, or null: ours. */
  readonly unit: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What was there when a publish began. */
export interface Declared {
  /** The disk that was verified (`nodeKey`). */
  readonly node: string;
  /** The same export was there before. */
  readonly wasThere: boolean;
  /** The server follows our link for this name. */
  readonly trusted: boolean;
}

/** What a look at the server shows. */
type Look = Omit<ExportServerHealth, 'version'>;

/** A handshake for what was declared. */
export type Prove = () => Promise<ProbeResult>;

/**
 * What export servers have in common that open the link of a volume for every client anew and give each
 * client a process of its own. Publish: verify the disk, make the link, prove it by a handshake. Withdraw:
 * remove the link (docs/reference/exports.md).
 */
export abstract class LinkedExports implements ExportServer {
  abstract readonly kind: Exclude<ExportServer['kind'], 'none'>;
  protected readonly byName = new KeyedMutex();
  protected readonly wanted = new WantedExports();
  protected version: string | null = null;
  /** The file that the version is of. */
  private versionFile: string | null = null;
  private readonly closed: ClosedExports;
  private prepared: Promise<void> | null = null;
  private staleUntilRestart = 0;
  /** Where other machines may connect without encryption, and when that was looked at (monotonic ms). */
  private open = { lookedAt: Number.NEGATIVE_INFINITY, addresses: '' };

  protected constructor(
    private readonly common: LinkedOptions,
    protected readonly links: ExportLinks,
    protected readonly nbdClients: ConnectedClients,
  ) {
    this.closed = new ClosedExports(join(common.runDir, 'exports-closed'), links, common.logger);
  }

  get port(): number {
    return this.common.port;
  }

  portOf(_: { readonly readOnly?: boolean }): number {
    return this.port;
  }

  get figures(): ExportFigures {
    return { reloads: 0, restarts: 0, lastRestartMs: null, ...this.nbdClients.figures };
  }

  async publish(target: ExportTarget): Promise<void> {
    const { name, devicePath } = target;
    if (volumeIdOf(name) === null) throw unhealthy(`${name} is not the name of an export`);
    // Before anything is waited for: a withdraw that is called after us must find it.
    const mine = this.wanted.want(target);
    let before: Declared | null = null;
    let seen: ProbeResult | null = null;
    const prove: Prove = async () => {
      seen = await this.nbdClients.prove(name, this.portOf(mine));
      return seen;
    };
    try {
      await this.prepare();
      before = await this.byName.run(name, () => this.declare(mine));
      const probe = await this.serve(mine, before, prove);
      const wrong = complaint(mine, probe, before.node);
      if (servesAnother(probe, before.node)) throw notTheDevice(devicePath, wrong ?? '');
      if (wrong !== null) throw unhealthy(wrong);
      // The server has that very node open. Is it still that disk, and has nobody asked for something else?
      if ((await this.links.verify(mine)) !== before.node)
        throw notTheDevice(devicePath, 'another disk took its place meanwhile');
      this.wanted.assertCurrent(mine);
    } catch (error) {
      await this.undo(mine, before, seen);
      throw error;
    }
  }

  async withdraw(
    name: string,
    { force, published }: { force?: boolean; published?: ExportTarget | null } = {},
  ): Promise<void> {
    if (volumeIdOf(name) === null) return;
    if (published !== undefined && published !== this.wanted.current(name)) return;
    this.wanted.withdraw(name);
    const target = await this.byName.run(name, () => this.shut(name));
    if (force && target !== null)
      await this.nbdClients.cut(name, target, this.common.clock, this.common.logger);
  }

  async list(): Promise<ConfiguredExport[]> {
    return Promise.all(
      (await this.configured()).flatMap((name) => {
        const volumeId = volumeIdOf(name);
        // Read first: a link that is newer than this is not withdrawn by whoever judges it.
        const published = this.wanted.current(name);
        const judged = async (id: string): Promise<ConfiguredExport> => {
          const [target, plug] = await Promise.all([this.links.read(name), this.links.plug(name)]);
          return { name, volumeId: id, target, plug, published };
        };
        return volumeId === null ? [] : [judged(volumeId)];
      }),
    );
  }

  async probe(name: string): Promise<ProbeResult> {
    return this.nbdClients.probe(name, this.portOf({ readOnly: await this.links.isReadOnly(name) }));
  }

  async clients(name: string): Promise<ExportClients> {
    const target = await this.lastTarget(name);
    return target === null ? { connected: [], leaving: [] } : this.nbdClients.describe(target);
  }

  clientProcesses(): Promise<ReadonlyMap<string, ClientState>> {
    return this.nbdClients.processes();
  }

  async health(): Promise<ExportServerHealth> {
    try {
      const health = await this.look();
      this.staleUntilRestart = health.staleUntilRestart;
      return { ...this.withOpenAddresses(await this.withNames(health)), version: this.version };
    } catch (error) {
      const { version, staleUntilRestart } = this;
      return { status: 'unhealthy', message: messageOf(error), version, pid: null, staleUntilRestart };
    }
  }

  /** Says where exports have no second names, and why; degraded where somebody can mend it. */
  private async withNames(health: Look): Promise<Look> {
    const without = await this.links.withoutSecondNames();
    if (without === null) return health;
    const status = health.status === 'healthy' && without.isMendable ? 'degraded' : health.status;
    const message = `${health.message}; the kernel does not close exports of disks that leave, only udev and this daemon do: ${without.reason}`;
    return { ...health, status, message };
  }

  /**
   * Says where other machines may reach what is not encrypted. That may be wanted, on a network of its own.
   */
  private withOpenAddresses(health: Look): Look {
    const { clock, logger } = this.common;
    const now = clock.monotonic();
    if (now - this.open.lookedAt >= LIMITS.NBD_BELIEVED_MS) {
      const addresses = openAddresses(this.clearPorts).join(', ');
      if (addresses !== '' && addresses !== this.open.addresses)
        logger.warn('Other machines may connect to the exports without encryption', { addresses });
      this.open = { lookedAt: now, addresses };
    }
    const { addresses } = this.open;
    if (addresses === '') return health;
    const message = `${health.message}; whoever reaches ${addresses} may read and write the exports, and nothing is encrypted: loopback, a tunnel, or nbdkit with NBD_TLS=require keep others out`;
    return { ...health, message };
  }

  /** The server goes on without us: its clients are in the middle of copying. */
  async close(): Promise<void> {}

  /** Once, repeated until it works. */
  protected abstract prepareOnce(): Promise<void>;

  /** Verifies the disk, and makes whatever a client needs and is certain to lead to that disk only. */
  protected abstract declare(target: ExportTarget): Promise<Declared>;

  /** Makes the server serve what was declared, and returns the last answer to `prove`. */
  protected abstract serve(target: ExportTarget, declared: Declared, prove: Prove): Promise<ProbeResult>;

  /** From here on nobody new gets in, whatever the server remembers. */
  protected abstract remove(name: string): Promise<void>;

  /** Names of exports that are there. */
  protected abstract configured(): Promise<string[]>;

  /** Throws when the server is unhealthy. */
  protected abstract look(): Promise<Look>;

  /** Ports on which clients need neither encryption nor a key. */
  protected abstract get clearPorts(): readonly number[];

  /** Leftovers of a crash, the version, and whatever `prepareOnce` adds. */
  protected prepare(): Promise<void> {
    this.prepared ??= this.prepareFirst().catch((error: unknown) => {
      this.prepared = null;
      throw error;
    });
    return this.prepared;
  }

  private async prepareFirst(): Promise<void> {
    await this.readVersion();
    await this.prepareOnce();
    const removed = await this.links.sweep();
    if (removed.length > 0)
      this.common.logger.warn('Export links that led nowhere were removed', { removed });
  }

  /** The version of the program that is installed now: an upgrade puts another file there. */
  protected async readVersion(): Promise<void> {
    const { binary } = this.common;
    const file = programIdentity(binary);
    if (this.version !== null && file === this.versionFile) return;
    this.version = await versionOf(binary, this.kind);
    this.versionFile = file;
  }

  /**
   * After a failed publish no wrong disk can be served. What was right before stays when the server merely
   * did not answer, and so does what somebody else has published meanwhile.
   */
  private async undo(target: ExportTarget, before: Declared | null, seen: ProbeResult | null): Promise<void> {
    const { name } = target;
    if (!this.wanted.giveUp(target) || before === null || (before.wasThere && !seen?.ok)) return;
    await this.byName
      .run(name, () => this.shut(name))
      .catch((error: unknown) => {
        const reason = messageOf(error);
        this.common.logger.error('A failed publish could not be undone', { export: name, reason });
      });
  }

  /**
   * Removes what lets clients in. Returns the device on which those are who were let in; null where
   * it is the device of another export by now. It is noted first: what fails here is tried again,
   * perhaps by another process.
   */
  private async shut(name: string): Promise<string | null> {
    const link = await this.links.read(name);
    if (link !== null) await this.closed.add(name, link);
    await this.remove(name);
    return this.closed.read(name);
  }

  private async lastTarget(name: string): Promise<string | null> {
    return (await this.links.read(name)) ?? (await this.closed.read(name));
  }
}

/**
 * What is wrong with an answer, in words; null when it is right. `node` is the disk that was verified
 * (`nodeKey`): the process that answered must have that one open. Where the kernel does not show what it has
 * open, name and size have to do.
 */
export function complaint(target: ExportTarget, probe: ProbeResult, node: string): string | null {
  if (!probe.ok) return `export ${target.name}: ${probe.message}`;
  if (probe.readOnly !== (target.readOnly ?? false))
    return `export ${target.name} ${probe.readOnly ? 'is read-only' : 'can be written'}, which was not asked for`;
  if (probe.size !== target.size)
    return `export ${target.name} answers with ${probe.size} bytes instead of ${target.size}`;
  if (servesAnother(probe, node))
    return `export ${target.name} serves another disk than ${target.devicePath} was when it was verified`;
  return null;
}

/** Certain that a wrong disk is behind the name. */
function servesAnother(probe: ProbeResult, node: string): boolean {
  return probe.ok && probe.nodes != null && !probe.nodes.includes(node);
}
