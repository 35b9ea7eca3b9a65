import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseEnvironmentFile } from './environment-file';
import { EXIT, Failure } from './exit';

/** The environment file of the daemon of this machine. */
export function environmentFile(): string {
  return process.env.VOLUMECTL_DEFAULTS ?? '/etc/default/volume-daemon';
}

/** What the daemon of this machine would run with. */
export function daemonEnvironment(): NodeJS.ProcessEnv {
  const file = environmentFile();
  return { ...(existsSync(file) ? parseEnvironmentFile(readFileSync(file, 'utf8')) : {}), ...process.env };
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
