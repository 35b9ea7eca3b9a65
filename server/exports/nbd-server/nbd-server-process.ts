import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { DaemonError, messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import {
  findMainPid,
  hintedPid,
  isAlive,
  isListening,
  mayOwnPort,
  type ServerProgram,
} from '../process-table';
import { greets, type NbdAddress } from '../protocol/handshake';

const run = promisify(execFile);

export interface ProcessOptions extends ServerProgram {
  readonly address: NbdAddress;
  /** systemd unit to restart, or null: the daemon starts the server itself. */
  readonly unit: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The nbd-server process: which one is it, start, reload, and the restart that cuts nobody. Signals go only to a process that has
 * proven to be the server's parent: a SIGHUP to a child cuts that client, and a pid file may name anybody (docs/exports.md).
 */
export class ServerProcess {
  private readonly queue = new KeyedMutex();
  private failures = 0;
  private startAgainAt = 0;

  constructor(private readonly options: ProcessOptions) {}

  /** Pid of the parent process, null when it does not run. */
  mainPid(): Promise<number | null> {
    return findMainPid(this.options);
  }

  /** `nbd-server version 3.24` → "3.24"; null when the program is missing. */
  async version(): Promise<string | null> {
    const { stdout, stderr } = await run(this.options.binary, ['-V'], {
      timeout: LIMITS.NBD_HANDSHAKE_TIMEOUT_MS,
    }).catch(() => ({ stdout: '', stderr: '' }));
    return /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(`${stdout} ${stderr}`)?.[1] ?? null;
  }

  /** Starts the server when it does not run, and waits until its port answers. Throws EXPORT_SERVER_UNHEALTHY. */
  ensureRunning(): Promise<void> {
    return this.alone(() => this.untilStarted());
  }

  /**
   * For the health check: starts a dead server that is ours to start (a unit is systemd's), and after a failure waits longer and
   * longer before the next try. Throws EXPORT_SERVER_UNHEALTHY.
   */
  async revive(): Promise<void> {
    const { unit, clock, logger } = this.options;
    if (unit !== null || clock.monotonic() < this.startAgainAt) return;
    try {
      await this.ensureRunning();
      this.failures = 0;
      logger.info('nbd-server has been started', { pid: await this.mainPid() });
    } catch (error) {
      this.failures += 1;
      const pause = Math.min(LIMITS.NBD_REVIVE_CAP_MS, LIMITS.NBD_REVIVE_BASE_MS * 2 ** this.failures);
      this.startAgainAt = clock.monotonic() + pause;
      throw error;
    }
  }

  /** Asks for new exports. Only for versions that survive it. The port comes first: a SIGHUP during start-up kills the server. */
  hangUp(): Promise<void> {
    return this.alone(async () => {
      await this.untilServing();
      const pid = await this.mainPid();
      if (pid === null) throw unhealthy('it is not running');
      process.kill(pid, 'SIGHUP');
    });
  }

  /**
   * A new parent that reads the configuration anew, while the forked children of connected clients carry on: only the parent is
   * killed, and with SIGKILL, because on SIGTERM it ends its children too. Resolves when the port answers again.
   */
  restart(): Promise<void> {
    return this.alone(async () => {
      const before = await this.mainPid();
      if (this.options.unit !== null) {
        await this.systemctl('restart', this.options.unit);
      } else {
        if (before !== null) {
          process.kill(before, 'SIGKILL');
          await this.until(async () => !isAlive(before, this.options), 'the old parent did not end');
        }
      }
      await this.untilStarted();
    });
  }

  private alone<T>(task: () => Promise<T>): Promise<T> {
    return this.queue.run('process', task);
  }

  private async start(): Promise<void> {
    if (this.options.unit !== null) return this.systemctl('start', this.options.unit);
    const { binary, baseConfig, pidFile } = this.options;
    try {
      await mkdir(dirname(pidFile), { recursive: true });
      await run(binary, ['-C', baseConfig, '-p', pidFile], { timeout: LIMITS.NBD_START_TIMEOUT_MS });
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw unhealthy(
        missing
          ? `${binary} is not installed (apt-get install nbd-server)`
          : `it does not start with ${baseConfig}: ${complaintOf(error)}`,
        error,
      );
    }
  }

  private async systemctl(verb: string, unit: string): Promise<void> {
    try {
      await run('systemctl', [verb, '--', unit], { timeout: LIMITS.NBD_START_TIMEOUT_MS });
    } catch (error) {
      throw unhealthy(`systemctl ${verb} ${unit} failed: ${complaintOf(error)}`, error);
    }
  }

  /**
   * Starts the server until it is there: it reports success before it binds, and then ends silently when the port is taken, as it
   * is for a moment by a child that its killed predecessor had just forked.
   */
  private async untilStarted(): Promise<void> {
    await this.until(async () => {
      if ((await this.mainPid()) === null) {
        if (await this.isPortTaken()) return false;
        await this.start();
        await this.appears();
      }
      return this.isServing();
    });
  }

  /** Throws when it is somebody else's: nbd-server would overwrite the pid file, end, and report success. */
  private async isPortTaken(): Promise<boolean> {
    const { address, port, baseConfig } = this.options;
    if (!isListening(port)) return false;
    if (!(await mayOwnPort(this.options)))
      throw unhealthy(`port ${port} is taken by another process than nbd-server: stop it, or set NBD_PORT`);
    if ((await greets(address, LIMITS.NBD_APPEARS_MS)) !== null) return true;
    if ((await this.mainPid()) !== null) return false;
    throw unhealthy(
      `port ${port} is served by another process than the nbd-server of ${baseConfig}: stop it, or set NBD_PORT`,
    );
  }

  /** The pid file is written a moment after the start: looking too early would start a second server. */
  private async appears(): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.monotonic() + LIMITS.NBD_APPEARS_MS;
    while (hintedPid(this.options) === null && clock.monotonic() < deadline)
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
  }

  private untilServing(): Promise<void> {
    return this.until(() => this.isServing());
  }

  private async isServing(): Promise<boolean> {
    return (await this.mainPid()) !== null && (await greets(this.options.address)) === null;
  }

  private async until(condition: () => Promise<boolean>, complaint?: string): Promise<void> {
    const { clock, port } = this.options;
    const deadline = clock.monotonic() + LIMITS.NBD_START_TIMEOUT_MS;
    while (!(await condition())) {
      if (clock.monotonic() > deadline)
        throw unhealthy(complaint ?? `nothing of ours speaks NBD on port ${port} (is the port taken?)`);
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
  }
}

/** What the program itself said, without the command line that Node puts before it. */
export function complaintOf(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return (said === '' ? messageOf(error) : said).split('\n').slice(0, 3).join(' ');
}

export function unhealthy(reason: string, cause?: unknown): DaemonError {
  return new DaemonError(
    'EXPORT_SERVER_UNHEALTHY',
    `The NBD server does not answer as it should: ${reason}`,
    { cause },
  );
}
