import { RetryGate } from '../../core/back-off';
import type { Clock } from '../../core/clock';
import { KeyedMutex } from '../../core/concurrency/keyed-mutex';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { unhealthy } from '../export-errors';
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
import { startServer, systemctl, waitUntil } from '../start-server';
import { QmpError } from './qmp';
import { refusalOf, type StorageDaemonMonitor } from './storage-daemon-monitor';

export interface StorageDaemonProcessOptions {
  readonly binary: string;
  readonly qmpSocket: string;
  readonly host: string;
  readonly port: number;
  /** systemd unit to start, or null: the daemon starts the server itself. */
  readonly unit: string | null;
  readonly monitor: StorageDaemonMonitor;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOPBACK = '127.0.0.1';

/**
 * The qemu-storage-daemon process: found running or started, made to listen, and looked into. Its state is in
 * its memory only, so a process that ended took all exports with it.
 */
export class StorageDaemonProcess {
  /** Names the process that was last seen, so that a new one is noticed. */
  identity: string | null = null;
  version: string | null = null;
  private readonly queue = new KeyedMutex();
  private readonly address: NbdAddress;
  private readonly gate: RetryGate;

  constructor(private readonly options: StorageDaemonProcessOptions) {
    this.address = { host: options.host, port: options.port };
    this.gate = new RetryGate(options.clock, {
      baseMs: LIMITS.NBD_REVIVE_BASE_MS,
      capMs: LIMITS.NBD_REVIVE_CAP_MS,
    });
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
   * For the health check: starts a dead server that is ours to start (a unit is systemd's) and lets it
   * listen; after failures it is tried again with a growing pause. Throws EXPORT_SERVER_UNHEALTHY.
   */
  async revive(): Promise<void> {
    const { unit, logger } = this.options;
    const running = await this.isRunning();
    if (!running && (unit !== null || !this.gate.isOpen))
      throw unhealthy(`qemu-storage-daemon is not running (nobody listens on ${this.options.qmpSocket})`);
    await this.gate.run(() => this.ensureServing());
    if (!running) logger.info('qemu-storage-daemon has been started', { pid: await this.pid() });
  }

  /** Does anybody answer on the QMP socket? EXPORT_SERVER_UNHEALTHY when something else listens there. */
  async isRunning(): Promise<boolean> {
    try {
      this.version = await this.options.monitor.talk((commands) => commands.version());
      return true;
    } catch (error) {
      if (error instanceof QmpError && error.kind === 'absent') return false;
      throw unhealthy(`qemu-storage-daemon: ${messageOf(error)}`, error);
    }
  }

  private async start(): Promise<void> {
    const { unit, binary, qmpSocket, port } = this.options;
    if (isListening(port))
      throw unhealthy(`port ${port} is taken by another process: stop it, or set NBD_PORT`);
    if (unit === null) {
      // Commas end a value of QEMU's options; two of them are one in the value.
      const chardev = `socket,id=qmp,path=${qmpSocket.replaceAll(',', ',,')},server=on,wait=off`;
      await startServer(binary, ['--daemonize', '--chardev', chardev, '--monitor', 'chardev=qmp'], {
        runtimeFile: qmpSocket,
        package: 'qemu-system-common',
        failure: 'it does not start',
      });
    } else {
      await systemctl('start', unit);
    }
    await waitUntil(
      this.options.clock,
      () => this.isRunning(),
      'it was started and does not answer on its QMP socket',
    );
  }

  private async listen(): Promise<void> {
    const { monitor, host, port } = this.options;
    if (await this.isServing()) return;
    const anywhere = host.includes(':') ? '::' : '0.0.0.0';
    const refusal = await monitor
      .talk((commands) => refusalOf(commands.listen(host === LOOPBACK ? LOOPBACK : anywhere, port)))
      .catch((error: unknown) => {
        throw unhealthy(messageOf(error), error);
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
}
