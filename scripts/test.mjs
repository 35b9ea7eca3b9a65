// npm test: sets up what is missing, then runs vitest with the given arguments: npm test -- test/unit/devices
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare, root, TEST_PROGRAMS } from './setup.mjs';

prepare(TEST_PROGRAMS);
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const folder = mkdtempSync(join(tmpdir(), 'volume-test-'));
const report = join(folder, 'report.json');
const skips = join(root, 'scripts', 'skips.mjs');
const reporters = [
  '--reporter=default',
  `--reporter=${skips}`,
  '--reporter=json',
  `--outputFile.json=${report}`,
];
const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
child.on('exit', (code) => {
  closingLine();
  rmSync(folder, { recursive: true, force: true });
  process.exit(code ?? 1);
});

/** One plain line at the end of the log, for people and programs. */
function closingLine() {
  if (!existsSync(report)) return;
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
  process.stdout.write(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped\n`);
}
