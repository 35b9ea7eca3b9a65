import { mapConcurrent } from '../../core/concurrency/map-concurrent';
import { LIMITS } from '../../core/limits';
import { processIdentity } from '../../devices/sysfs/kernel-files';
import { volumeIdOf } from '../../model/export-name';
import type { ConnectedClients } from '../connected-clients';
import type { RestartPolicy } from '../export-choices';
import { unhealthy } from '../export-errors';
import type { ExportServerHealth } from '../export-server';
import type { LinkedOptions } from '../linked-exports';
import { greets, listExports } from '../protocol/handshake';
import type { ServerProcess } from '../server-process';
import type { Described, ExportFiles } from './export-files';

interface Parts extends LinkedOptions {
  readonly version: () => string | null;
  readonly restartPolicy: RestartPolicy;
  readonly notToStart?: string | null;
  readonly process: ServerProcess;
  readonly clients: ConnectedClients;
  readonly files: ExportFiles;
}

/** Versions whose parent dies of SIGHUP, or drops every new connection after it (fixed in 3.25). */
const DIES_OF_SIGHUP = /^3\.2[0-4](\.|$)/;

/**
 * What the running nbd-server has in memory: it reads names at start and, from 3.25 on, at SIGHUP, and keeps
 * them until a new parent process runs. A name gets its link only when the server has the name from *our*
 * file.
 */
export class LoadedNames {
  readonly figures = { reloads: 0, restarts: 0, lastRestartMs: null as number | null };
  /** What the process `loadedBy` has from our files, by name. */
  private readonly loaded = new Map<string, Described>();
  private loadedBy: string | null = null;
  private restarting: Promise<void> | null = null;

  constructor(private readonly parts: Parts) {}

  /** Has the process that runs now learned this name from our file? */
  async isLoaded({ name, readOnly = false }: Described): Promise<boolean> {
    return this.loaded.get(name)?.readOnly === readOnly && (await this.isSameProcess());
  }

  drop(name: string): void {
    this.loaded.delete(name);
  }

  /**
   * Makes the server read these names from their files, before their links are made. Unknown names need a
   * reload (a restart where SIGHUP kills). Known names may lead to an old device: then only a new parent
   * process is certain; where the policy forbids that, a name that is refused without its link will do.
   * Throws EXPORT_SERVER_UNHEALTHY.
   */
  async load(names: ReadonlySet<string>): Promise<void> {
    const { process, restartPolicy } = this.parts;
    const version = this.parts.version();
    if ((await process.pid()) === null) {
      await process.ensureRunning();
    } else {
      const answers = new Set((await this.probeAll(names)).map(({ answer }) => answer));
      const unknown = answers.delete('unknown-export');
      const closed = answers.delete('denied');
      const suspicious = answers.size > 0 || (closed && restartPolicy === 'preserve');
      const diesOfSighup = version === null || DIES_OF_SIGHUP.test(version);
      if (suspicious || (unknown && diesOfSighup)) await this.restart();
      else if (unknown) await this.reload(names);
    }
    await this.noteLoaded(names);
  }

  /** A new parent process; concurrent calls share one. EXPORT_SERVER_UNHEALTHY when the policy forbids it. */
  restart(): Promise<void> {
    this.restarting ??= this.restartNow().finally(() => {
      this.restarting = null;
    });
    return this.restarting;
  }

  /** For the health report; starts a dead server that is ours to start. Throws EXPORT_SERVER_UNHEALTHY. */
  async look(): Promise<Omit<ExportServerHealth, 'version'>> {
    const { process, port, files, unit, notToStart } = this.parts;
    const version = this.parts.version();
    let known = await this.knownNames();
    if (known instanceof Error && unit === null) {
      await process.revive();
      known = await this.knownNames();
    }
    if (known instanceof Error) throw unhealthy([known.message, ...files.problems].join('; '));
    const pid = await process.pid();
    const configured = new Set(await files.names());
    const remembered = known ?? ((await this.isSameProcess()) ? [...this.loaded.keys()] : []);
    const complaints = [
      ...(pid === null ? [`port ${port} speaks NBD, but it is not our nbd-server that listens there`] : []),
      ...(pid === null && notToStart ? [notToStart] : []),
      ...files.problems,
    ];
    return {
      status: pid === null ? 'unhealthy' : 'healthy',
      message: [`nbd-server ${version ?? '?'} on port ${port}`, ...complaints].join('; '),
      pid,
      staleUntilRestart: remembered.filter((name) => volumeIdOf(name) !== null && !configured.has(name))
        .length,
    };
  }

  /** Names that the server knows; null when it forbids listing, an error when it does not answer. */
  private async knownNames(): Promise<string[] | null | Error> {
    const { host, port } = this.parts;
    try {
      return await listExports({ host, port });
    } catch {
      const complaint = await greets({ host, port });
      return complaint === null ? null : new Error(`port ${port}: ${complaint}`);
    }
  }

  /** SIGHUP, then handshakes until every name is known; a restart when that does not happen. */
  private async reload(names: ReadonlySet<string>): Promise<void> {
    const { process, clock, logger } = this.parts;
    await process.hangUp();
    this.figures.reloads += 1;
    const deadline = clock.monotonic() + LIMITS.EXPORT_RELOAD_SETTLE_MS;
    let left = [...names];
    for (;;) {
      const answers = await this.probeAll(left);
      left = answers.filter(({ answer }) => answer !== 'ok' && answer !== 'denied').map(({ name }) => name);
      if (left.length === 0) return;
      if (clock.monotonic() > deadline || (await process.pid()) === null) break;
      await clock.sleep(LIMITS.NBD_START_POLL_MS);
    }
    logger.warn('nbd-server did not take a reload and is restarted', { exports: left });
    await this.restart();
  }

  private probeAll(names: Iterable<string>) {
    const { clients, port } = this.parts;
    return mapConcurrent([...names], LIMITS.PROBES_AT_ONCE, async (name) => {
      const probe = await clients.probe(name, port);
      return { name, answer: probe.ok ? 'ok' : probe.reason };
    });
  }

  private async restartNow(): Promise<void> {
    const { restartPolicy, process, logger, clock, clients } = this.parts;
    const version = this.parts.version();
    if (restartPolicy === 'never')
      throw unhealthy(
        `nbd-server ${version ?? ''} must be restarted to learn the export, and NBD_RESTART=never forbids it`,
      );
    if (restartPolicy === 'when-idle' && [...(await clients.processes()).values()].includes('connected'))
      throw unhealthy(
        'nbd-server must be restarted to learn the export; NBD_RESTART=when-idle waits for its clients to leave',
      );
    // What has a file now is read by the new parent.
    const written = await this.parts.files.names();
    const begun = clock.monotonic();
    await process.restart();
    const ms = Math.round(clock.monotonic() - begun);
    this.figures.restarts += 1;
    this.figures.lastRestartMs = ms;
    await this.noteLoaded(written);
    logger.info('nbd-server was restarted; connected clients carry on', { ms, version });
  }

  private async noteLoaded(names: Iterable<string>): Promise<void> {
    const running = await this.running();
    if (running !== this.loadedBy) this.loaded.clear();
    this.loadedBy = running;
    for (const name of names) {
      // A file that somebody else wrote under one of our names does not count.
      const described = await this.parts.files.read(name);
      if (described !== null) this.loaded.set(name, described);
    }
  }

  private async isSameProcess(): Promise<boolean> {
    const running = await this.running();
    return running !== null && running === this.loadedBy;
  }

  /** The process that runs now (`processIdentity`). */
  private async running(): Promise<string | null> {
    const pid = await this.parts.process.pid();
    return pid === null ? null : processIdentity('/proc', pid);
  }
}
