// npm run audit: known vulnerabilities (high or worse) in the dependencies of the running daemon. A
// registry without advisories (a mirror, or none at all) is reported and is no failure: nothing was
// checked.
import { spawnSync } from 'node:child_process';
import { root } from './setup.mjs';

const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: root, encoding: 'utf8' });

/** @returns {Record<string, number> | null} severity → number of packages */
function counts() {
  try {
    return JSON.parse(stdout).metadata?.vulnerabilities ?? null;
  } catch {
    return null;
  }
}

const found = counts();
if (found === null) {
  process.stdout.write('audit: the registry gives no advisories; nothing was checked\n');
} else {
  const { total = 0, high = 0, critical = 0 } = found;
  process.stdout.write(`audit: ${total} packages with known holes, ${high} high, ${critical} critical\n`);
  if (high + critical > 0) {
    spawnSync('npm', ['audit', '--omit=dev'], { cwd: root, stdio: 'inherit' });
    process.exit(1);
  }
}
