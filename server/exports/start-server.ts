import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../core/clock';
import { hasCode } from '../core/has-code';
import { LIMITS } from '../core/limits';
import { saidBy, unhealthy } from './export-errors';

const run = promisify(execFile);

/** It daemonizes by itself. Throws EXPORT_SERVER_UNHEALTHY with what it said. */
export async function startNbdServer({
  binary,
  baseConfig,
  pidFile,
}: {
  readonly binary: string;
  readonly baseConfig: string;
  readonly pidFile: string;
}): Promise<void> {
  try {
    await mkdir(dirname(pidFile), { recursive: true });
    await run(binary, ['-C', baseConfig, '-p', pidFile], { timeout: LIMITS.NBD_START_TIMEOUT_MS });
  } catch (error) {
    const missing = hasCode(error, 'ENOENT');
    throw unhealthy(
      missing
        ? `${binary} is not installed (apt-get install nbd-server)`
        : `it does not start with ${baseConfig}: ${saidBy(error)}`,
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
