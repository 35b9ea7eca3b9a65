import { Batcher, fulfilled } from '../../core/concurrency/batcher';
import { LIMITS } from '../../core/limits';
import { commandLine, pidIn } from '../../devices/sysfs/process-table';
import { servesPort } from '../../devices/sysfs/socket-table';
import { ConnectedClients } from '../connected-clients';
import type { RestartPolicy } from '../export-choices';
import { ExportLinks } from '../export-links';
import type { ExportFigures, ExportTarget, ProbeResult } from '../export-server';
import { complaint, type Declared, LinkedExports, type LinkedOptions, type Prove } from '../linked-exports';
import { runProgram, ServerProcess, tryProgram } from '../server-process';
import { ExportFiles, type FileOptions } from './export-files';
import { LoadedNames } from './loaded-names';

const DEFAULT_CONFIG = '/etc/nbd-server/config';

export interface NbdServerOptions extends LinkedOptions, FileOptions {
  readonly pidFile: string;
  readonly restartPolicy: RestartPolicy;
  /** Why the daemon must not start it; null: it may. */
  readonly notToStart?: string | null;
}

/**
 * nbd-server: one file per export in conf.d, one reload per change set, and a handshake that proves it. A
 * running server never forgets a name, so withdrawing removes link and file, which closes the export at once;
 * a new parent process forgets the name later (docs/reference/exports.md).
 */
export class NbdServerExports extends LinkedExports {
  readonly kind = 'nbd-server' as const;
  private readonly files: ExportFiles;
  private readonly loadedNames: LoadedNames;
  /** Many exports at once cost one reload: who comes while one is under way shares the next. */
  private readonly changes = new Batcher<string, void>(async (names) => {
    await this.loadedNames.load(new Set(names));
    return names.map(() => fulfilled(undefined));
  }, Number.POSITIVE_INFINITY);

  constructor(private readonly options: NbdServerOptions) {
    const { host, port, binary, pidFile, baseConfig } = options;
    const links = new ExportLinks(options, { apart: false });
    const isOurs = (pid: number) => hasOurConfiguration(pid, baseConfig);
    // The children that serve clients keep the command line of their parent, and outlive it.
    const isChild = (pid: number) => isOurs(pid) && pid !== pidIn(pidFile);
    const clients = new ConnectedClients({ binary, isOurs: isChild, ports: [port] }, host);
    super(options, links, clients);
    this.files = new ExportFiles(options, (name) => links.path({ name }));
    const process = new ServerProcess({
      ...options,
      notToStart: () => options.notToStart ?? null,
      name: `the nbd-server of ${baseConfig}`,
      isOurs,
      // It daemonizes by itself, and writes the pid file a moment later.
      launch: () =>
        runProgram(binary, ['-C', baseConfig, '-p', pidFile], `it does not start with ${baseConfig}`),
      tryOut: () => tryProgram(binary, this.kind, ['-V']),
      appearsMs: LIMITS.NBD_APPEARS_MS,
      lingers: () => servesPort(binary, port),
    });
    const version = () => this.version;
    this.loadedNames = new LoadedNames({ ...options, version, process, clients, files: this.files });
  }

  override get figures(): ExportFigures {
    return { ...this.loadedNames.figures, ...this.nbdClients.figures };
  }

  protected get clearPorts(): readonly number[] {
    return [this.port];
  }

  override close(): Promise<void> {
    return this.changes.idle();
  }

  protected prepareOnce(): Promise<void> {
    return this.files.prepare(this.options.logger);
  }

  /**
   * Writes file and link where the server is known to follow the link: the link exists already (it is made
   * only for a name that the server read from our file), or this process has read the name from us. Any other
   * name gets no link until it is loaded: the server might remember an old device for it.
   */
  protected async declare(target: ExportTarget): Promise<Declared> {
    const { name } = target;
    this.wanted.assertCurrent(target);
    const node = await this.links.verify(target);
    const existed = await this.files.isRight(target);
    const linked = (await this.links.read(name)) !== null;
    const trusted = (existed && linked) || (await this.loadedNames.isLoaded(target));
    if (!trusted) await this.links.remove(name);
    if (!existed) await this.files.write(target);
    if (trusted && !(await this.links.isRight(target))) await this.links.point(target);
    return { node, wasThere: trusted && existed, trusted };
  }

  protected async serve(target: ExportTarget, declared: Declared, prove: Prove): Promise<ProbeResult> {
    const { trusted, node } = declared;
    const { name } = target;
    const first = trusted ? await prove() : null;
    if (first && isSettled(first, target, node)) return first;
    if (first?.ok) {
      this.loadedNames.drop(name);
      await this.byName.run(name, () => this.links.remove(name));
    }
    await this.changes.add(name);
    await this.byName.run(name, async () => {
      this.wanted.assertCurrent(target);
      await this.links.point(target);
    });
    const second = await prove();
    if (isSettled(second, target, node)) return second;
    await this.loadedNames.restart();
    return prove();
  }

  protected async remove(name: string): Promise<void> {
    // The link first: from here on nobody new gets in, whatever the server remembers.
    await this.links.remove(name);
    await this.files.remove(name);
  }

  protected async configured(): Promise<string[]> {
    return [...new Set([...(await this.files.names()), ...(await this.links.names())])];
  }

  /** Starts the server again when it is dead and ours to start. */
  protected async look() {
    await this.prepare();
    return this.loadedNames.look();
  }
}

/** Was this process started with that configuration? Children keep the command line of their parent. */
function hasOurConfiguration(pid: number, baseConfig: string): boolean {
  const words = commandLine(pid);
  const at = words.findIndex((word) => word === '-C' || word === '--config-file');
  // A process that is gone has no words.
  return words.length > 1 && (at < 0 ? DEFAULT_CONFIG : words[at + 1]) === baseConfig;
}

/**
 * Right, or closed: the server knows the name but cannot open the target, and no restart would change that.
 */
function isSettled(probe: ProbeResult, target: ExportTarget, node: string): boolean {
  return complaint(target, probe, node) === null || (!probe.ok && probe.reason === 'denied');
}
