import { type Outcome, runSchedule } from './schedule';
import { scriptOf } from './script';
import type { Script } from './script-items';

/** Runs that shrinking may cost. */
const RUNS_MAX = 200;

/** `1234`, or `1234:0,5,7`: the schedule of a seed, or what is left of it. */
export function parseReplay(text: string): Script {
  const match = /^(\d+)(?::([\d,]*))?$/.exec(text.trim());
  if (!match)
    throw new RangeError(`not a schedule: ${text} (a seed, or a seed with the items to keep: 1234:0,5,7)`);
  const script = scriptOf(Number(match[1]));
  if (match[2] === undefined) return script;
  const keep = new Set(
    match[2]
      .split(',')
      .filter((part) => part !== '')
      .map(Number),
  );
  return { ...script, items: script.items.filter((_item, index) => keep.has(index)) };
}

/**
 * The least of a schedule that still breaks the same promise: leaves out what is not needed, in halves first,
 * then one by one. Returns what `--replay` takes.
 */
export async function shrink(
  seed: number,
  invariant: string,
): Promise<{ replay: string; script: Script; outcome: Outcome }> {
  const whole = scriptOf(seed);
  let kept = whole.items.map((_item, index) => index);
  let runs = 0;
  const scriptWith = (indices: readonly number[]) => ({
    ...whole,
    items: whole.items.filter((_item, index) => indices.includes(index)),
  });
  const stillFails = async (indices: readonly number[]) => {
    runs += 1;
    return (await runSchedule(scriptWith(indices))).violation?.invariant === invariant;
  };
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < kept.length && runs < RUNS_MAX; ) {
      const less = [...kept.slice(0, start), ...kept.slice(start + size)];
      if (await stillFails(less)) kept = less;
      else start += size;
    }
  }
  const script = scriptWith(kept);
  const outcome = await runSchedule(script, { trace: true });
  return { replay: `${seed}:${kept.join(',')}`, script, outcome };
}
