import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runDatabaseFaults, textOfDatabaseFaults } from './load/database-faults';
import { Rig } from './rig';

/** Each of the 18 kinds twice. */
const FAULTS = 36;
const SEED = Number(process.env.DATABASE_FAULTS_SEED ?? 1);
const CLIENTS = 8;

let rig: Rig;

beforeAll(async () => {
  rig = await Rig.begin({ env: { NBD_BACKEND: 'none' } });
});
afterAll(() => rig?.close());

describe('the database misbehaves under load', () => {
  it(
    `${FAULTS} faults of every kind: nothing lost, nothing doubled, and it works again by itself`,
    async () => {
      const report = await runDatabaseFaults(rig, { faults: FAULTS, seed: SEED, clients: CLIENTS });
      console.log(textOfDatabaseFaults(report));
      expect(report.wrong).toEqual([]);
      // Generous: the machine may be busy. The goal is in the printed line.
      expect(report.recovered.max).toBeLessThan(60_000);
    },
    15 * 60_000,
  );
});
