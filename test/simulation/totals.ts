import { type Outcome, runSchedule } from './schedule';
import { earlierScriptOf, scriptOf } from './script';

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

/** Which schedules to run, and what of them counts. */
export interface Order {
  readonly from: number;
  readonly count: number;
  /** No further than the first violation. */
  readonly stopAtFirst?: boolean;
  /**
   * Promises whose violations are not told: those of a schedule that has broken one of them
   * before another are lost.
   */
  readonly ignored?: readonly string[];
  /** As the schedules of these seeds were before lists could be old. */
  readonly isEarlier?: boolean;
}

/** The schedules of an order, one after the other in this process. */
export async function runSeeds(order: Order): Promise<Totals> {
  const { from, count, stopAtFirst = false, ignored = [] } = order;
  const script = order.isEarlier === true ? earlierScriptOf : scriptOf;
  const totals = noTotals();
  const before = process.cpuUsage();
  for (let seed = from; seed < from + count; seed += 1) {
    addOutcome(totals, seed, await runSchedule(script(seed)), ignored);
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

function addOutcome(totals: Totals, seed: number, outcome: Outcome, ignored: readonly string[]): void {
  totals.schedules += 1;
  totals.events += outcome.events;
  totals.time += outcome.time;
  addCounts(totals.struck, outcome.struck);
  addCounts(totals.checks, outcome.checks);
  const { violation } = outcome;
  if (!violation || ignored.includes(violation.invariant) || totals.found.length >= FOUND_MAX) return;
  totals.found.push({ seed, ...violation });
}

function addCounts(sum: Record<string, number>, more: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(more)) sum[name] = (sum[name] ?? 0) + count;
}
