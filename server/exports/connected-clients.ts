import { basename } from 'node:path';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { processIdentity } from '../devices/sysfs/kernel-files';
import type { ProbeResult } from './export-server';
import { type Connection, connectionsTo, nodesBehind, type Program, processesOf } from './process-table';
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

  /** Processes that serve a client of ours at the moment (`processIdentity`), our own handshakes included. */
  async processes(): Promise<ReadonlySet<string>> {
    return new Set((await processesOf(this.serving)).map((pid) => processIdentity('/proc', pid)));
  }

  /** How many clients there are in all. */
  count(): Promise<number> {
    return this.without(async () => (await processesOf(this.serving)).length);
  }

  /** Who is connected to a device, in words. */
  async describe(target: string): Promise<{ count: number; details: string[] }> {
    const found = await this.to(target);
    const details = found.map(
      ({ pid, peer }) =>
        `pid ${pid} (${basename(this.serving.binary)})${peer === null ? '' : ` for ${peer}`}`,
    );
    return { count: found.length, details };
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
      const left = await this.to(target);
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

  private to(target: string): Promise<Connection[]> {
    return this.without(() => connectionsTo(target, this.serving));
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
