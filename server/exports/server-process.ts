import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Clock } from '../runtime/clock';
import { DaemonError, messageOf } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import { greets, type NbdAddress } from './handshake';

const run = promisify(execFile);

export interface ProcessOptions {
  readonly binary: string;
  readonly baseConfig: string;
  readonly pidFile: string;
  readonly address: NbdAddress;
  /** systemd unit to restart, or null: the daemon starts the server itself. */
  readonly unit: string | null;
  readonly clock: Clock;
}

/**
 * The nbd-server process: which one is it, start, reload, and the restart that cuts nobody. Signals go only to a process that has
 * proven to be the server's parent: a SIGHUP to a child cuts that client, and a pid file may name anybody (docs/exports.md).
 */
export class ServerProcess {
  constructor(private readonly options: ProcessOptions) {}

  /** Pid of the parent process, null when it does not run. */
  async mainPid(): Promise<number | null> {
    const text = await readFile(this.options.pidFile, 'utf8').catch(() => '');
    const pid = Number(text.trim());
    if (!Number.isInteger(pid) || pid < 2) return null;
    if (!(await isServer(pid))) return null;
    const parent = await parentOf(pid);
    return parent !== null && (await isServer(parent)) ? null : pid;
  }

  /** `nbd-server version 3.24` → "3.24"; null when the program is missing. */
  async version(): Promise<string | null> {
    const { stdout, stderr } = await run(this.options.binary, ['-V'], {
      timeout: LIMITS.NBD_HANDSHAKE_TIMEOUT,
    }).catch((error: unknown) => ({ stdout: '', stderr: messageOf(error) }));
    return /\b(\d+\.\d+(?:\.\d+)?)\b/.exec(`${stdout} ${stderr}`)?.[1] ?? null;
  }

  /** Starts the server when it does not run, and waits until its port answers. Throws EXPORT_SERVER_UNHEALTHY. */
  ensureRunning(): Promise<void> {
    return this.startUntilItAnswers();
  }

  /** Asks for new exports. Only for versions that survive it. */
  async hangUp(): Promise<void> {
    const pid = await this.mainPid();
    if (pid === null) throw unhealthy('it is not running');
    await this.waitForPort();
    process.kill(pid, 'SIGHUP');
  }

  /**
   * A new parent that reads the configuration anew, while the forked children of connected clients carry on: only the parent is
   * killed, and with SIGKILL, because on SIGTERM it ends its children too.
   */
  async restart(): Promise<void> {
    if (this.options.unit !== null) {
      await this.systemctl('restart', this.options.unit);
    } else {
      const pid = await this.mainPid();
      if (pid !== null) {
        process.kill(pid, 'SIGKILL');
        await this.until(async () => (await this.mainPid()) === null, 'the old parent did not end');
      }
    }
    await this.startUntilItAnswers();
  }

  /** Children that serve a client on this target: pid and, where /proc shows it, the peer. */
  async clientsOf(target: string): Promise<number[]> {
    const real = await realpath(target).catch(() => target);
    const main = await this.mainPid();
    const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
    const found: number[] = [];
    for (const pid of pids) {
      if (pid !== main && (await isServer(pid)) && (await holdsOpen(pid, real, target))) found.push(pid);
    }
    return found;
  }

  /** False when the port is still taken, as for a moment by a child of the predecessor; the caller tries again. */
  private async start(): Promise<boolean> {
    if (this.options.unit !== null) {
      await this.systemctl('start', this.options.unit);
      return true;
    }
    const { binary, baseConfig, pidFile } = this.options;
    try {
      await run(binary, ['-C', baseConfig, '-p', pidFile], { timeout: LIMITS.NBD_START_TIMEOUT });
      return true;
    } catch (error) {
      if (/address already in use|could not bind|failed to bind/i.test(messageOf(error))) return false;
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      throw unhealthy(
        missing
          ? `${binary} is not installed (apt-get install nbd-server)`
          : `it does not start: ${messageOf(error).split('\n').slice(0, 3).join(' ')}`,
        error,
      );
    }
  }

  private async systemctl(verb: string, unit: string): Promise<void> {
    try {
      await run('systemctl', [verb, '--', unit], { timeout: LIMITS.NBD_START_TIMEOUT });
    } catch (error) {
      throw unhealthy(`systemctl ${verb} ${unit} failed: ${messageOf(error).split('\n')[0] ?? ''}`, error);
    }
  }

  /**
   * A server that ends right after its start is started again: a child of its predecessor may have held the port for a moment.
   * Its reason is told when it never comes up.
   */
  private async startUntilItAnswers(): Promise<void> {
    await this.until(async () => {
      if ((await this.mainPid()) === null && (await this.start())) await this.appears();
      return this.answers();
    }, this.silence());
  }

  /** The pid file is written a moment after the start: looking too early would start a second server. */
  private async appears(): Promise<void> {
    const deadline = this.options.clock.monotonic() + LIMITS.NBD_APPEARS;
    while ((await this.mainPid()) === null && this.options.clock.monotonic() < deadline)
      await this.options.clock.sleep(LIMITS.NBD_START_POLL);
  }

  private waitForPort(): Promise<void> {
    return this.until(() => this.answers(), this.silence());
  }

  private async answers(): Promise<boolean> {
    return (await greets(this.options.address, LIMITS.NBD_HANDSHAKE_TIMEOUT)) === null;
  }

  private silence(): string {
    const { host, port } = this.options.address;
    return `nothing speaks NBD on ${host}:${port}`;
  }

  private async until(condition: () => Promise<boolean>, complaint: string): Promise<void> {
    const { clock } = this.options;
    const deadline = clock.monotonic() + LIMITS.NBD_START_TIMEOUT;
    while (!(await condition())) {
      if (clock.monotonic() > deadline) throw unhealthy(complaint);
      await clock.sleep(LIMITS.NBD_START_POLL);
    }
  }
}

export function unhealthy(reason: string, cause?: unknown): DaemonError {
  return new DaemonError(
    'EXPORT_SERVER_UNHEALTHY',
    `The NBD server does not answer as it should: ${reason}`,
    { cause },
  );
}

/** A zombie is not a server: it holds nothing, and only waits for its parent to notice. */
async function isServer(pid: number): Promise<boolean> {
  const status = await readFile(join('/proc', String(pid), 'status'), 'utf8').catch(() => '');
  return /^Name:\s*nbd-server$/m.test(status) && !/^State:\s*[ZX]/m.test(status);
}

async function parentOf(pid: number): Promise<number | null> {
  const status = await readFile(join('/proc', String(pid), 'status'), 'utf8').catch(() => '');
  const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1]);
  return Number.isInteger(parent) && parent > 1 ? parent : null;
}

async function holdsOpen(pid: number, real: string, target: string): Promise<boolean> {
  const folder = join('/proc', String(pid), 'fd');
  for (const name of await readdir(folder).catch(() => [])) {
    const open = await readlink(join(folder, name)).catch(() => '');
    if (
      open === real ||
      open === target ||
      open === `${target} (deleted)` ||
      (open.endsWith(' (deleted)') && basename(open.slice(0, -10)) === basename(real))
    )
      return true;
  }
  return false;
}
