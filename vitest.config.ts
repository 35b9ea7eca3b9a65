import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');

export default defineConfig({
  resolve: { alias: { '~': root } },
  test: {
    // A hang is a failure with a name, not a stuck run. Nothing asserts a duration.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // vitest's own second is short on a machine with other work: what is waited for comes, or the test has a name.
    expect: { poll: { timeout: 30_000, interval: 25 } },
    pool: 'forks',
    // By default one on two processors; most files wait for servers most of the time.
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        // Nothing of these outlives its file: they share the modules they have loaded, which is half of their time.
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false },
      },
      {
        extends: true,
        test: { name: 'system', include: ['test/**/*.test.ts'], exclude: ['test/unit/**'] },
      },
    ],
  },
});
