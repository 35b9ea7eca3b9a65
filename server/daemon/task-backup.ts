import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';

/** The scheduled tasks of nitro.config.ts, and ms between two runs of each. */
export const TASK_PERIODS_MS = {
  'devices:poll': 2_000,
  'sync:reconcile': 5_000,
  'operations:sweep': 30_000,
  'history:prune': 3_600_000,
} as const;
export type TaskName = keyof typeof TASK_PERIODS_MS;
const TASKS = Object.keys(TASK_PERIODS_MS) as TaskName[];

/**
 * Keeps the scheduled tasks going while their schedule is silent. It goes by the wall clock: set
 * back by two hours, it would run nothing for two hours. Until the clock has caught up, the tasks
 * run by the monotonic one.
 *
 * @example
 * const backup = new TaskBackup(systemClock, (task) => void runTask(task));
 * everySecond(() => backup.tick());
 */
export class TaskBackup {
  /** The latest wall clock ms seen: up to then the schedule has had its runs. */
  private latest: number;
  /** Monotonic ms of the last run that the schedule did not make. */
  private readonly ranAt = new Map<TaskName, number>();

  constructor(
    private readonly clock: Pick<Clock, 'now' | 'monotonic'>,
    private readonly run: (task: TaskName) => void,
  ) {
    this.latest = clock.now();
  }

  tick(): void {
    const now = this.clock.now();
    if (now >= this.latest - LIMITS.CLOCK_STEP_MS) {
      this.latest = Math.max(this.latest, now);
      return;
    }
    const at = this.clock.monotonic();
    for (const task of TASKS) {
      if (at - (this.ranAt.get(task) ?? Number.NEGATIVE_INFINITY) < TASK_PERIODS_MS[task]) continue;
      this.ranAt.set(task, at);
      this.run(task);
    }
  }
}
