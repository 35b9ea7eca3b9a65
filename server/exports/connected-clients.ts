import { basename } from 'node:path';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { ClientState } from '../devices/device';
import { processIdentity } from '../devices/sysfs/kernel-files';
import type { ExportClients, ProbeResult } from './export-server';
import { type Connection, connectionsOf, nodesBehind, type Program } from './process-table';
import { type ProbeOptions, probeExport, type ReadTls } from './protocol/handshake';

/**
 * Who is connected to an export server that gives each client a process of its own. Our own handshakes are
 * clients too, for a moment: they and whatever counts or removes clients wait for each other, so that nothing
 * is ever refused because of ourselves.
 */
export class ConnectedClients {
  readonly figures = { probes: 0, probeFailures: 0 };
  private readonly probing = new Set<Promise<unknown>>();
  private counting: Promise<unknown> = Promise.resolve();

  constructor(
    /** The processes that serve clients of ours. */
    private readonly serving: Program,
    private readonly host: string,
    private readonly tls: ReadTls = null,
  ) {}

  /** One handshake. Never throws. */
  async probe(name: string, port: number, inspect?: ProbeOptions['inspect']): Promise<ProbeResult> {
    await this.counting;
    const options = { tls: this.tls, ...(inspect && { inspect }) };
    const probe = probeExport({ host: this.host, port }, name, options);
    this.probing.add(probe);
    const result = await probe.finally(() => this.probing.delete(probe));
    this.figures.probes += 1;
    if (!result.ok) this.figures.probeFailures += 1;
    return result;
  }

  /** One handshake that also finds out which disk the server has open for it. Never throws. */
  prove(name: string, port: number): Promise<ProbeResult> {
    return this.probe(name, port, (clientPort) =>
      nodesBehind(this.serving.binary, { serverPort: port, clientPort }),
    );
  }

  /** The processes of all connections (`processIdentity`). */
  async processes(): Promise<ReadonlyMap<string, ClientState>> {
    const all = await this.connections();
    return new Map(all.map(({ pid, state }) => [processIdentity('/proc', pid), state]));
  }

  /** How many clients are connected in all. */
  async count(): Promise<number> {
    return (await this.connections()).filter(({ state }) => state === 'connected').length;
  }

  /** Who is connected to a device, in words. */
  async describe(target: string): Promise<ExportClients> {
    const found = await this.connections(target);
    const who = ({ pid, peer }: Connection) =>
      `pid ${pid} (${basename(this.serving.binary)})${peer === null ? '' : ` for ${peer}`}`;
    const inState = (wanted: ClientState) => found.filter(({ state }) => state === wanted).map(who);
    return {
      connected: inState('connected'),
      leaving: inState('leaving').map((whose) => `${whose}, which has left`),
    };
  }

  /** Ends the clients of a device and waits until they have let go of it. */
  async cut(
    name: string,
    target: string,
    { clock, logger }: { clock: Clock; logger: Logger },
  ): Promise<void> {
    const deadline = clock.monotonic() + LIMITS.EXPORT_RELOAD_SETTLE_MS;
    const ended = new Set<number>();
    for (;;) {
      const left = await this.connections(target);
      if (left.length === 0 || clock.monotonic() > deadline) return;
      for (const { pid, peer } of left) {
        if (ended.has(pid)) continue;
        ended.add(pid);
        logger.warn('NBD client disconnected by force', { export: name, pid, peer });
        kill(pid);
      }
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
  }

  /** To one device, or to all of them. Never one of our own handshakes, unless its process still ends. */
  private connections(target?: string): Promise<Connection[]> {
    return this.without(() => connectionsOf(this.serving, target));
  }

  /** Runs `work` while no handshake of ours is under way; one after another. */
  private without<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.counting.then(async () => {
      await Promise.all(this.probing);
      return work();
    });
    this.counting = turn.catch(() => undefined);
    return turn;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has left by itself.
  }
}
