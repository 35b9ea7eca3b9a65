import type { Rig } from '../rig';
import { Chance, percentile, sleep } from './chance';
import { Load, type LoadReport } from './clients';

export interface KillsOptions {
  readonly kills: number;
  readonly seed: number;
  readonly clients: number;
  readonly onProgress?: (text: string) => void;
}

export interface KillsReport extends LoadReport {
  readonly kills: number;
  readonly seed: number;
  readonly clients: number;
  /**
   * ms from the start of the process until it owned the appliance again and had taken up what the dead one
   * left.
   */
  readonly resumed: { readonly p50: number; readonly p95: number; readonly max: number };
}

/**
 * ms from a daemon's being ready to its death, the shortest and the longest: half of the lives are short,
 * half let work end.
 */
const LIVES: readonly (readonly [number, number])[] = [
  [0, 700],
  [700, 2_500],
];
/** So many of a hundred deaths come while the daemon is still starting. */
const DURING_START = 15;

/**
 * SIGKILL at random moments under load. The seed decides the moments, not what the machine is doing in them.
 */
export async function runKills(rig: Rig, options: KillsOptions): Promise<KillsReport> {
  const { kills, seed, clients, onProgress = () => {} } = options;
  const chance = new Chance(seed);
  const load = new Load(rig, clients);
  const resumed: number[] = [];
  for (let kill = 1; kill <= kills; kill += 1) {
    await sleep(chance.between(...chance.pick(LIVES)));
    await rig.daemon.kill();
    const early = kill < kills && chance.between(1, 100) <= DURING_START;
    await rig.restart(early ? 'listening' : 'ready');
    if (!early) resumed.push(rig.daemon.readyAfter);
    if (kill % 20 === 0) onProgress(`${kill} of ${kills} kills`);
  }
  const report = await load.end();
  return {
    ...report,
    kills,
    seed,
    clients,
    resumed: {
      p50: percentile(resumed, 50),
      p95: percentile(resumed, 95),
      max: percentile(resumed, 100),
    },
  };
}

export function textOfKills({
  kills,
  seed,
  clients,
  rounds,
  operations,
  wrong,
  resumed,
}: KillsReport): string {
  const ms = (value: number) => `${Math.round(value)} ms`;
  return [
    `random kills: ${kills} kills (seed ${seed}) under load from ${clients} clients: ${operations} operations in ${rounds} rounds, ${wrong.length} wrong`,
    `from start to resumed work: p50 ${ms(resumed.p50)}, p95 ${ms(resumed.p95)}, max ${ms(resumed.max)} (goal p95 ≤ 2000 ms)`,
    ...wrong,
  ].join('\n');
}
