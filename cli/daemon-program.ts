import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { messageOf } from '~/server/core/errors';
import { hasCode } from '~/server/core/has-code';
import { readShared } from './change-file';
import { parseEnvironmentFile, unreadableBecause } from './environment-file';
import { EXIT, Failure } from './exit';

/** The environment file of the daemon of this machine. */
export function environmentFile(): string {
  return process.env.VOLUMECTL_DEFAULTS ?? '/etc/default/volume-daemon';
}

/**
 * What the daemon of this machine would run with: what its file says counts, whatever the shell has exported
 * under these names, for systemd does not know the shell. Throws Failure when this user may not read it,
 * or systemd would read nothing of it.
 */
export function daemonEnvironment(): NodeJS.ProcessEnv {
  const path = environmentFile();
  const content = readShared({ path, what: 'the settings of the daemon' }) ?? '';
  const because = unreadableBecause(content);
  if (because !== null)
    throw new Failure(
      EXIT.FAILED,
      `systemd reads nothing of ${path}, because ${because}`,
      'Write it as UTF-8.',
    );
  return { ...process.env, ...parseEnvironmentFile(content) };
}

interface Errand {
  readonly name: '--setup' | '--adopt-plan';
  /** For its standard input: arguments and environment can be seen by others. */
  readonly input?: string;
  readonly timeoutMs: number;
}

const ANSWER_MAX_BYTES = 64 * 1024 ** 2;

/**
 * Lets the program of the daemon, beside which volumectl is installed, do an errand with the settings of the
 * daemon. Returns what it has printed. Throws Failure with its words.
 */
export function runErrand({ name, input, timeoutMs }: Errand): string {
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [daemonProgram(), name], {
    env: daemonEnvironment(),
    input,
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: ANSWER_MAX_BYTES,
  });
  if (status === 0) return stdout;
  const end = hasCode(error, 'ETIMEDOUT')
    ? `did not end within ${timeoutMs / 1000} s`
    : `ended with ${status ?? signal ?? messageOf(error)}`;
  throw new Failure(EXIT.FAILED, stderr.trim() || `the program of the daemon ${end}, and said nothing`);
}

/** Also where a link on the PATH leads to volumectl. Throws Failure when it is not there. */
function daemonProgram(): string {
  const program = join(dirname(realpathSync(process.argv[1] ?? '.')), '../server/index.mjs');
  if (existsSync(program)) return program;
  throw new Failure(EXIT.UNREACHABLE, `the program of the daemon is not at ${program}`);
}
