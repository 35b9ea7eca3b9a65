import { AsyncLocalStorage } from 'node:async_hooks';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/*
 * Stops a piece of work for ever before one of its steps, as a SIGKILL would: whatever it began to wait for
 * never comes, and it has no further effect. A step is a call that changes files, or a signal. Work outside
 * of `freeze` is not touched, so a "restarted" daemon can run in the same process.
 */

interface Run {
  step: number;
  readonly stopAt: number;
  readonly steps: string[];
  readonly stopped: () => void;
}

const runs = new AsyncLocalStorage<Run>();
const FILE_STEPS = ['mkdir', 'open', 'rename', 'rm', 'symlink', 'unlink'] as const;
const HANDLE_STEPS = ['writeFile', 'sync', 'close'] as const;

/** True when the work must go no further. */
function isStop(what: string): boolean {
  const run = runs.getStore();
  if (!run) return false;
  run.step += 1;
  run.steps.push(what);
  if (run.step < run.stopAt) return false;
  run.stopped();
  return true;
}

const never = new Promise<never>(() => {});

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** Replaces the functions of Node; the returned function puts them back. */
export async function interceptSteps(): Promise<() => void> {
  const undo: (() => void)[] = [];
  const wrap = (owner: object, name: string, before?: (self: unknown, args: unknown[]) => Promise<void>) => {
    const original: Call = Reflect.get(owner, name);
    Reflect.set(owner, name, function (this: unknown, ...args: unknown[]) {
      if (!isStop(name)) return Reflect.apply(original, this, args);
      return (before?.(this, args) ?? Promise.resolve()).then(() => never);
    });
    undo.push(() => Reflect.set(owner, name, original));
  };
  for (const name of FILE_STEPS) wrap(fs.promises, name);
  const handle = await fs.promises.open('/dev/null');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const writeFile: Call = Reflect.get(prototype, 'writeFile');
  // A write that dies has written a part.
  for (const name of HANDLE_STEPS)
    wrap(prototype, name, async (self, [content]) => {
      if (name === 'writeFile' && typeof content === 'string')
        await Reflect.apply(writeFile, self, [content.slice(0, content.length / 2)]);
    });
  // A signal is a step as well; process.kill is synchronous, so the work is stopped by throwing past it for
  // ever.
  const kill = process.kill;
  process.kill = (pid, signal) => {
    if (signal !== 0 && isStop(`kill ${String(signal)}`)) throw new Stopped();
    return kill.call(process, pid, signal);
  };
  undo.push(() => {
    process.kill = kill;
  });
  syncBuiltinESMExports();
  return () => {
    for (const step of undo) step();
    syncBuiltinESMExports();
  };
}

class Stopped extends Error {}

/**
 * Runs work until it ends or reaches step `stopAt` (1 = the first). Returns the steps seen, and whether it
 * was stopped.
 */
export async function freeze(
  stopAt: number,
  work: () => Promise<void>,
): Promise<{ stopped: boolean; steps: readonly string[] }> {
  const steps: string[] = [];
  return new Promise((resolve, reject) => {
    const run: Run = { step: 0, stopAt, steps, stopped: () => resolve({ stopped: true, steps }) };
    runs.run(run, () => {
      work().then(
        () => resolve({ stopped: run.step >= stopAt, steps }),
        (error: unknown) => (run.step >= stopAt ? undefined : reject(error)),
      );
    });
  });
}
