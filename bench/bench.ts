import type { Distribution } from './measure';
import { distribution } from './measure';

/** One measured value. */
export interface Figure {
  readonly suite: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The goal, as a bound on the value; null where there is none. */
  readonly goal: Goal | null;
  readonly detail: string;
}

export interface Goal {
  readonly bound: '≤' | '≥';
  readonly value: number;
}

export const atMost = (value: number): Goal => ({ bound: '≤', value });
export const atLeast = (value: number): Goal => ({ bound: '≥', value });

export function isReached({ value, goal }: Figure): boolean {
  if (goal === null) return true;
  return goal.bound === '≤' ? value <= goal.value : value >= goal.value;
}

/** What a suite tells its results to. */
export class Bench {
  readonly figures: Figure[] = [];

  constructor(
    readonly suite: string,
    /** Fewer rows and rounds: to see that a suite runs, not to trust its figures. */
    readonly quick: boolean,
  ) {}

  /** Says on stderr what is going on. */
  progress(text: string): void {
    process.stderr.write(`▸ ${this.suite}: ${text}\n`);
  }

  add(what: string, value: number, unit: string, goal: Goal | null = null, detail = ''): void {
    this.figures.push({ suite: this.suite, what, value, unit, goal, detail });
  }

  /** Median and 99th percentile of times in ms; the first goal is one on the latter. */
  addTimes(
    what: string,
    samples: readonly number[],
    goal: Goal | null = null,
    goalOfMedian: Goal | null = null,
  ): Distribution {
    const times = distribution(samples);
    const { n, p50, p99, min, max } = times;
    this.add(`${what}, p50`, p50, 'ms', goalOfMedian, `n=${n}, ${min.toFixed(2)}–${max.toFixed(2)}`);
    this.add(`${what}, p99`, p99, 'ms', goal);
    return times;
  }
}

export interface Suite {
  readonly name: string;
  /** One line for --help. */
  readonly about: string;
  /** Runs only when it is named: it takes long. */
  readonly onDemand?: boolean;
  run(bench: Bench): Promise<void>;
}
