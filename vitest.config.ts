import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');

/** These replace modules, or count what all of a process shares (its timers, its event loop). */
const OWN_PROCESS = [
  'test/unit/core/every-second.test.ts',
  'test/unit/daemon/event-loop-lag.test.ts',
  'test/unit/devices/torn-look.test.ts',
  'test/unit/house/settings.test.ts',
  'test/unit/http/tasks.test.ts',
];

export default defineConfig({
  resolve: { alias: { '~': root } },
  test: {
    // A hang is a failure with a name, not a stuck run. Nothing asserts a duration.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // vitest's own second is short on a machine with other work: what is waited for comes, or the test has a name.
    expect: { poll: { timeout: 30_000, interval: 25 } },
    pool: 'forks',
    // By default one on two processors; most files wait for servers most of the time.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        // Nothing of these outlives its file: they share the modules they load, which is half of their time.
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: OWN_PROCESS, isolate: false },
      },
      {
        extends: true,
        test: { name: 'others', include: ['test/!(unit)/**/*.test.ts', ...OWN_PROCESS] },
      },
    ],
  },
});
