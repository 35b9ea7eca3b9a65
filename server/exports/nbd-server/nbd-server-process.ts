import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { RetryGate } from '../../core/back-off';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { unhealthy } from '../export-errors';
import { commandLine, findListener, isListening, servesPort } from '../process-table';
import { greets, type NbdAddress } from '../protocol/handshake';
import { startNbdServer, systemctl, waitUntil } from '../start-server';

const run = promisify(execFile);

const DEFAULT_CONFIG = '/etc/nbd-server/config';

/** Was this process started with that configuration? Children keep the command line of their parent. */
export function hasOurConfiguration(pid: number, baseConfig: string): boolean {
  const words = commandLine(pid);
  const at = words.findIndex((word) => word === '-C' || word === '--config-file');
  // A process that is gone has no words.
  return words.length > 1 && (at < 0 ? DEFAULT_CONFIG : words[at + 1]) === baseConfig;
}

interface ProcessOptions {
  readonly binary: string;
  readonly baseConfig: string;
  readonly pidFile: string;
  readonly port: number;
  readonly address: NbdAddress;
  /** systemd unit to restart, or null: the daemon starts the server itself. */
  readonly unit: string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The nbd-server process: find it, start, reload, and restart without cutting clients. Signals go only to a
 * process that is certainly the server's parent: a SIGHUP to a child cuts that client, and a pid file may be
 * wrong (docs/reference/exports.md).
 */
export class NbdServerProcess {
  private readonly queue = new KeyedMutex();
  private readonly gate: RetryGate;

  constructor(private readonly options: ProcessOptions) {
    this.gate = new RetryGate(options.clock, {
      baseMs: LIMITS.NBD_REVIVE_BASE_MS,
      capMs: LIMITS.NBD_REVIVE_CAP_MS,
    });
  }

  /** Pid of the parent process, null when it does not run. */
  mainPid(): Promise<number | null> {
    const { baseConfig, port, pidFile } = this.options;
    return findListener((pid) => hasOurConfiguration(pid, baseConfig), port, pidFile);
  }

  /** `nbd-server version 3.24` → "3.24"; null when the program is missing. */
  async version(): Promise<string | null> {
    const { stdout, stderr } = await run(this.options.binary, ['-V'], {
      timeout: LIMITS.NBD_HANDSHAKE_TIMEOUT_MS,
    }).catch(() => ({ stdout: '', stderr: '' }));
    return /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(`${stdout} ${stderr}`)?.[1] ?? null;
  }

  /**
   * Starts the server when it does not run, and waits until its port answers. Throws EXPORT_SERVER_UNHEALTHY.
   */
  ensureRunning(): Promise<void> {
    return this.alone(() => this.untilStarted());
  }

  /**
   * For the health check: starts a dead server that is ours to start (a unit is systemd's); after failures it
   * is tried again with a growing pause. Throws EXPORT_SERVER_UNHEALTHY.
   */
  async revive(): Promise<void> {
    const { unit, logger } = this.options;
    if (unit !== null || !this.gate.isOpen) return;
    await this.gate.run(() => this.ensureRunning());
    logger.info('nbd-server has been started', { pid: await this.mainPid() });
  }

  /** Only for versions that survive it. The port comes first: a SIGHUP during start-up kills the server. */
  hangUp(): Promise<void> {
    return this.alone(async () => {
      await this.untilServing();
      const pid = await this.mainPid();
      if (pid === null) throw unhealthy('it is not running');
      process.kill(pid, 'SIGHUP');
    });
  }

  /**
   * A new parent reads the configuration anew while the children go on serving their clients. Only the parent
   * is killed, and with SIGKILL, because on SIGTERM it ends its children, too. Resolves when the port
   * answers.
   */
  restart(): Promise<void> {
    return this.alone(async () => {
      const before = await this.mainPid();
      if (this.options.unit !== null) {
        await systemctl('restart', this.options.unit);
      } else if (before !== null) {
        process.kill(before, 'SIGKILL');
        const ended = async () => (await this.mainPid()) !== before;
        await waitUntil(this.options.clock, ended, 'the old parent did not end');
      }
      await this.untilStarted();
    });
  }

  private alone<T>(task: () => Promise<T>): Promise<T> {
    return this.queue.run('process', task);
  }

  private start(): Promise<void> {
    const { unit } = this.options;
    return unit === null ? startNbdServer(this.options) : systemctl('start', unit);
  }

  /**
   * Starts the server until it is there: it reports success before it binds, and then ends silently when the
   * port is taken, as it is for a moment by a child that its killed predecessor had just forked.
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
    if (!servesPort(this.options.binary, port))
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
    while ((await this.mainPid()) === null && clock.monotonic() < deadline)
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
  }

  private untilServing(): Promise<void> {
    return this.until(() => this.isServing());
  }

  private async isServing(): Promise<boolean> {
    return (await this.mainPid()) !== null && (await greets(this.options.address)) === null;
  }

  private until(condition: () => Promise<boolean>): Promise<void> {
    const { clock, port } = this.options;
    return waitUntil(clock, condition, `nothing of ours speaks NBD on port ${port} (is the port taken?)`);
  }
}
