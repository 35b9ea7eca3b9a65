import type { ClientState, Device } from '../devices/device';
import { exportName } from '../model/export-name';
import type { NewExport } from '../model/operation';

/**
 * The export server port: nbdkit, nbd-server or none. An export is named after the *volume* and
 * its target follows the volume through a link, never the letter (docs/reference/exports.md).
 */
export interface ExportTarget {
  /** `migration-vol-<volume uuid>`; [A-Za-z0-9._-]{1,128} */
  readonly name: string;
  readonly volumeId: string;
  /** The verified device, e.g. `/dev/vdb`. */
  readonly devicePath: string;
  /** Bytes the export must answer with. */
  readonly size: number;
  /** `major:minor` the device node must have, null in a lab with files. */
  readonly dev: string | null;
  /** Which plug of the disk was verified; null where the kernel does not count plugs. */
  readonly diskseq: number | null;
  /** Nobody can write through this export. Default: false. */
  readonly readOnly?: boolean;
}

/** What to publish for a volume whose disk was verified. */
export function targetOf(volumeId: string, device: Device, readOnly = false): ExportTarget {
  const { path: devicePath, size, dev, diskseq } = device;
  return { name: exportName(volumeId), volumeId, devicePath, size, dev, diskseq, readOnly };
}

/** The row of what was published. */
export function rowOf(target: ExportTarget, port: number, metadata: NewExport['metadata']): NewExport {
  const { name: exportName, volumeId, devicePath } = target;
  return { volumeId, exportName, devicePath, port, status: 'active', metadata };
}

/** What an export server has done since it was made: for metrics, tests and the bench. */
export interface ExportFigures {
  readonly reloads: number;
  readonly restarts: number;
  readonly probes: number;
  readonly probeFailures: number;
  /**
   * From the kill of the old parent to the first answer of the new one, ms; null before the first restart.
   */
  readonly lastRestartMs: number | null;
}

/** An export server, seen from the daemon: it publishes, withdraws, and says what it serves to whom. */
export interface ExportServer {
  readonly kind: 'nbdkit' | 'nbd-server' | 'none';
  readonly port: number;
  /** The port on which an export of this kind is reached. */
  portOf(access: { readonly readOnly?: boolean }): number;
  /**
   * Makes the volume reachable under its name and proves it with a handshake (name, size, whether it can be
   * written, and where the kernel shows it, the disk). Idempotent; concurrent calls share one reload. An
   * export that was writable becomes read-only and the other way round: new clients get in the new way only.
   * After EXPORT_CONFIG_FAILED or EXPORT_SERVER_UNHEALTHY no wrong disk can be served.
   */
  publish(target: ExportTarget): Promise<void>;
  /**
   * New connections fail once this resolves. Idempotent, also for a missing export. `force` cuts clients;
   * with `published`, of `list`, nothing is done when the name was published for something else since then.
   */
  withdraw(name: string, options?: { force?: boolean; published?: ExportTarget | null }): Promise<void>;
  /**
   * A hint that something will be published in a moment. Does nothing that could be noticed, and never
   * throws.
   */
  anticipate?(): void;
  /** What is configured (links, and files of nbd-server), whether or not the server answers. */
  list(): Promise<ConfiguredExport[]>;
  /** One handshake for one name. Never throws for a broken server: that is an answer. */
  probe(name: string): Promise<ProbeResult>;
  /** Who is connected to this export. */
  clients(name: string): Promise<ExportClients>;
  /**
   * The processes that serve a client of any export now, as pid and time of their start (`processIdentity`):
   * one that has got the number of another is nobody's.
   */
  clientProcesses(): Promise<ReadonlyMap<string, ClientState>>;
  health(): Promise<ExportServerHealth>;
  /** What it has done since it was made, for metrics; absent where there is nothing to count. */
  readonly figures?: ExportFigures;
  close(): Promise<void>;
}

/** Clients of an export, each in words. */
export interface ExportClients {
  readonly connected: readonly string[];
  /** Those who have left, while what served them still ends and has the disk open. */
  readonly leaving: readonly string[];
}

/** An export that is configured, whether or not the server answers. */
export interface ConfiguredExport {
  readonly name: string;
  readonly volumeId: string;
  /** Where the link points now, null when there is no link (fails closed). */
  readonly target: string | null;
  /**
   * The plug of the disk (diskseq) for which the link was made, by whichever process; null: it does not say.
   */
  readonly plug: number | null;
  /** What this process has published it for; null: an earlier one has. */
  readonly published: ExportTarget | null;
}

export type ProbeResult =
  | {
      readonly ok: true;
      readonly size: number;
      readonly readOnly: boolean;
      readonly flush: boolean;
      readonly fua: boolean;
      /**
       * What the process that answered has open (device, inode and device number of each node); null or
       * absent when nobody looked, or the kernel does not show it.
       */
      readonly nodes?: readonly string[] | null;
      readonly ms: number;
    }
  | {
      readonly ok: false;
      readonly reason: 'unknown-export' | 'refused' | 'denied' | 'timeout' | 'protocol' | 'tls' | 'disabled';
      readonly message: string;
      readonly ms: number;
    };

/** How the server is, for health, metrics and the page. */
export interface ExportServerHealth {
  /** degraded: it serves, and not as it was told to. */
  readonly status: 'healthy' | 'degraded' | 'unhealthy' | 'disabled';
  readonly message: string;
  readonly version: string | null;
  readonly pid: number | null;
  /** Names withdrawn from the configuration that the running server still remembers; they fail closed. */
  readonly staleUntilRestart: number;
}
