import { type Outcome, runSchedule } from './schedule';
import { scriptOf } from './script';

export interface Found {
  readonly seed: number;
  readonly invariant: string;
  readonly message: string;
}

/** What many schedules come to. */
export interface Totals {
  schedules: number;
  events: number;
  /** Virtual ms. */
  time: number;
  /** Seconds of CPU. */
  cpu: number;
  /** Mishaps that struck, by kind. */
  readonly struck: Record<string, number>;
  /** How often each promise was put to the test. */
  readonly checks: Record<string, number>;
  readonly found: Found[];
}

/** Violations that are kept; more of them say nothing more. */
const FOUND_MAX = 100;

export function noTotals(): Totals {
  return { schedules: 0, events: 0, time: 0, cpu: 0, struck: {}, checks: {}, found: [] };
}

/**
 * Schedules `from` … `from + count − 1`, one after the other in this process; with `stopAtFirst` no further
 * than the first violation.
 */
export async function runSeeds(from: number, count: number, stopAtFirst = false): Promise<Totals> {
  const totals = noTotals();
  const before = process.cpuUsage();
  for (let seed = from; seed < from + count; seed += 1) {
    addOutcome(totals, seed, await runSchedule(scriptOf(seed)));
    if (stopAtFirst && totals.found.length > 0) break;
  }
  const { user, system } = process.cpuUsage(before);
  totals.cpu = (user + system) / 1e6;
  return totals;
}

export function addTotals(sum: Totals, more: Totals): void {
  sum.schedules += more.schedules;
  sum.events += more.events;
  sum.time += more.time;
  sum.cpu += more.cpu;
  addCounts(sum.struck, more.struck);
  addCounts(sum.checks, more.checks);
  sum.found.push(...more.found.slice(0, FOUND_MAX - sum.found.length));
}

function addOutcome(totals: Totals, seed: number, outcome: Outcome): void {
  totals.schedules += 1;
  totals.events += outcome.events;
  totals.time += outcome.time;
  addCounts(totals.struck, outcome.struck);
  addCounts(totals.checks, outcome.checks);
  if (outcome.violation && totals.found.length < FOUND_MAX) totals.found.push({ seed, ...outcome.violation });
}

function addCounts(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
}
