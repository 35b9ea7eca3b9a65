import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { RetryGate } from '../core/back-off';
import type { Clock } from '../core/clock';
import { KeyedMutex } from '../core/concurrency/keyed-mutex';
import { makeFolder } from '../core/durable-files';
import { DaemonError, messageOf } from '../core/errors';
import { hasCode } from '../core/has-code';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { end, parentOf, pidsThat } from '../devices/sysfs/process-table';
import { findListener, isListening } from '../devices/sysfs/socket-table';
import { unhealthy } from './export-errors';
import { greets } from './protocol/handshake';
import type { NbdAddress } from './protocol/nbd-session';

const run = promisify(execFile);

export interface ServerProcessOptions extends NbdAddress {
  /** For messages. */
  readonly name: string;
  /**
   * systemd unit, or null: the daemon starts the process itself. A socket has the port before any process
   * runs.
   */
  readonly unit: string | null;
  readonly pidFile: string;
  readonly isOurs: (pid: number) => boolean;
  /** Starts it so that it outlives this daemon. Throws EXPORT_SERVER_UNHEALTHY. */
  readonly launch: () => Promise<unknown>;
  /** Does what serving a client takes. Throws EXPORT_SERVER_UNHEALTHY with what keeps the server from it. */
  readonly tryOut?: () => Promise<unknown>;
  /** Why this daemon must now neither start it nor start it anew, with what to do instead; null: it may. */
  readonly notToStart?: () => string | null;
  /** ms from the start until the process has the port; later it counts as ended. */
  readonly appearsMs: number;
  /** Does it run with other settings than ours, and was it started by a daemon like this one? */
  readonly isOutdated?: (pid: number) => boolean;
  /** Does a child of its killed predecessor still have the port? */
  readonly lingers?: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The process that listens for clients of exports and outlives this daemon: it is found again by its pid file
 * or its command line, started where it is missing, and restarted without cutting clients. Signals go only to
 * a process that is certainly it: a pid file may be wrong (docs/reference/exports.md).
 */
export class ServerProcess {
  private readonly queue = new KeyedMutex();
  private readonly gate: RetryGate;
  /** The process that last answered as an NBD server, and when (monotonic ms). */
  private answered: { readonly pid: number; readonly at: number } | null = null;
  /** Why the last try of `revive` failed. */
  private trouble: unknown = null;

  constructor(private readonly options: ServerProcessOptions) {
    const { NBD_REVIVE_BASE_MS: baseMs, NBD_REVIVE_CAP_MS: capMs } = LIMITS;
    this.gate = new RetryGate(options.clock, { baseMs, capMs });
  }

  /** The process that listens, one of them where several share the socket; null when there is none. */
  pid(): Promise<number | null> {
    const { isOurs, port, pidFile } = this.options;
    return findListener(isOurs, port, pidFile);
  }

  /** Resolves when it answers; started when it does not run. Throws EXPORT_SERVER_UNHEALTHY. */
  ensureRunning(): Promise<void> {
    return this.queue.run('process', () => this.untilServing());
  }

  /** For the health check: `ensureRunning` that is not tried too often. Throws EXPORT_SERVER_UNHEALTHY. */
  async revive(): Promise<void> {
    if (await this.isServing()) return;
    this.requireStartable();
    if (!this.gate.isOpen) throw this.trouble;
    await this.gate
      .run(() => this.ensureRunning())
      .catch((error: unknown) => {
        this.trouble = error;
        throw error;
      });
  }

  /** SIGHUP, once it answers: during start-up it kills an nbd-server. Throws EXPORT_SERVER_UNHEALTHY. */
  hangUp(): Promise<void> {
    return this.queue.run('process', async () => {
      await this.untilServing();
      const pid = await this.pid();
      if (pid === null) throw unhealthy('it is not running');
      process.kill(pid, 'SIGHUP');
    });
  }

  /**
   * Replaces those that an earlier daemon has started with other settings, on whatever port: they would keep
   * a door open that was to be closed. Asked to end, a process ends its twin, and no client. Throws
   * EXPORT_SERVER_UNHEALTHY.
   */
  replaceOutdated(): Promise<void> {
    return this.queue.run('process', async () => {
      const { isOutdated = () => false, logger, name } = this.options;
      const outdated = await pidsThat(isOutdated);
      if (outdated.length === 0) return;
      logger.info(`${name} has other settings and is replaced; connected clients carry on`, {
        pids: outdated,
      });
      for (const pid of outdated) if (!isOutdated(parentOf(pid))) end(pid, 'SIGTERM');
      const haveEnded = async () => (await pidsThat(isOutdated)).length === 0;
      if (!(await this.becomes(haveEnded)))
        throw unhealthy(`${name} has other settings and does not end: end process ${outdated.join(', ')}`);
      await this.untilServing();
    });
  }

  /**
   * A new process while those that serve clients carry on. Only this one is killed, and with SIGKILL: on
   * SIGTERM an nbd-server ends its children, too. Resolves when the port answers. Throws
   * EXPORT_SERVER_UNHEALTHY.
   */
  restart(): Promise<void> {
    return this.queue.run('process', async () => {
      this.requireStartable();
      // Whoever could not come back stays.
      await this.options.tryOut?.();
      const before = await this.pid();
      if (this.options.unit !== null) await systemctl('restart', this.options.unit);
      else if (before !== null) {
        process.kill(before, 'SIGKILL');
        const hasEnded = async () => (await this.pid()) !== before;
        if (!(await this.becomes(hasEnded))) throw unhealthy('the old process did not end');
      }
      await this.untilServing();
    });
  }

  /**
   * Starts it until it is there: an nbd-server reports success before it binds, and then ends silently when
   * the port is taken, as it is for a moment by a child that its killed predecessor had just forked.
   */
  private async untilServing(): Promise<void> {
    const { unit, pidFile, logger, name, tryOut } = this.options;
    if (await this.isServing()) return;
    // What cannot serve is not waited for.
    await tryOut?.();
    let isBegun = false;
    const serves = await this.becomes(async () => {
      if (await this.isServing()) return true;
      if ((await this.pid()) !== null || (isBegun && this.isActivated)) return false;
      this.requireStartable();
      if (!this.isActivated && (await this.isPortTaken())) return false;
      if (unit !== null) await systemctl('start', unit);
      else {
        await makeFolder(dirname(pidFile));
        await this.options.launch();
      }
      isBegun = true;
      // Looking too early would start a second one.
      await this.becomes(() => this.isThere(), this.options.appearsMs);
      const isServing = await this.isServing();
      if (isServing) logger.info(`${name} has been started`, { pid: await this.pid() });
      return isServing;
    });
    if (!serves) throw unhealthy(await this.silence());
  }

  /** A handshake may cost a process; whoever answered lately and still has the socket is believed. */
  private async isServing(): Promise<boolean> {
    const { clock } = this.options;
    if (!(await this.isThere())) return false;
    const known = this.answered;
    const isLate = known === null || clock.monotonic() - known.at >= LIMITS.NBD_BELIEVED_MS;
    if (!isLate && known.pid === (await this.pid())) return true;
    if ((await greets(this.options)) !== null) return false;
    // None of ours: whoever has greeted is somebody else's, now and the next time.
    const pid = await this.pid();
    this.answered = pid === null ? null : { pid, at: clock.monotonic() };
    return pid !== null;
  }

  /** Does a process of ours listen, or systemd for it? */
  private async isThere(): Promise<boolean> {
    return (await this.pid()) !== null || (this.isActivated && isListening(this.options.port));
  }

  /** systemd starts it for the first client. */
  private get isActivated(): boolean {
    return this.options.unit?.endsWith('.socket') ?? false;
  }

  private requireStartable(): void {
    const reason = this.options.notToStart?.() ?? null;
    if (reason !== null) throw unhealthy(reason);
  }

  /** Throws when it is somebody else's: nbd-server would overwrite the pid file, end, and report success. */
  private async isPortTaken(): Promise<boolean> {
    const { port, name, lingers } = this.options;
    if (!isListening(port)) return false;
    const isPassing = lingers?.() === true && (await greets(this.options, LIMITS.NBD_APPEARS_MS)) !== null;
    if (isPassing) return true;
    if ((await this.pid()) !== null) return false;
    throw unhealthy(`port ${port} is taken by another process than ${name}: stop it, or set NBD_PORT`);
  }

  /** Why no export server of ours answers. */
  private async silence(): Promise<string> {
    const { name, host, port, unit } = this.options;
    const pid = await this.pid();
    const answer = (await greets(this.options)) ?? 'it was slow to answer';
    if (pid !== null) return `${name} (process ${pid}) has port ${port}: ${answer}`;
    if (this.isActivated) return `${unit} does not lead to an NBD server on port ${port}: ${answer}`;
    return isListening(port)
      ? `port ${port} is taken by another process than ${name}: stop it, or set NBD_PORT`
      : `${name} does not stay on ${host}:${port} (NBD_HOST, NBD_PORT): ${answer}`;
  }

  /** Does it become true in that time? */
  private async becomes(
    condition: () => Promise<boolean>,
    ms: number = LIMITS.NBD_START_TIMEOUT_MS,
  ): Promise<boolean> {
    const { clock } = this.options;
    const deadline = clock.monotonic() + ms;
    while (!(await condition())) {
      if (clock.monotonic() > deadline) return false;
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
    return true;
  }
}

/** Throws EXPORT_SERVER_UNHEALTHY. */
function systemctl(verb: 'start' | 'restart', unit: string) {
  return runProgram('systemctl', [verb, '--', unit], `systemctl ${verb} ${unit} failed`);
}

/** Of a program: "3.24". Throws EXPORT_SERVER_UNHEALTHY where it is not installed. */
export async function versionOf(binary: string, packageName: string): Promise<string | null> {
  const { stdout, stderr } = await tryProgram(binary, packageName, ['-V']);
  return /\b\d+\.\d+(?:\.\d+)?\b/.exec(`${stdout} ${stderr}`)?.[0] ?? null;
}

/** Runs what is done in a moment where it works. Throws EXPORT_SERVER_UNHEALTHY with why it does not. */
export async function tryProgram(binary: string, packageName: string, args: readonly string[]) {
  return runProgram(binary, args, `${binary} does not serve`, LIMITS.NBD_HANDSHAKE_TIMEOUT_MS).catch(
    (error: unknown) => {
      if (!(error instanceof DaemonError) || !hasCode(error.cause, 'ENOENT')) throw error;
      throw unhealthy(`${binary} is not installed (apt-get install ${packageName})`, error.cause);
    },
  );
}

/**
 * Resolves when it has ended well. Throws EXPORT_SERVER_UNHEALTHY with what it said. Nothing of the
 * environment but the PATH reaches it: an nbd-server that is started so lives on and speaks with strangers,
 * and the secrets of the daemon are there.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  complaint: string,
  timeoutMs: number = LIMITS.NBD_START_TIMEOUT_MS,
) {
  const running = run(program, args, {
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    env: { PATH: process.env.PATH },
  });
  running.child.stdin?.end();
  return running.catch((error: unknown) => {
    throw unhealthy(`${complaint}: ${wordsOf(error, timeoutMs)}`, error);
  });
}

/** Why a program did not end well: its own words, without the command line that Node puts before them. */
function wordsOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && 'killed' in error && error.killed === true)
    return `it has not ended within ${timeoutMs} ms`;
  const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return (stderr === '' ? messageOf(error) : stderr).split('\n').slice(0, 3).join(' ');
}
