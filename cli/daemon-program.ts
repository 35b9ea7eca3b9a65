import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readShared } from './change-file';
import { parseEnvironmentFile } from './environment-file';
import { EXIT, Failure } from './exit';

/** The environment file of the daemon of this machine. */
export function environmentFile(): string {
  return process.env.VOLUMECTL_DEFAULTS ?? '/etc/default/volume-daemon';
}

/** What the daemon of this machine would run with. Throws Failure when this user may not know it. */
export function daemonEnvironment(): NodeJS.ProcessEnv {
  const content = readShared({ path: environmentFile(), what: 'the settings of the daemon' });
  return { ...parseEnvironmentFile(content ?? ''), ...process.env };
}

/**
 * The program of the daemon, beside which volumectl is installed, also where a link on the PATH leads to it. Throws
 * Failure when it is not there.
 */
export function daemonProgram(): string {
  const program = join(dirname(realpathSync(process.argv[1] ?? '.')), '../server/index.mjs');
  if (existsSync(program)) return program;
  throw new Failure(EXIT.UNREACHABLE, `the program of the daemon is not at ${program}`);
}
