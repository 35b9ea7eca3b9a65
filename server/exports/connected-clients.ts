import { basename } from 'node:path';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { ClientState } from '../devices/device';
import { processIdentity } from '../devices/sysfs/kernel-files';
import { end, openNodes, pids } from '../devices/sysfs/process-table';
import { type Connection, connectionsOf, type Program, processBehind } from '../devices/sysfs/socket-table';
import type { ExportClients, ProbeResult } from './export-server';
import { probeExport, type ReadTls } from './protocol/handshake';

/**
 * Who is connected to an export server that gives each client a process of its own. Our own handshakes are
 * clients too, for a moment: they and whatever counts or removes clients wait for each other, so that nothing
 * is ever refused because of ourselves.
 */
export class ConnectedClients {
  readonly figures = { probes: 0, probeFailures: 0 };
  private readonly probing = new Set<Promise<unknown>>();
  private counting: Promise<unknown> = Promise.resolve();
  /** A connection that has been greeted, or will be, and waits for the name of an export. */
  private standby: {
    readonly port: number;
    /** null: ends it. */
    readonly ask: (name: string | null) => void;
    readonly answer: Promise<ProbeResult>;
  } | null = null;

  constructor(
    /** The processes that serve clients of ours. */
    private readonly serving: Program,
    private readonly host: string,
    private readonly tls: ReadTls = null,
  ) {}

  /** One handshake. Never throws. */
  async probe(name: string, port: number): Promise<ProbeResult> {
    return this.count(await this.connect(name, port));
  }

  /**
   * One handshake that also finds out which disk the server has open for it. A connection that stands by for
   * it is used; where that leads to nothing, another one decides. Never throws.
   */
  async prove(name: string, port: number): Promise<ProbeResult> {
    const { standby } = this;
    if (standby?.port === port) {
      standby.ask(name);
      const result = await standby.answer;
      if (result.ok) return this.count(result);
    }
    return this.count(await this.connect(name, port, { inspects: true }));
  }

  /**
   * Something will be proved in a moment: the server starts a process for us and greets, which takes longer
   * than all that follows. It is asked for nothing, so it has no disk open.
   */
  standBy(port: number): void {
    if (this.standby !== null) return;
    let ask: (name: string | null) => void = () => {};
    const asked = new Promise<string | null>((resolve) => {
      ask = (name) => {
        clearTimeout(timer);
        this.standby = null;
        resolve(name);
      };
    });
    const timer = setTimeout(() => ask(null), LIMITS.NBD_STANDBY_MS).unref();
    this.standby = { port, ask, answer: this.connect(asked, port, { inspects: true }) };
  }

  private count(result: ProbeResult): ProbeResult {
    this.figures.probes += 1;
    if (!result.ok) this.figures.probeFailures += 1;
    return result;
  }

  private async connect(
    name: string | Promise<string | null>,
    port: number,
    { inspects = false } = {},
  ): Promise<ProbeResult> {
    await this.counting;
    const earlier = new Set(inspects ? pids() : []);
    const inspect = async (clientPort: number) => {
      const pid = await processBehind(this.serving, port, clientPort, earlier);
      return () => (pid === null ? null : openNodes(pid));
    };
    let parting: Promise<void> | undefined;
    const probe = probeExport({ host: this.host, port }, name, {
      tls: this.tls,
      ...(inspects && { inspect }),
      // Nobody but those who count clients has to wait until the server has hung up.
      onParting: (end) => {
        parting = end;
      },
    });
    const gone = probe.then(() => parting).finally(() => this.probing.delete(gone));
    this.probing.add(gone);
    return probe;
  }

  /** The processes of all connections (`processIdentity`). */
  async processes(): Promise<ReadonlyMap<string, ClientState>> {
    const all = await this.connections();
    return new Map(all.map(({ pid, state }) => [processIdentity('/proc', pid), state]));
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
  async cut(name: string, target: string, clock: Clock, logger: Logger): Promise<void> {
    const deadline = clock.monotonic() + LIMITS.EXPORT_RELOAD_SETTLE_MS;
    const ended = new Set<number>();
    for (;;) {
      const left = await this.connections(target);
      if (left.length === 0 || clock.monotonic() > deadline) return;
      for (const { pid, peer } of left) {
        if (ended.has(pid)) continue;
        ended.add(pid);
        logger.warn('NBD client disconnected by force', { export: name, pid, peer });
        end(pid);
      }
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
  }

  /** To one device, or to all of them. Never one of our own handshakes, unless its process still ends. */
  private connections(target?: string): Promise<Connection[]> {
    const turn = this.counting.then(async () => {
      this.standby?.ask(null);
      await Promise.all(this.probing);
      return connectionsOf(this.serving, target);
    });
    this.counting = turn.catch(() => undefined);
    return turn;
  }
}
