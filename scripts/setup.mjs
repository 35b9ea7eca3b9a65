// Prepares a fresh clone: npm packages, Debian packages, the built server. Plain JavaScript, because it
// runs before anything is installed, on any supported Node. Every function is idempotent and prints what it
// does.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Program → Debian package that contains it. */
const PACKAGES = {
  mariadbd: 'mariadb-server-core',
  'mariadb-install-db': 'mariadb-server-core',
  // mariadb-install-db calls it, but its package does not depend on it.
  my_print_defaults: 'mariadb-client-core',
  'nbd-server': 'nbd-server',
  nbdcopy: 'libnbd-bin',
  nbdkit: 'nbdkit',
  chromium: 'chromium',
  // Judges the udev rules of the package; its daemon is not started.
  udevadm: 'udev',
};

export const TEST_PROGRAMS = Object.keys(PACKAGES);
/** For demo, bench and simulation: only the tests need the browser and udev. */
export const LAB_PROGRAMS = TEST_PROGRAMS.filter((program) => !['chromium', 'udevadm'].includes(program));

/** What `npm run test:appliance` needs. */
const APPLIANCE_PACKAGES = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  debootstrap: 'debootstrap',
  mke2fs: 'e2fsprogs',
  setpriv: 'util-linux',
};
export const APPLIANCE_PROGRAMS = Object.keys(APPLIANCE_PACKAGES);

export function say(text) {
  process.stderr.write(`▸ ${text}\n`);
}

function fail(text) {
  process.stderr.write(`✗ ${text}\n`);
  process.exit(1);
}

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (result.error) fail(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) fail(`${command} ${args.join(' ')} failed (${result.status ?? result.signal})`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const ok = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
  if (!ok) fail(`Node ${process.versions.node} is too old: 20.19 or newer (or 22.12 or newer) is needed`);
}

/**
 * Installs the npm packages when node_modules is missing or older than package-lock.json. `npm install
 * --no-save` rather than `npm ci`: a registry mirror without the optional binaries of other platforms
 * leaves gaps in the lock file, and `npm ci` refuses those.
 */
function installModules() {
  const stamp = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(lock).mtimeMs) return;
  say('installing npm packages');
  run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
}

function onPath(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => existsSync(join(folder, program)));
}

/** Installs missing Debian packages with apt-get, as root or through sudo. */
function installPackages(programs) {
  const names = { ...PACKAGES, ...APPLIANCE_PACKAGES };
  const missing = [
    ...new Set(programs.filter((program) => !onPath(program)).map((program) => names[program])),
  ];
  if (missing.length === 0) return;
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...missing];
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !onPath('sudo')) fail(`Debian packages are missing; run as root: ${command.join(' ')}`);
  say(`installing Debian packages: ${missing.join(' ')}`);
  const prefix = isRoot ? [] : ['sudo'];
  // The packages must not start services: the tests start private ones.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args) => {
    const [program, ...rest] = [...prefix, ...args];
    return spawnSync(program, rest, { env, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  };
  apt(['apt-get', 'update', '-qq']);
  if (!apt(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing]))
    fail(`could not install; run: ${command.join(' ')}`);
}

/** Installs and builds what a program of this repository needs; with null only what its help needs. */
export function prepare(programs) {
  checkNode();
  installModules();
  if (programs === null) return;
  installPackages(programs);
  build();
}

/** Builds .output when its sources have changed since the last build. */
function build() {
  const digest = sourcesDigest();
  const stamp = join(root, '.output', '.sources');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  say('building .output (nitro build)');
  const result = spawnSync(
    process.execPath,
    [join(root, 'node_modules', 'nitropack', 'dist', 'cli', 'index.mjs'), 'build'],
    { cwd: root, encoding: 'utf8' },
  );
  if (result.status !== 0) fail(`the build failed:\n${result.stdout}\n${result.stderr}`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, digest);
}

function sourcesDigest() {
  const hash = createHash('sha256');
  const visit = (path) => {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(path).update(readFileSync(path));
  };
  for (const name of [
    'package-lock.json',
    'nitro.config.ts',
    'cli',
    'packaging/cli',
    'dashboard',
    'server',
    'tasks',
    'plugins',
  ])
    if (existsSync(join(root, name))) visit(join(root, name));
  return hash.digest('hex');
}

/** Runs a TypeScript program of this repository and ends with its exit status. */
export async function runTypeScript(file, args) {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, ['--import', 'tsx', join(root, file), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
}
