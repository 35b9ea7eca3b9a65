import type { Clock } from '../runtime/clock';
import { LIMITS } from '../runtime/limits';
import type { Logger } from '../runtime/logger';
import type { ProbeResult } from './export-server';
import { type NbdAddress, probeExport } from './handshake';
import { type Connection, childrenOf, connectionsTo, type ServerProgram } from './process-table';

/**
 * Who is connected to nbd-server. Our own probes are clients too, for a moment: they and the counting wait for each other, so that
 * a detach is never refused because of ourselves.
 */
export class ConnectionCounter {
  readonly figures = { probes: 0, probeFailures: 0 };
  private readonly probing = new Set<Promise<unknown>>();
  private counting: Promise<unknown> = Promise.resolve();
  /** Where withdrawn exports led, until another export takes the device: their clients may still be there. */
  private readonly last = new Map<string, string>();

  constructor(
    private readonly program: ServerProgram,
    private readonly address: NbdAddress,
  ) {}

  /** One handshake. Never throws. */
  async probe(name: string): Promise<ProbeResult> {
    await this.counting;
    const probe = probeExport(this.address, name);
    this.probing.add(probe);
    const result = await probe.finally(() => this.probing.delete(probe));
    this.figures.probes += 1;
    if (!result.ok) this.figures.probeFailures += 1;
    return result;
  }

  /** Clients connected to a device. */
  to(target: string): Promise<Connection[]> {
    return this.without(() => connectionsTo(target, this.program));
  }

  /** Is anybody connected to anything, other people's exports included? */
  async any(parent: number): Promise<boolean> {
    return (await this.without(() => childrenOf(parent, this.program))).length > 0;
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
    const deadline = clock.monotonic() + LIMITS.EXPORT_RELOAD_SETTLE;
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
      await clock.sleep(LIMITS.NBD_START_POLL);
    }
  }

  private async without<T>(count: () => Promise<T>): Promise<T> {
    const turn = this.counting.then(async () => {
      await Promise.all(this.probing);
      return count();
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
