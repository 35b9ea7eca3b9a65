import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { '~': fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '') } },
  test: {
    include: ['test/**/*.test.ts'],
    // A hang is a failure with a name, not a stuck run. Nothing asserts a duration.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // vitest's own second is short on a machine with other work: what is waited for comes, or the test has a name.
    expect: { poll: { timeout: 30_000, interval: 25 } },
    pool: 'forks',
    // By default one on two processors; most files wait for servers most of the time.
    maxWorkers: 2,
  },
});
