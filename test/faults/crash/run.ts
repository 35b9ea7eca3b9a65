import { isDeepStrictEqual } from 'node:util';
import { type Outcome, obstacleOf, runBatch, type Trial } from './batch';
import type { Bench } from './bench';
import type { EndState } from './end-state';
import { SCENARIOS, type Scenario } from './scenarios';
import { POLL, type Point, textOf } from './trace';

const AT_ONCE = 7;
const TRIES = 3;

export interface CrashReport {
  readonly lines: readonly string[];
  readonly points: number;
  readonly covered: number;
  /** Ends that differ from those of an uninterrupted run. */
  readonly wrong: readonly {
    scenario: string;
    point: string;
    end: EndState;
    expected: EndState | undefined;
  }[];
  /** Points that were never come to. */
  readonly missed: readonly string[];
}

export interface CrashOptions {
  /** Also at calls that only ask: they leave nothing behind, so the short form does without. */
  readonly questions: boolean;
  /** One of so many points is died at; 1 for all. */
  readonly oneOf: number;
  readonly onProgress?: (text: string) => void;
}

/**
 * One uninterrupted run of every scenario finds the boundaries; then the daemon is killed at each of them,
 * before and after its effect.
 */
export async function runCrashPoints(
  benches: readonly Bench[],
  { questions, oneOf, onProgress = () => {} }: CrashOptions,
): Promise<CrashReport> {
  const dry = await onAll(
    benches,
    SCENARIOS.map((scenario) => ({ scenario, point: null })),
    onProgress,
  );
  const expected = new Map<Scenario, EndState>(dry.map(({ trial, end }) => [trial.scenario, end]));
  const trials = dry
    .flatMap(({ trial: { scenario }, seen }) =>
      pointsOf(seen, questions).map((point) => ({ scenario, point })),
    )
    .filter((_, index) => index % oneOf === 0);
  const outcomes = await onAll(benches, trials, onProgress);
  const named = (trial: Trial) =>
    `${trial.scenario.name}: ${trial.point ? textOf(trial.point) : 'uninterrupted'}`;
  const isWrong = ({ trial, end }: Outcome) => !isDeepStrictEqual(end, expected.get(trial.scenario));
  const lines = SCENARIOS.map((scenario) => {
    const points = trials.filter((trial) => trial.scenario === scenario).length;
    const covered = outcomes.filter(({ trial, hit }) => hit && trial.scenario === scenario).length;
    return `crash points covered ${covered} of ${points}: ${scenario.name}`;
  });
  const covered = outcomes.filter(({ hit }) => hit).length;
  lines.push(`crash points covered ${covered} of ${trials.length} in all`);
  return {
    lines,
    points: trials.length,
    covered,
    wrong: outcomes.filter(isWrong).map(({ trial, end }) => ({
      scenario: trial.scenario.name,
      point: named(trial),
      end,
      expected: expected.get(trial.scenario),
    })),
    missed: outcomes.filter(({ hit }) => !hit).map(({ trial }) => named(trial)),
  };
}

function pointsOf(seen: Outcome['seen'], questions: boolean): Point[] {
  const boundaries = seen.filter(({ what, nth }) => {
    if (!questions && /^call (list|query)/.test(what)) return false;
    // Questions about one job are all alike: the first stands for them.
    return nth === 1 || !what.startsWith(POLL);
  });
  return boundaries.flatMap((boundary) => [
    { ...boundary, moment: 'before' as const },
    { ...boundary, moment: 'after' as const },
  ]);
}

interface Queued {
  readonly trial: Trial;
  readonly tries: number;
}

/**
 * All trials, in batches, on all appliances; what did not come to its point (a poll more or less) is tried
 * again.
 */
async function onAll(
  benches: readonly Bench[],
  trials: readonly Trial[],
  onProgress: (text: string) => void,
): Promise<Outcome[]> {
  // The obstacles first: each needs a batch of its own, which the others fill up.
  const queue: Queued[] = [...trials]
    .sort((a, b) => Number(obstacleOf(b) !== null) - Number(obstacleOf(a) !== null))
    .map((trial) => ({ trial, tries: 0 }));
  const outcomes: Outcome[] = [];
  const work = async (bench: Bench) => {
    for (let batch = take(queue); batch.length > 0; batch = take(queue)) {
      const ended = await runBatch(
        bench,
        batch.map(({ trial }) => trial),
      );
      for (const [index, outcome] of ended.entries()) {
        const tries = (batch[index]?.tries ?? 0) + 1;
        const { trial, hit } = outcome;
        if (trial.point === null || hit || tries >= TRIES) outcomes.push(outcome);
        else queue.push({ trial, tries });
      }
      onProgress(`${outcomes.length} of ${trials.length}`);
    }
  };
  await Promise.all(benches.map(work));
  return outcomes;
}

/** The next batch; trials that would hold up each other go into different ones. */
function take(queue: Queued[]): Queued[] {
  const batch: Queued[] = [];
  const obstacles = new Set<string>();
  for (const one of [...queue]) {
    if (batch.length === AT_ONCE) break;
    const obstacle = obstacleOf(one.trial);
    if (obstacle !== null && obstacles.has(obstacle)) continue;
    if (obstacle !== null) obstacles.add(obstacle);
    batch.push(one);
    queue.splice(queue.indexOf(one), 1);
  }
  return batch;
}
