import type { Mutant } from './mutants';
import { runWorkers } from './pool';
import type { Found } from './totals';
import { withWorker } from './worker-bundle';

export interface Verdict {
  readonly mutant: Mutant;
  readonly found: Found | null;
  /** Schedules until it was found. */
  readonly schedules: number;
}

/** A replaced piece of code that does not work at all breaks this one, and nothing is shown by it. */
const NOT_WORKING = 'no-programming-error';

/**
 * Runs schedules against the code with the fault in it, its own seed first, until one of them
 * breaks a promise: another one than that there is no programming error, unless the fault means that.
 */
export function hunt(
  mutant: Mutant,
  options: { from: number; count: number; processes: number },
): Promise<Verdict> {
  const ignored = mutant.isProgrammingError === true ? [] : [NOT_WORKING];
  return withWorker(mutant, async (worker) => {
    const one = { from: mutant.seed, count: 1, processes: 1, ignored };
    // As it was found, and with what has joined since.
    for (const isEarlier of [true, false]) {
      const { found } = await runWorkers(worker, { ...one, isEarlier });
      if (found[0]) return { mutant, found: found[0], schedules: 1 };
    }
    const totals = await runWorkers(worker, { ...options, stopAtFirst: true, ignored });
    return { mutant, found: totals.found[0] ?? null, schedules: totals.schedules };
  });
}

export function verdictText({ mutant, found, schedules }: Verdict): string {
  const what = found ? `seed ${found.seed} breaks ${found.invariant}` : `NOT FOUND in ${schedules} schedules`;
  return `${found ? '✓' : '✗'} ${mutant.name.padEnd(26)} ${what.padEnd(48)} ${mutant.what}\n`;
}
