import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LIMITS } from '../../core/limits';
import { commandLine } from '../../devices/sysfs/process-table';
import { ServerProcess, type ServerProcessOptions } from '../server-process';

interface HolderProgram
  extends Pick<ServerProcessOptions, 'address' | 'pidFile' | 'unit' | 'clock' | 'logger'> {
  /** A file that Node runs, and what it is told. */
  readonly program: string;
  readonly args: readonly string[];
  readonly exportsDir: string;
}

/** The holder of the listening socket, or its twin. */
export function holderProcess(options: HolderProgram): ServerProcess {
  const { program, args, exportsDir, pidFile, address, logger } = options;
  const exports = `--exports=${exportsDir}`;
  return new ServerProcess({
    ...options,
    name: 'our holder of exports',
    isOurs: (pid) => {
      const words = commandLine(pid);
      return words.includes(program) && words.includes(exports);
    },
    // It is no child of ours in any way that matters: it lives on, whatever ends us.
    launch: async () => {
      await mkdir(dirname(pidFile), { recursive: true });
      const listen = `--listen=${address.host}:${address.port}`;
      const words = [program, exports, listen, `--pid-file=${pidFile}`, ...args];
      const options = { stdio: 'ignore', detached: true, env: { PATH: process.env.PATH } } as const;
      const child = spawn(process.execPath, words, options);
      child.on('error', ({ message }) =>
        logger.error('The holder of exports does not start', { reason: message }),
      );
      child.unref();
    },
    appearsMs: LIMITS.NBD_START_TIMEOUT_MS,
  });
}
