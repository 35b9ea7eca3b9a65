import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Mutant } from './mutants';
import { ROOT, runPool } from './pool';
import type { Found } from './totals';

export interface Verdict {
  readonly mutant: Mutant;
  readonly found: Found | null;
  /** Schedules until it was found. */
  readonly schedules: number;
}

/** What a schedule is made of: everything that is imported on the way, and how. */
const COPIED = ['server', 'lab', 'test/simulation', 'package.json', 'tsconfig.json'];

/** A replaced piece of code that does not work at all breaks this one, and nothing is shown by it. */
const NOT_WORKING = 'no-programming-error';

/**
 * Runs schedules against a copy of the repository with the fault in it, its own seed first, until one of them
 * breaks a promise: another one than that there is no programming error, unless the fault means that.
 */
export async function hunt(
  mutant: Mutant,
  options: { from: number; count: number; processes: number },
): Promise<Verdict> {
  const root = await mkdtemp(join(tmpdir(), 'volume-mutant-'));
  try {
    for (const path of COPIED) await cp(join(ROOT, path), join(root, path), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    await plant(root, mutant);
    const ignored = mutant.isProgrammingError === true ? [] : [NOT_WORKING];
    const one = { from: mutant.seed, count: 1, processes: 1, root, ignored };
    // As it was found, and with what has joined since.
    for (const isEarlier of [true, false]) {
      const { found } = await runPool({ ...one, isEarlier });
      if (found[0]) return { mutant, found: found[0], schedules: 1 };
    }
    const totals = await runPool({ ...options, root, stopAtFirst: true, ignored });
    return { mutant, found: totals.found[0] ?? null, schedules: totals.schedules };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Throws when the code has changed so that the fault has no place any more. */
async function plant(root: string, { name, file, find, replace }: Mutant): Promise<void> {
  const path = join(root, file);
  const text = await readFile(path, 'utf8');
  if (text.split(find).length !== 2)
    throw new Error(`mutant ${name}: ${file} must contain this exactly once: ${find}`);
  await writeFile(
    path,
    text.replace(find, () => replace),
  );
}

export function verdictText({ mutant, found, schedules }: Verdict): string {
  const what = found ? `seed ${found.seed} breaks ${found.invariant}` : `NOT FOUND in ${schedules} schedules`;
  return `${found ? '✓' : '✗'} ${mutant.name.padEnd(26)} ${what.padEnd(48)} ${mutant.what}\n`;
}
