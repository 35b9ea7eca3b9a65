import { fileURLToPath } from 'node:url';

interface Task {
  run(event: { name: string; payload: object; context: object }): Promise<{ result?: unknown }>;
}

const running = new Map<string, Promise<{ result?: unknown }>>();

/**
 * Replaces `nitropack/runtime`, which only exists inside a build. As in Nitro, tasks are found by name in the
 * folder tasks/, and a second caller of a running task gets the result of the first.
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
