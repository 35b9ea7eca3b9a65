import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Program → Debian package that brings it. */
const PACKAGES = {
  mariadbd: 'mariadb-server-core',
  'mariadb-install-db': 'mariadb-server-core',
  // mariadb-install-db asks for it, and its package does not bring it.
  my_print_defaults: 'mariadb-client-core',
  'nbd-server': 'nbd-server',
  'nbd-client': 'nbd-client',
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdkit: 'nbdkit',
  'qemu-img': 'qemu-utils',
  openssl: 'openssl',
  rsync: 'rsync',
  haproxy: 'haproxy',
  mariadb: 'mariadb-client-core',
  // The state transfer of Galera looks for free ports with it.
  ss: 'iproute2',
} as const;
export type Program = keyof typeof PACKAGES;

/** The full path of a program, or null. Servers live in /usr/sbin, which the PATH of ordinary users lacks. */
export function findProgram(program: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    if (folder === '') continue;
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return null;
}

/**
 * Makes sure that the programs are there and returns their paths. Missing ones are installed with apt-get as
 * root or through password-less sudo; where that is not possible the error names the one command to run.
 */
export function ensurePackages<P extends Program>(programs: readonly P[]): Record<P, string> {
  const missing = programs.filter((program) => findProgram(program) === null);
  if (missing.length > 0) install([...new Set(missing.map((program) => PACKAGES[program]))]);
  const paths = programs.map((program) => [program, require(program)] as const);
  return Object.fromEntries(paths) as Record<P, string>;
}

/** Installs packages that bring no program of their own. */
export function ensureLibrary(path: string, packageName: string): void {
  if (!existsSync(path)) install([packageName]);
  if (!existsSync(path)) throw new Error(`${path} is missing although package ${packageName} is installed`);
}

/**
 * Unpacks a package into a folder without installing it: its services are not started and nothing of it is
 * run.
 */
export function unpackPackage(packageName: string, dir: string): void {
  const run = (command: string, args: string[]) => {
    const result = spawnSync(command, args, { cwd: dir, encoding: 'utf8' });
    if (result.status !== 0)
      throw new Error(`${command} ${args.join(' ')} failed:\n${result.stdout ?? ''}${result.stderr ?? ''}`);
  };
  run('apt-get', ['download', packageName]);
  for (const file of readdirSync(dir).filter((name) => name.endsWith('.deb'))) run('dpkg', ['-x', file, '.']);
}

function require(program: Program): string {
  const path = findProgram(program);
  if (path === null)
    throw new Error(`${program} is missing although package ${PACKAGES[program]} is installed`);
  return path;
}

function install(packages: string[]): void {
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  const help = `Debian packages are missing; run: sudo ${command.join(' ')}`;
  if (findProgram('apt-get') === null)
    throw new Error(`${help} (this machine has no apt-get: install the same programs in its own way)`);
  const prefix = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  // The package lists of a fresh machine may be empty or old: on failure they are read once, then it is tried
  // again.
  for (const words of [command, ['apt-get', 'update'], command]) {
    const [program = '', ...args] = [...prefix, ...words];
    const result = spawnSync(program, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (result.error) throw new Error(help, { cause: result.error });
    if (result.status === 0 && words === command) return;
  }
  throw new Error(help);
}
