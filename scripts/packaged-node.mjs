// The Node that a package "with Node" carries: a long-term release, whatever Node builds the package.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

/** Supported until April 2028. The sums are those of the npm packages that carry the release's binaries. */
export const PACKAGED_NODE = {
  version: '24.21.0',
  sha512: {
    x64: '3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    arm64: 'FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/** Path of its program, fetched once into node_modules/.cache; its licence is LICENSE, two folders up. */
export function packagedNode() {
  const { version, sha512 } = PACKAGED_NODE;
  const wanted = sha512[process.arch];
  if (wanted === undefined) throw new Error(`no Node is known for a package of ${process.arch}`);
  const cache = join(root, 'node_modules/.cache/packaged-node');
  const folder = join(cache, `${version}-${process.arch}`);
  const program = join(folder, 'bin/node');
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetching-'));
  try {
    const name = `node-linux-${process.arch}`;
    const [{ filename }] = JSON.parse(
      run('npm', ['pack', `${name}@${version}`, '--json', '--pack-destination', work], work),
    );
    const archive = join(work, filename);
    const sum = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (sum !== wanted) throw new Error(`${name}@${version} is not the package that is expected`);
    run('tar', ['xzf', archive, '-C', work, 'package/bin/node', 'package/LICENSE'], work);
    renameSync(join(work, 'package'), folder);
    return program;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${command} failed: ${stderr || (error?.message ?? '')}`);
  return stdout;
}
