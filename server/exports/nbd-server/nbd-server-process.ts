import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { LIMITS } from '../../core/limits';
import { commandLine } from '../../devices/sysfs/process-table';
import { servesPort } from '../../devices/sysfs/socket-table';
import { saidBy, unhealthy } from '../export-errors';
import { ServerProcess, type ServerProcessOptions } from '../server-process';

const run = promisify(execFile);

const DEFAULT_CONFIG = '/etc/nbd-server/config';

/** Was this process started with that configuration? Children keep the command line of their parent. */
export function hasOurConfiguration(pid: number, baseConfig: string): boolean {
  const words = commandLine(pid);
  const at = words.findIndex((word) => word === '-C' || word === '--config-file');
  // A process that is gone has no words.
  return words.length > 1 && (at < 0 ? DEFAULT_CONFIG : words[at + 1]) === baseConfig;
}

interface NbdServerProgram
  extends Pick<ServerProcessOptions, 'address' | 'pidFile' | 'unit' | 'clock' | 'logger'> {
  readonly binary: string;
  readonly baseConfig: string;
}

/** The parent process of nbd-server. */
export function nbdServerProcess(options: NbdServerProgram): ServerProcess {
  const { binary, baseConfig, pidFile, address } = options;
  return new ServerProcess({
    ...options,
    name: `the nbd-server of ${baseConfig}`,
    isOurs: (pid) => hasOurConfiguration(pid, baseConfig),
    // It daemonizes by itself, and writes the pid file a moment later.
    launch: async () => {
      await mkdir(dirname(pidFile), { recursive: true });
      await run(binary, ['-C', baseConfig, '-p', pidFile], { timeout: LIMITS.NBD_START_TIMEOUT_MS }).catch(
        (error: unknown) => {
          throw unhealthy(`it does not start with ${baseConfig}: ${saidBy(error)}`, error);
        },
      );
    },
    appearsMs: LIMITS.NBD_APPEARS_MS,
    lingers: () => servesPort(binary, address.port),
  });
}
