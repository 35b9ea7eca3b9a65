import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bench, openBench } from './crash/bench';
import { runCrashPoints } from './crash/run';

const APPLIANCES = 2;
/** `npm run faults -- points` dies at all of them. An odd number: before and after take turns. */
const ONE_OF = 5;

let benches: Bench[] = [];

beforeAll(async () => {
  benches = await Promise.all(Array.from({ length: APPLIANCES }, openBench));
});
afterAll(() => Promise.all(benches.map(({ rig }) => rig.close())));

describe('kill -9 at every boundary', () => {
  it(
    'before and after every journal write and every changing call of every operation: the end is that of an uninterrupted run',
    async () => {
      const { lines, points, covered, wrong, missed } = await runCrashPoints(benches, {
        questions: false,
        oneOf: ONE_OF,
      });
      console.log(lines.join('\n'));
      expect(wrong).toEqual([]);
      expect(missed).toEqual([]);
      expect(points).toBeGreaterThan(60);
      expect(covered).toBe(points);
    },
    20 * 60_000,
  );
});
