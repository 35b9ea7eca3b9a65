import { expect, it } from 'vitest';
import nitroConfig from '~/nitro.config';
import { TASK_PERIODS_MS, TaskBackup, type TaskName } from '~/server/daemon/task-backup';
import { ManualClock } from '../devices/manual-clock';

const HOUR_MS = 3_600_000;

function backup() {
  const clock = new ManualClock();
  const runs: TaskName[] = [];
  const tasks = new TaskBackup(clock, (task) => runs.push(task));
  return {
    clock,
    runs,
    /** So many ms pass, with a look every second. */
    pass: async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 1_000) {
        await clock.advance(1_000);
        tasks.tick();
      }
    },
  };
}

it('leaves the tasks to their schedule while the clock goes on, slewed or set forward', async () => {
  const { clock, runs, pass } = backup();
  await pass(HOUR_MS);
  clock.set(-1_500);
  await pass(10_000);
  clock.set(400 * 24 * HOUR_MS);
  await pass(HOUR_MS);
  expect(runs).toEqual([]);
});

it('runs each task in its own time after the clock was set back, until it has caught up', async () => {
  const { clock, runs, pass } = backup();
  await pass(10_000);
  clock.set(-60_000);
  await pass(50_000);
  const counts = Object.fromEntries(Object.keys(TASK_PERIODS_MS).map((task) => [task, 0]));
  for (const task of runs) counts[task] = (counts[task] ?? 0) + 1;
  expect(counts).toEqual({
    'devices:poll': 25,
    'sync:reconcile': 10,
    'operations:sweep': 2,
    'history:prune': 1,
  });
  await pass(10_000);
  runs.length = 0;
  await pass(HOUR_MS);
  expect(runs).toEqual([]);
});

it('knows every scheduled task', () => {
  const scheduled = Object.values(nitroConfig.scheduledTasks ?? {}).flat();
  expect(scheduled.sort()).toEqual(Object.keys(TASK_PERIODS_MS).sort());
});
