import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { ProbeResult } from './export-server';
import {
  type ClientProcesses,
  type Connection,
  commandName,
  connectionsTo,
  nodesBehind,
} from './process-table';
import type { NbdAddress, ReadTls } from './protocol/handshake';
import { Probes } from './protocol/probes';

/** Who is connected to an export server that gives each client a process of its own. */
export class ConnectedClients {
  private readonly probes: Probes;
  /** Where withdrawn exports led, until another export takes the device: their clients may still be there. */
  private readonly last = new Map<string, string>();

  constructor(
    private readonly serving: ClientProcesses,
    address: NbdAddress,
    tls: ReadTls = null,
  ) {
    const inspect = (clientPort: number) =>
      nodesBehind(serving.binary, { serverPort: address.port, clientPort });
    this.probes = new Probes(address, { tls, inspect });
  }

  get figures(): Probes['figures'] {
    return this.probes.figures;
  }

  /** One handshake. Never throws. */
  probe(name: string): Promise<ProbeResult> {
    return this.probes.probe(name);
  }

  /** One handshake that also finds out which disk the server has open for it. Never throws. */
  prove(name: string): Promise<ProbeResult> {
    return this.probes.probe(name, { proof: true });
  }

  /** Clients connected to a device. */
  to(target: string): Promise<Connection[]> {
    return this.probes.without(() => connectionsTo(target, this.serving));
  }

  /** Runs `work` while no handshake of ours is under way: ours are clients, too. */
  without<T>(work: () => Promise<T>): Promise<T> {
    return this.probes.without(work);
  }

  /** Who is connected to a device, in words. */
  async describe(target: string): Promise<{ count: number; details: string[] }> {
    const found = await this.to(target);
    const details = found.map(
      ({ pid, peer }) =>
        `pid ${pid} (${commandName(this.serving.binary)})${peer === null ? '' : ` for ${peer}`}`,
    );
    return { count: found.length, details };
  }

  remember(name: string, target: string): void {
    this.last.set(name, target);
  }

  /** Another export gets this device: who is connected to it from now on belongs to that one. */
  forget(target: string): void {
    for (const [name, device] of this.last) if (device === target) this.last.delete(name);
  }

  lastTarget(name: string): string | null {
    return this.last.get(name) ?? null;
  }

  /** Ends the clients of a device and waits until they have let go of it. */
  async cut(name: string, target: string, parts: { clock: Clock; logger: Logger }): Promise<void> {
    const { clock, logger } = parts;
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
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has left by itself.
  }
}
