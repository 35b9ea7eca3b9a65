import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from './load/chance';
import { Load } from './load/clients';
import { runKills, textOfKills } from './load/kills';
import { Rig } from './rig';

const KILLS = 12;
const SEED = Number(process.env.KILLS_SEED ?? 1);
const CLIENTS = 20;

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.begin({ direct: true, env: { NBD_BACKEND: 'none' } });
});
afterAll(() => rig?.close());

describe('the process ends under load', () => {
  it(
    `${KILLS} times by kill -9 at random moments: every operation ends, every effect happens once`,
    async () => {
      const report = await runKills(rig, { kills: KILLS, seed: SEED, clients: CLIENTS });
      console.log(textOfKills(report));
      expect(report.wrong).toEqual([]);
      expect(report.operations).toBeGreaterThan(CLIENTS);
    },
    10 * 60_000,
  );

  it(
    'by SIGTERM: it ends with 0 within 10 s, and the next start goes on',
    async () => {
      const load = new Load(rig, CLIENTS);
      await sleep(1_000);
      const begun = performance.now();
      expect(await rig.daemon.stop()).toBe(0);
      const took = performance.now() - begun;
      console.log(
        `SIGTERM under load from ${CLIENTS} clients: ended after ${Math.round(took)} ms (goal ≤ 10000 ms)`,
      );
      await rig.restart();
      expect((await load.end()).wrong).toEqual([]);
    },
    5 * 60_000,
  );
});
