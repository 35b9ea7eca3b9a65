import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { complaintOf, unhealthy } from '../nbd-server/nbd-server-process';
import {
  commandName,
  holdsOpen,
  isListening,
  listeningSockets,
  ownsSocket,
  pidsNamed,
  processIdentity,
  unixListeners,
} from '../process-table';
import { greets, type NbdAddress } from '../protocol/handshake';
import { QmpError } from './qmp';
import { refusalOf, type StorageMonitor } from './storage-daemon-monitor';

const run = promisify(execFile);

export interface StorageProcessOptions {
  readonly binary: string;
  readonly qmpSocket: string;
  readonly host: string;
  readonly port: number;
  /** systemd unit to start, or null: the daemon starts the server itself. */
  readonly unit: string | null;
  readonly monitor: StorageMonitor;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOPBACK = '127.0.0.1';

/**
 * The qemu-storage-daemon process: found running or started, made to listen, and looked into. Its state is in its memory only, so a
 * process that ended took all exports with it.
 */
export class StorageProcess {
  /** Names the process that was last seen, so that a new one is noticed. */
  identity: string | null = null;
  version: string | null = null;
  private readonly queue = new KeyedMutex();
  private readonly address: NbdAddress;
  private failures = 0;
  private startAgainAt = 0;

  constructor(private readonly options: StorageProcessOptions) {
    this.address = { host: options.host, port: options.port };
  }

  /** The process that listens on the QMP socket; null when there is none, or when we may not look into it. */
  async pid(): Promise<number | null> {
    const sockets = unixListeners(this.options.qmpSocket);
    if (sockets.size === 0) return null;
    const known = Number(this.identity?.split('@')[0] ?? 0);
    if (known > 0 && processIdentity(known) === this.identity && ownsSocket(known, sockets) === true)
      return known;
    for (const pid of await pidsNamed(commandName(this.options.binary))) {
      if (ownsSocket(pid, sockets) !== true) continue;
      this.identity = processIdentity(pid);
      return pid;
    }
    return null;
  }

  /** Does anybody listen on the QMP socket, even where its file was removed? */
  exists(): boolean {
    return unixListeners(this.options.qmpSocket).size > 0;
  }

  /** Does the server have this file open? Null when nobody can tell. */
  async holdsOpen(path: string): Promise<boolean | null> {
    const pid = await this.pid();
    return pid === null ? null : holdsOpen(pid, path);
  }

  /** Runs, answers QMP and serves NBD; what is missing is started. Throws EXPORT_SERVER_UNHEALTHY. */
  ensureServing(): Promise<void> {
    return this.queue.run('process', async () => {
      if (!(await this.isRunning())) await this.start();
      await this.listen();
    });
  }

  /**
   * For the health check: starts a dead server that is ours to start (a unit is systemd's), after a failure longer and longer
   * after the last try, and lets it listen. Throws EXPORT_SERVER_UNHEALTHY.
   */
  async revive(): Promise<void> {
    const { unit, clock, logger } = this.options;
    const running = await this.isRunning();
    if (!running && (unit !== null || clock.monotonic() < this.startAgainAt))
      throw unhealthy(`qemu-storage-daemon is not running (nobody listens on ${this.options.qmpSocket})`);
    try {
      await this.ensureServing();
      this.failures = 0;
      if (!running) logger.info('qemu-storage-daemon has been started', { pid: await this.pid() });
    } catch (error) {
      this.failures += 1;
      const pause = Math.min(LIMITS.NBD_REVIVE_CAP_MS, LIMITS.NBD_REVIVE_BASE_MS * 2 ** this.failures);
      this.startAgainAt = clock.monotonic() + pause;
      throw error;
    }
  }

  /** Does anybody answer on the QMP socket? Throws EXPORT_SERVER_UNHEALTHY when something is there that does not. */
  async isRunning(): Promise<boolean> {
    try {
      this.version = await this.options.monitor.talk((commands) => commands.version());
      return true;
    } catch (error) {
      if (error instanceof QmpError && error.kind === 'absent') return false;
      throw unhealthy(
        `qemu-storage-daemon: ${error instanceof Error ? error.message : String(error)}`,
        error,
      );
    }
  }

  private async start(): Promise<void> {
    const { unit, binary, qmpSocket, port } = this.options;
    if (isListening(port))
      throw unhealthy(`port ${port} is taken by another process: stop it, or set NBD_PORT`);
    if (unit === null) {
      // Commas end a value of QEMU's options; two of them are one in the value.
      const path = qmpSocket.replaceAll(',', ',,');
      const chardev = `socket,id=qmp,path=${path},server=on,wait=off`;
      await mkdir(dirname(qmpSocket), { recursive: true });
      await this.program(binary, ['--daemonize', '--chardev', chardev, '--monitor', 'chardev=qmp']);
    } else {
      await this.program('systemctl', ['start', '--', unit]);
    }
    await this.until(() => this.isRunning(), 'it was started and does not answer on its QMP socket');
  }

  private async program(program: string, args: readonly string[]): Promise<void> {
    try {
      await run(program, args, { timeout: LIMITS.NBD_START_TIMEOUT_MS });
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      const words = missing
        ? `${program} is not installed (apt-get install qemu-system-common)`
        : `it does not start: ${complaintOf(error)}`;
      throw unhealthy(words, error);
    }
  }

  private async listen(): Promise<void> {
    const { monitor, host, port } = this.options;
    if (await this.isServing()) return;
    const anywhere = host.includes(':') ? '::' : '0.0.0.0';
    const refusal = await monitor
      .talk((commands) => refusalOf(commands.listen(host === LOOPBACK ? LOOPBACK : anywhere, port)))
      .catch((error: unknown) => {
        throw unhealthy(error instanceof Error ? error.message : String(error), error);
      });
    if (await this.isServing()) return;
    const complaint = (await greets(this.address)) ?? 'another process serves it';
    throw unhealthy(`port ${port}: ${complaint}${refusal === null ? '' : ` (${refusal})`}; see NBD_PORT`);
  }

  /** Our server listens on our port. Looks into /proc only. */
  async isListening(): Promise<boolean> {
    const listeners = listeningSockets(this.options.port);
    if (listeners.size === 0 || !this.exists()) return false;
    const pid = await this.pid();
    return pid === null || ownsSocket(pid, listeners) !== false;
  }

  /** NBD is spoken on our port, and not by somebody else. */
  async isServing(): Promise<boolean> {
    return (await this.isListening()) && (await greets(this.address)) === null;
  }

  private async until(condition: () => Promise<boolean>, complaint: string): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.monotonic() + LIMITS.NBD_START_TIMEOUT_MS;
    while (!(await condition())) {
      if (clock.monotonic() > deadline) throw unhealthy(complaint);
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
  }
}
