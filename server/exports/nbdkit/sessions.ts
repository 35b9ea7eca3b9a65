import { childrenOfProcess, commandLine, openNodes, socketsOf } from '../../devices/sysfs/process-table';

/** The kernel does not show it: such a client counts in all, but for no export. */
export const UNKNOWN_DISK = '?';

/** One client and the process that serves it. */
interface Session {
  /** What it has open, null while it has not asked for an export yet. */
  disk: string | null;
  /** ms of the caller's clock when it began. */
  readonly since: number;
}

export interface SessionBounds {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one export. */
  readonly perExport: number;
  /** ms that a client may take to ask for an export. */
  readonly handshakeMs: number;
}

/** What the kernel says of the processes that serve clients. */
export interface SessionProcesses {
  /** Does this process still serve a client of ours? */
  isServing(pid: number): boolean;
  /** The disk that it has open (`nodeKey`), null while it has none. */
  diskOf(pid: number): string | null;
}

/**
 * Who is connected: a process each. Processes that another holder has started count, too: they outlive their
 * holder.
 */
export class Sessions {
  private readonly sessions = new Map<number, Session>();

  constructor(
    private readonly bounds: SessionBounds,
    private readonly processes: SessionProcesses,
  ) {}

  add(pid: number, now: number): void {
    this.sessions.set(pid, { disk: null, since: now });
  }

  ended(pid: number): void {
    this.sessions.delete(pid);
  }

  pids(): number[] {
    return [...this.sessions.keys()];
  }

  /** Why nobody more is let in, null while there is room. */
  refusal(): string | null {
    const { connections } = this.bounds;
    if (this.sessions.size >= connections) this.forgetEnded();
    return this.sessions.size < connections
      ? null
      : `${this.sessions.size} clients are connected, more are not allowed (NBD_MAX_CONNECTIONS); try again later`;
  }

  /** Is there a client of which it is not known yet what it wants? */
  get areUndecided(): boolean {
    return [...this.sessions.values()].some(({ disk }) => disk === null);
  }

  /** Looks what the new ones have opened; returns those that must end: too many of them, or too slow. */
  review(now: number): { readonly pid: number; readonly reason: string }[] {
    this.forgetEnded();
    const undecided = [...this.sessions].filter(([, { disk }]) => disk === null);
    return undecided.flatMap(([pid, session]) => {
      session.disk = this.processes.diskOf(pid);
      const reason = this.tooMuch(session, now);
      return reason === null ? [] : [{ pid, reason }];
    });
  }

  private tooMuch({ disk, since }: Session, now: number): string | null {
    const { handshakeMs, perExport } = this.bounds;
    if (disk === null)
      return now - since > handshakeMs ? `it has not asked for an export within ${handshakeMs} ms` : null;
    const sharing = [...this.sessions.values()].filter((other) => other.disk === disk).length;
    return disk === UNKNOWN_DISK || sharing <= perExport
      ? null
      : `${perExport} clients of this export are connected already (NBD_MAX_PER_EXPORT)`;
  }

  private forgetEnded(): void {
    for (const pid of this.sessions.keys()) if (!this.processes.isServing(pid)) this.sessions.delete(pid);
  }
}

/**
 * nbdkit that serves its standard input asks the kernel to be ended with its parent. The parent is therefore
 * a shell that waits for it, not the holder: a session is that shell and its one child, in a process group.
 */
export const SHELL = 'sh';
const SCRIPT = '"$0" "$@"; exit';
/**
 * Requests of one connection that are worked on at once: nbdkit's own 16 read no quicker
 * (docs/decisions/0008).
 */
const THREADS = ['-t', '8'];

/**
 * What a client's nbdkit has in its environment. glibc gives a buffer of more than 128 KiB pages of its own,
 * and reads from the page cache into such buffers were measured to be slower by a tenth
 * (docs/decisions/0008). A server that lives long gets away from that, since glibc raises the limit when the
 * first client leaves; ours, which serve one client each, are told at the start. 32 MiB is the most that
 * glibc takes. Other C libraries pass it over.
 */
export const SESSION_ENVIRONMENT = {
  GLIBC_TUNABLES: `glibc.malloc.mmap_threshold=${32 * 1024 * 1024}`,
} as const;

/** A socket, and the folder of links that is its table of exports. */
export interface Door {
  readonly exportsDir: string;
  /** Its clients cannot write: nbdkit must be told before a client says which export it wants. */
  readonly readOnly: boolean;
}

export interface SessionOptions {
  readonly nbdkit: string;
  /** Options of nbdkit: TLS. */
  readonly args: readonly string[];
  /** Bits a second, for reading and for writing each; null: no limit. */
  readonly rate: number | null;
}

/** What the holder starts for a client. */
export function sessionCommand({ nbdkit, args, rate }: SessionOptions, door: Door): string[] {
  const options = [THREADS, rate === null ? [] : '--filter=rate', args, door.readOnly ? '-r' : []].flat(2);
  const parameters = [`dir=${door.exportsDir}`, rate === null ? [] : `rate=${rate}`].flat();
  return [SHELL, '-c', SCRIPT, nbdkit, ...options, '-s', 'file', ...parameters];
}

/**
 * What each client of an export may take, bits a second, so that all that it may have stay below the limit of
 * the export (bytes a second; 0: no limit). Never 0, which nbdkit takes for no limit.
 */
export function rateOfClient(exportBytes: number, perExport: number): number | null {
  return exportBytes === 0 ? null : Math.ceil((exportBytes * 8) / perExport);
}

/** The sessions of this machine that serve these folders of exports; named by their shell. */
export function sessionsOf(exportsDirs: readonly string[]): SessionProcesses {
  return {
    isServing: (pid) => exportsDirs.some((exportsDir) => servesFolder(pid, exportsDir)),
    diskOf: (pid) => {
      const children = childrenOfProcess(pid);
      // A kernel that does not tell must not look like a client that never asks for an export, nor must a
      // process that may not be looked into: one that a holder with more capabilities has started.
      if (children === null || children.some((child) => socketsOf(child) === null)) return UNKNOWN_DISK;
      return children.flatMap((child) => openNodes(child) ?? [])[0] ?? null;
    },
  };
}

/** Is this an nbdkit that serves a client of this folder? Readable for everybody. */
export function servesFolder(pid: number, exportsDir: string): boolean {
  return commandLine(pid).includes(`dir=${exportsDir}`);
}
