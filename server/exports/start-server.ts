import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../core/clock';
import { hasCode } from '../core/has-code';
import { LIMITS } from '../core/limits';
import { saidBy, unhealthy } from './export-errors';

const run = promisify(execFile);

/** Starts a server that daemonizes. Throws EXPORT_SERVER_UNHEALTHY with what the program said. */
export async function startServer(
  binary: string,
  args: readonly string[],
  {
    runtimeFile,
    package: name,
    failure,
  }: {
    /** A file that it creates; its folder is made first. */
    readonly runtimeFile: string;
    /** The Debian package of the program. */
    readonly package: string;
    /** What to say when it does not start. */
    readonly failure: string;
  },
): Promise<void> {
  try {
    await mkdir(dirname(runtimeFile), { recursive: true });
    await run(binary, args, { timeout: LIMITS.NBD_START_TIMEOUT_MS });
  } catch (error) {
    const missing = hasCode(error, 'ENOENT');
    throw unhealthy(
      missing ? `${binary} is not installed (apt-get install ${name})` : `${failure}: ${saidBy(error)}`,
      error,
    );
  }
}

/** Throws EXPORT_SERVER_UNHEALTHY. */
export async function systemctl(verb: 'start' | 'restart', unit: string): Promise<void> {
  try {
    await run('systemctl', [verb, '--', unit], { timeout: LIMITS.NBD_START_TIMEOUT_MS });
  } catch (error) {
    throw unhealthy(`systemctl ${verb} ${unit} failed: ${saidBy(error)}`, error);
  }
}

/** Waits until the condition holds. Throws EXPORT_SERVER_UNHEALTHY after LIMITS.NBD_START_TIMEOUT_MS. */
export async function waitUntil(
  clock: Clock,
  condition: () => Promise<boolean>,
  complaint: string,
): Promise<void> {
  const deadline = clock.monotonic() + LIMITS.NBD_START_TIMEOUT_MS;
  while (!(await condition())) {
    if (clock.monotonic() > deadline) throw unhealthy(complaint);
    await clock.sleep(LIMITS.NBD_START_POLL_MS);
  }
}
