import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ADMINISTERED_FROM, ADMINISTRATIONS } from './administrators';
import { GUEST_MISHAPS } from './guest-trouble';
import { MUTANTS } from './mutants';
import { hunt, verdictText } from './plant';
import { runPool } from './pool';
import { toText } from './report';
import { RESTARTED_FROM, RESTARTS } from './restarts';
import { runSchedule } from './schedule';
import { earlierScriptOf, firstScriptOf, MISHAPS, scriptOf } from './script';
import { parseReplay, shrink } from './shrink';

const SCHEDULES = 10_000;
/** Of those with administrators. */
const ADMINISTERED = 1_000;
/** Of those with restarts after which little is as it was. */
const RESTARTED = 100;
/** Schedules that have broken a promise once, each long after the first 10,000. */
const FOUND = [
  352, 114408, 118148, 128290, 141300, 166530, 182291, 183944, 214244, 217941, 222479, 253114, 348204, 456917,
  463943, 978428, 1010752, 1045084, 1078458, 2006591, 5069847, 5125741, 5163113, 6071795, 6087657, 20069949,
  30006802, 30035828, 30013082, 30059176, 40012224, 40011957, 40025246, 43126315, 80109333, 90041605,
  90047612, 93058628, 95021944, 130263, 140191, 7700283, 55500123, 56000124, 6100011, 6100058, 6100079,
  6300171, 6300392, 8101122, 41179, 42037, 194131, 603043, 609014, 705001, 706098, 820858, 1_000_001_392,
  2_000_000_003, 2_000_000_010, 2_000_010_452,
];
/** Within which every mutant is found (docs/proofs/simulation.md). */
const HUNT = 4_000;
/** ms; the slowest machine is meant. */
const PATIENCE_MS = 1_800_000;

describe('deterministic simulation', () => {
  it('the same seed is the same schedule with the same outcome, to the last event', async () => {
    const first = await runSchedule(scriptOf(7), { trace: true });
    const second = await runSchedule(scriptOf(7), { trace: true });
    expect(second.events).toBeGreaterThan(100);
    expect(second).toEqual(first);
  });

  it('a replay keeps the items that it names', () => {
    const whole = parseReplay('7');
    expect(whole).toEqual(scriptOf(7));
    expect(parseReplay('7:0,2').items).toEqual([whole.items[0], whole.items[2]]);
    expect(() => parseReplay('seven')).toThrow(RangeError);
  });

  it('shrinking a schedule that breaks nothing ends', async () => {
    expect((await shrink(7, 'nothing')).outcome.violation).toBeNull();
  });

  it.each(FOUND)('schedule %i, which has broken a promise once, breaks none', async (seed) => {
    // As it was found, and with what has joined since.
    for (const script of [firstScriptOf(seed), earlierScriptOf(seed), scriptOf(seed)])
      expect((await runSchedule(script)).violation).toBeNull();
  });

  it(`${SCHEDULES} schedules break no promise`, { timeout: PATIENCE_MS }, async () => {
    const begun = performance.now();
    const totals = await runPool({ from: 1, count: SCHEDULES, processes: availableParallelism() });
    process.stdout.write(toText(totals, (performance.now() - begun) / 1000));
    expect(totals.found).toEqual([]);
    expect(totals.schedules).toBe(SCHEDULES);
    expect(totals.checks['no-refusal-by-an-old-read']).toBeGreaterThan(0);
    for (const kind of [...MISHAPS, ...GUEST_MISHAPS]) expect(totals.struck[kind], kind).toBeGreaterThan(0);
  });

  it(`${ADMINISTERED} schedules with administrators break no promise`, { timeout: PATIENCE_MS }, async () => {
    const range = { from: ADMINISTERED_FROM, count: ADMINISTERED };
    const totals = await runPool({ ...range, processes: availableParallelism() });
    expect(totals.found).toEqual([]);
    expect(totals.checks['what-can-be-kept-is-not-expunged']).toBeGreaterThan(0);
    for (const kind of ADMINISTRATIONS)
      expect(totals.struck[`administrator-${kind}`], kind).toBeGreaterThan(0);
  });

  it(`${RESTARTED} schedules with such restarts break no promise`, { timeout: PATIENCE_MS }, async () => {
    const totals = await runPool({ from: RESTARTED_FROM, count: RESTARTED, processes: 1 });
    expect(totals.found).toEqual([]);
    for (const kind of RESTARTS) expect(totals.struck[kind], kind).toBeGreaterThan(0);
  });

  it.each(MUTANTS)('finds $name: $what', { timeout: PATIENCE_MS }, async (mutant) => {
    const verdict = await hunt(mutant, { from: 1, count: HUNT, processes: 1 });
    process.stdout.write(verdictText(verdict));
    expect(verdict.found).not.toBeNull();
  });
});
