import type { ProbeResult } from '../export-server';
import { type NbdAddress, type ProbeOptions, probeExport } from './handshake';

/**
 * Our own handshakes are clients too, for a moment: they and whatever counts or removes clients wait for each
 * other, so that nothing is ever refused because of ourselves.
 */
export class Probes {
  readonly figures = { probes: 0, probeFailures: 0 };
  private readonly probing = new Set<Promise<unknown>>();
  private counting: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly address: NbdAddress,
    private readonly options: ProbeOptions = {},
  ) {}

  /** One handshake; with `proof` it looks which disk the server has open for it. Never throws. */
  async probe(name: string, { proof = false } = {}): Promise<ProbeResult> {
    await this.counting;
    const { inspect: _, ...plain } = this.options;
    const probe = probeExport(this.address, name, proof ? this.options : plain);
    this.probing.add(probe);
    const result = await probe.finally(() => this.probing.delete(probe));
    this.figures.probes += 1;
    if (!result.ok) this.figures.probeFailures += 1;
    return result;
  }

  /** Runs `work` while no handshake of ours is under way; one after another. */
  without<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.counting.then(async () => {
      await Promise.all(this.probing);
      return work();
    });
    this.counting = turn.catch(() => undefined);
    return turn;
  }
}
