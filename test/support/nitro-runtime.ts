import { fileURLToPath } from 'node:url';

interface Task {
  run(event: { name: string; payload: object; context: object }): Promise<{ result?: unknown }>;
}

const running = new Map<string, Promise<{ result?: unknown }>>();

/**
 * Stands in for `nitropack/runtime`, which only exists inside a build: tasks by name from the folder tasks/,
 * one run of a name at a time, the second caller handed the result of the first, as Nitro does it.
 */
export const nitroRuntime = {
  defineTask: (task: Task): Task => task,
  runTask: async (name: string, { payload = {} }: { payload?: object } = {}) => {
    const already = running.get(name);
    if (already) return already;
    const file = fileURLToPath(new URL(`../../tasks/${name.replace(':', '/')}.ts`, import.meta.url));
    const { default: task }: { default: Task } = await import(file);
    const run = task.run({ name, payload, context: {} }).finally(() => running.delete(name));
    running.set(name, run);
    return run;
  },
};
