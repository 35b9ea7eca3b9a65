import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { commandLine } from '../../devices/sysfs/process-table';
import { isListening, servesPort } from '../../devices/sysfs/socket-table';
import { ConnectedClients } from '../connected-clients';
import type { TlsMode } from '../export-choices';
import { unhealthy } from '../export-errors';
import { ExportLinks } from '../export-links';
import type { ExportTarget, ProbeResult } from '../export-server';
import { type Declared, LinkedExports, type LinkedOptions, type Prove } from '../linked-exports';
import { certificateTroubles, readTlsClient, tlsArguments } from '../protocol/tls';
import { ServerProcess, tryProgram } from '../server-process';
import { differingSettings } from './holder-options';
import { servesFolder } from './sessions';

export interface NbdkitOptions extends LinkedOptions {
  /**
   * The port of exports that cannot be written: nbdkit must know before a client says which export it wants.
   */
  readonly readOnlyPort: number;
  /** The holder's program, a file that Node runs. */
  readonly holder: string;
  readonly tls: TlsMode;
  readonly tlsDir: string;
  readonly maxConnections: number;
  readonly maxPerExport: number;
  /** Bytes a second of one export; 0: no limit. */
  readonly maxBytesPerSecond: number;
  /** ms that a client may take to ask for an export. */
  readonly handshakeMs?: number;
}

/**
 * nbdkit: the folder of links is the table of exports, and a connection is a process. There is no server to
 * configure, reload or restart: a link is an export, no link is none (docs/reference/exports.md).
 */
export class NbdkitExports extends LinkedExports {
  readonly kind = 'nbdkit' as const;
  private readonly holder: ServerProcess;

  constructor(private readonly options: NbdkitOptions) {
    const { host, port, readOnlyPort, binary, tls, tlsDir } = options;
    const links = new ExportLinks(options, { apart: true });
    const isOurs = (pid: number) => servesFolder(pid, links.writable) || servesFolder(pid, links.readOnly);
    const readTls = tls === 'off' ? null : () => readTlsClient(tlsDir);
    super(
      options,
      links,
      new ConnectedClients({ binary, isOurs, ports: [port, readOnlyPort] }, host, readTls),
    );
    const pidFile = join(options.runDir, 'nbd-holder.pid');
    const settings = holderArguments(options, links, pidFile);
    const [exports, marked] = settings;
    const isHolder = (words: readonly string[]) => words.includes(options.holder) && words.includes(exports);
    this.holder = new ServerProcess({
      ...options,
      name: 'our holder of exports',
      pidFile,
      isOurs: (pid) => isHolder(commandLine(pid)),
      // systemd's is started anew with its unit.
      isOutdated: (pid) => {
        if (options.unit !== null) return false;
        const words = commandLine(pid);
        return isHolder(words) && words.includes(marked) && !settings.every((one) => words.includes(one));
      },
      launch: async () => launch(options, settings),
      tryOut: () => tryOut(options, links),
      notToStart: () => conflictingServer(options),
      appearsMs: LIMITS.NBD_START_TIMEOUT_MS,
    });
  }

  override portOf({ readOnly = false }: { readonly readOnly?: boolean }): number {
    return readOnly ? this.options.readOnlyPort : this.port;
  }

  protected get clearPorts(): readonly number[] {
    const { tls, port, readOnlyPort } = this.options;
    return tls === 'require' ? [] : [port, readOnlyPort];
  }

  anticipate(): void {
    this.nbdClients.standBy(this.port);
  }

  protected async declare(target: ExportTarget): Promise<Declared> {
    this.wanted.assertCurrent(target);
    const wasThere = await this.links.leadsTo(target);
    const isRight = wasThere && (await this.links.isRight(target));
    const node = await (isRight ? this.links.verify(target) : this.links.point(target));
    return { node, wasThere, trusted: true };
  }

  protected async serve(target: ExportTarget, _: Declared, prove: Prove): Promise<ProbeResult> {
    // Whoever has the verified disk open for us serves it. Otherwise the holder is looked at, and started.
    const first = await prove();
    if (first.ok && first.nodes) return first;
    await this.links.makeFolders();
    await this.holder.ensureRunning();
    const probe = first.ok ? first : await prove();
    const { readOnlyPort } = this.options;
    if (probe.ok || !target.readOnly || isListening(readOnlyPort)) return probe;
    const message = `nothing listens on port ${readOnlyPort} for read-only exports (NBD_READ_ONLY_PORT): ${await this.howToListen()}`;
    return { ...probe, message };
  }

  /**
   * What has to be done where the holder has fewer sockets than this daemon expects: it is
   * older, or its unit is.
   */
  private async howToListen(): Promise<string> {
    const { unit } = this.options;
    return unit === null
      ? `end process ${(await this.holder.pid()) ?? '?'}, a holder from before the upgrade (nobody who is connected is cut), and publish again`
      : `give ${unit} a second ListenStream= with it, then systemctl restart ${unit} (nobody who is connected is cut)`;
  }

  protected remove(name: string): Promise<void> {
    return this.links.remove(name);
  }

  protected configured(): Promise<string[]> {
    return this.links.names();
  }

  /** Each time: ports and keys. Throws EXPORT_SERVER_UNHEALTHY. */
  protected override async prepare(): Promise<void> {
    const { port, readOnlyPort, tls, tlsDir } = this.options;
    // The configuration refuses it for NBD_BACKEND=nbdkit only: with `auto` it is known here that it is
    // nbdkit.
    if (port === readOnlyPort)
      throw unhealthy(
        `NBD_READ_ONLY_PORT is ${readOnlyPort}, as NBD_PORT is, and nbdkit needs two ports: set another one, or NBD_BACKEND=nbd-server`,
      );
    if (tls !== 'off')
      await readTlsClient(tlsDir).catch((error: unknown) => {
        throw unhealthy(`TLS has no keys: ${messageOf(error)}`, error);
      });
    await super.prepare();
  }

  protected async prepareOnce(): Promise<void> {
    await this.links.makeFolders();
    await this.holder.replaceOutdated();
  }

  protected async look() {
    await this.prepare();
    await this.readVersion();
    await this.holder.revive();
    const message = `nbdkit ${this.version ?? '?'} on port ${this.port}, a process for each client`;
    const pid = await this.holder.pid();
    const { tls, tlsDir, clock } = this.options;
    const complaints = [
      ...this.differenceText(pid),
      ...(tls === 'off' ? [] : await certificateTroubles(tlsDir, clock.now())),
    ];
    const status = complaints.length === 0 ? 'healthy' : 'degraded';
    return { status, message: [message, ...complaints].join('; '), pid, staleUntilRestart: 0 } as const;
  }

  private differenceText(pid: number | null): string[] {
    const differing = this.differingSettings(pid);
    const service = this.options.unit?.replace(/\.socket$/, '.service');
    const fix = `systemctl restart ${service ?? ''} (nobody who is connected is cut)`;
    return differing.length === 0
      ? []
      : [`its holder runs with other settings (${differing.join(', ')}): ${fix}`];
  }

  /**
   * systemd starts its holder anew with its unit only: who restarts this daemon alone has the old settings
   * there.
   */
  private differingSettings(pid: number | null): string[] {
    const { unit, holder } = this.options;
    const words = pid === null || unit === null ? [] : commandLine(pid);
    const at = words.indexOf(holder);
    // One that has ended meanwhile has no words.
    return at < 0 ? [] : differingSettings(words.slice(at + 1).filter(Boolean), this.options);
  }
}

/**
 * systemd ends an nbd-server, and with it whoever is connected, when it starts the socket of the same port.
 */
function conflictingServer({ unit, port }: NbdkitOptions): string | null {
  if (!unit?.endsWith('.socket') || !servesPort('nbd-server', port)) return null;
  return `an nbd-server has port ${port}, and the start of ${unit} would end it: stop it when no client is connected to it`;
}

/** Begins a session as for a client, which leaves at once. Throws EXPORT_SERVER_UNHEALTHY. */
async function tryOut({ binary, tls, tlsDir }: NbdkitOptions, links: ExportLinks): Promise<void> {
  await tryProgram(binary, 'nbdkit', [
    ...(await tlsArguments(tls, tlsDir)),
    ...['-s', 'file', `dir=${links.writable}`],
  ]);
}

/** It is no child of ours in any way that matters: it lives on, whatever ends us. */
function launch({ holder, logger }: NbdkitOptions, args: readonly string[]): void {
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, [holder, ...args], { stdio: 'ignore', detached: true, env });
  child.on('error', ({ message }) =>
    logger.error('The holder of exports does not start', { reason: message }),
  );
  child.unref();
}

/**
 * The first one tells a holder from those of other daemons, the second one which of them a daemon has
 * started.
 */
function holderArguments(
  options: NbdkitOptions,
  links: ExportLinks,
  pidFile: string,
): [string, string, ...string[]] {
  const { host, port, readOnlyPort } = options;
  return [
    `--exports=${links.writable}`,
    `--pid-file=${pidFile}`,
    `--listen=${host}:${port}`,
    `--exports-read-only=${links.readOnly}`,
    `--listen-read-only=${host}:${readOnlyPort}`,
    `--nbdkit=${options.binary}`,
    `--tls=${options.tls}`,
    `--tls-dir=${options.tlsDir}`,
    `--max-connections=${options.maxConnections}`,
    `--max-per-export=${options.maxPerExport}`,
    `--max-bytes-per-second=${options.maxBytesPerSecond}`,
    `--handshake-ms=${options.handshakeMs ?? LIMITS.NBD_CLIENT_HANDSHAKE_MS}`,
  ];
}
