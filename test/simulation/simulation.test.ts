import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { runPool } from './pool';
import { toText } from './report';
import { runSchedule } from './schedule';
import { MISHAPS, scriptOf } from './script';
import { parseReplay } from './shrink';

const SCHEDULES = 500;

/** Seeds that have broken a promise once, and what was wrong then. */
const REGRESSIONS: readonly (readonly [replay: string, what: string])[] = [
  ['155', 'a disk vanished while the database was away, and its export led to the next disk of that letter'],
];

describe('deterministic simulation', () => {
  it('the same seed is the same schedule with the same outcome, to the last event', async () => {
    const first = await runSchedule(scriptOf(7), { trace: true });
    const second = await runSchedule(scriptOf(7), { trace: true });
    expect(second.events).toBeGreaterThan(100);
    expect(second).toEqual(first);
  });

  it.each(REGRESSIONS)('seed %s, where %s', async (replay) => {
    expect((await runSchedule(parseReplay(replay))).violation).toBeNull();
  });

  it(`${SCHEDULES} schedules break no promise`, { timeout: 900_000 }, async () => {
    const begun = performance.now();
    const totals = await runPool({ from: 1, count: SCHEDULES, processes: availableParallelism() });
    process.stdout.write(toText(totals, (performance.now() - begun) / 1000));
    expect(totals.found).toEqual([]);
    expect(totals.schedules).toBe(SCHEDULES);
    expect(MISHAPS.length).toBeLessThanOrEqual(Object.keys(totals.struck).length);
  });
});
