import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RetryGate } from '../../core/back-off';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { unhealthy } from '../export-errors';
import { commandLine, findListener, isListening } from '../process-table';
import { greets, type NbdAddress } from '../protocol/handshake';
import { systemctl, waitUntil } from '../start-server';

export interface HolderProcessOptions {
  readonly address: NbdAddress;
  /** systemd unit that has the socket, or null: the daemon starts the holder itself. */
  readonly unit: string | null;
  /** The holder's program (a file that Node runs) and what it is told. */
  readonly program: string;
  readonly args: readonly string[];
  readonly exportsDir: string;
  readonly pidFile: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The holder of the listening socket, which outlives this daemon: it is found again by its pid file, or by
 * its command line, and started where it is missing.
 */
export class HolderProcess {
  private readonly queue = new KeyedMutex();
  private readonly gate: RetryGate;
  /** The holder that last answered as an NBD server, and when (monotonic ms). */
  private answered: { readonly pid: number | null; readonly at: number } | null = null;

  constructor(private readonly options: HolderProcessOptions) {
    this.gate = new RetryGate(options.clock, {
      baseMs: LIMITS.NBD_REVIVE_BASE_MS,
      capMs: LIMITS.NBD_REVIVE_CAP_MS,
    });
  }

  /** One of the processes that hold our socket, null when there is none. */
  async pid(): Promise<number | null> {
    return findListener((pid) => this.isOurs(pid), this.options.address.port, this.options.pidFile);
  }

  /** Resolves when an NBD server answers on our socket. Throws EXPORT_SERVER_UNHEALTHY. */
  ensureRunning(): Promise<void> {
    return this.queue.run('holder', async () => {
      if (await this.isServing()) return;
      const { unit, clock, logger, address } = this.options;
      if (unit !== null) await systemctl('start', unit);
      else {
        if (isListening(address.port) && (await this.pid()) === null)
          throw unhealthy(
            `port ${address.port} is taken by another process than our holder of exports: stop it, or set NBD_PORT`,
          );
        if ((await this.pid()) === null) await this.start();
      }
      const complaint = `nothing of ours speaks NBD on port ${address.port} (is the port taken?)`;
      await waitUntil(clock, () => this.isServing(), complaint);
      logger.info('The holder of exports answers', { pid: await this.pid() });
    });
  }

  /** What has to be done where it has fewer sockets than this daemon expects: it is older, or its unit is. */
  async howToListen(): Promise<string> {
    const { unit } = this.options;
    return unit === null
      ? `end process ${(await this.pid()) ?? '?'}, a holder from before the upgrade (nobody who is connected is cut), and publish again`
      : `give ${unit} a second ListenStream= with it, then systemctl restart ${unit} (nobody who is connected is cut)`;
  }

  /**
   * For the health check: after failures it is tried again with a growing pause. Throws as `ensureRunning`.
   */
  async revive(): Promise<void> {
    if (await this.isServing()) return;
    if (!this.gate.isOpen) throw unhealthy(`nothing of ours speaks NBD on port ${this.options.address.port}`);
    await this.gate.run(() => this.ensureRunning());
  }

  /** A handshake costs a process; a holder that answered lately and still has the socket is believed. */
  private async isServing(): Promise<boolean> {
    const { address, clock, unit } = this.options;
    const pid = await this.pid();
    // systemd has the socket before the holder runs; the first connection starts it.
    if (pid === null && (unit === null || !isListening(address.port))) return false;
    const known = this.answered;
    if (known?.pid === pid && clock.monotonic() - known.at < LIMITS.NBD_BELIEVED_MS) return true;
    if ((await greets(address)) !== null) return false;
    const now = await this.pid();
    this.answered = { pid: now, at: clock.monotonic() };
    return now !== null;
  }

  private isOurs(pid: number): boolean {
    const words = commandLine(pid);
    return words.includes(this.options.program) && words.includes(`--exports=${this.options.exportsDir}`);
  }

  /** It is no child of ours in any way that matters: it lives on, whatever ends us. */
  private async start(): Promise<void> {
    const { program, args, exportsDir, pidFile, address } = this.options;
    await mkdir(dirname(pidFile), { recursive: true });
    const words = [
      program,
      `--exports=${exportsDir}`,
      `--listen=${address.host}:${address.port}`,
      `--pid-file=${pidFile}`,
      ...args,
    ];
    const child = spawn(process.execPath, words, {
      stdio: 'ignore',
      detached: true,
      env: { PATH: process.env.PATH },
    });
    child.on('error', (error) =>
      this.options.logger.error('The holder of exports does not start', { reason: error.message }),
    );
    child.unref();
  }
}
