import { type BigIntStats, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { hasCode } from '../core/has-code';

/*
 * What /proc tells about export servers. Each client has a process of its own, which has the client's
 * connection and the disk open: a child that nbd-server forks, or an nbdkit that the holder starts. Read
 * synchronously, which is many times faster than the thread pool.
 */

/** The kernel keeps 15 characters of a program's name. */
const COMMAND_CHARACTERS = 15;
/** Processes looked at before the rest of the daemon gets a turn. */
const AT_A_STRETCH = 256;
const DEFAULT_CONFIG = '/etc/nbd-server/config';

export interface ServerProgram {
  readonly binary: string;
  readonly baseConfig: string;
  readonly pidFile: string;
  readonly port: number;
}

/** One client of an export server. */
export interface Connection {
  /** The process that serves it. */
  readonly pid: number;
  /** `address:port` of the client, null when unknown (a unix socket, or a process we may not look into). */
  readonly peer: string | null;
}

/**
 * The parent process of *our* nbd-server, null when it does not run. The pid file is only a hint: it must be
 * that program, with our configuration, no child of another one, and listen on the port. If the hint is
 * wrong, such a process is searched for.
 */
export async function findMainPid(program: ServerProgram): Promise<number | null> {
  const hinted = hintedPid(program);
  if (hinted !== null) return hinted;
  const listeners = listeningSockets(program.port);
  if (listeners.size === 0) return null;
  for (const pid of await pidsOf(program)) {
    const owned = socketsOf(pid) ?? [];
    if (owned.some((inode) => listeners.has(inode)) && isOurParent(pid, program)) return pid;
  }
  return null;
}

/** The parent process named in the pid file, if that is true. Much cheaper than a search. */
export function hintedPid(program: ServerProgram): number | null {
  const hint = Number(text(program.pidFile).trim());
  if (!Number.isInteger(hint) || hint < 2 || !isOurParent(hint, program)) return null;
  // Not a server that is about to end for a taken port, nor a child whose parent was killed.
  return ownsSocket(hint, listeningSockets(program.port)) === false ? null : hint;
}

/** Does this process still run as that program? A zombie does not. */
export function isAlive(pid: number, program: ServerProgram): boolean {
  return statusOf(pid, program) !== null;
}

/** Distinguishes two processes that had the same number one after the other. */
export function processIdentity(pid: number): string {
  const fields = text(`/proc/${pid}/stat`).split(') ').at(-1)?.split(' ') ?? [];
  return `${pid}@${fields[19] ?? '?'}`;
}

/** Clients that `parent` serves at the moment, whatever they are connected to. */
export async function childrenOf(parent: number, program: ServerProgram): Promise<number[]> {
  return (await pidsOf(program)).filter((pid) => statusOf(pid, program)?.parent === parent);
}

/**
 * How the processes that serve the clients of an export server are recognized: one process serves one client.
 */
export interface ClientProcesses {
  readonly binary: string;
  /**
   * May this process of that program serve a client of ours? Asked when the kernel lets us see no more of it.
   */
  readonly mayBeOurs: (pid: number) => boolean;
}

/** A process of nbd-server that a parent has forked for a client. */
export function isForkedChild(pid: number, program: ServerProgram): boolean {
  return statusOf(pid, program)?.parentIsServer === true;
}

/**
 * Clients connected to this disk, whoever has started the process that serves them. A process that may not be
 * looked into counts: an unknown client is a client.
 */
export async function connectionsTo(target: string, serving: ClientProcesses): Promise<Connection[]> {
  const wanted = statOf(target);
  const peers = peersByInode();
  const found: Connection[] = [];
  for (const pid of await pidsNamed(commandName(serving.binary))) {
    const sockets = socketsOf(pid);
    if (sockets === null) {
      if (serving.mayBeOurs(pid)) found.push({ pid, peer: null });
      continue;
    }
    if (!opened(pid, target, wanted)) continue;
    found.push({ pid, peer: sockets.map((inode) => peers.get(inode)).find((peer) => peer) ?? null });
  }
  return found;
}

/**
 * The disks that the process at the other end of our own connection has open (`nodeKey`), null when the
 * kernel does not show them.
 */
export async function nodesBehind(
  binary: string,
  connection: { readonly serverPort: number; readonly clientPort: number },
): Promise<readonly string[] | null> {
  const inode = serverSocket(connection);
  if (inode === null) return null;
  // The process was started for us a moment ago, so it is probably among the last ones.
  for (const pid of (await pidsNamed(commandName(binary))).reverse())
    if (socketsOf(pid)?.includes(inode)) return openNodes(pid);
  return null;
}

/** Up to here are no disks: input, output and errors, which may be a file. */
const STANDARD_DESCRIPTORS = 2;

/** Block devices, and files of a laboratory, that a process has open; null when it may not be looked into. */
export function openNodes(pid: number): readonly string[] | null {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((name) => {
      if (Number(name) <= STANDARD_DESCRIPTORS || !linkText(join(folder, name)).startsWith('/')) return [];
      const file = statOf(join(folder, name));
      return file !== null && (file.isBlockDevice() || file.isFile()) ? [nodeKey(file)] : [];
    });
  } catch {
    return null;
  }
}

/** Tells a device node from every other one, also from a later one of the same name. */
export function nodeKey({ dev, ino, rdev }: Pick<BigIntStats, 'dev' | 'ino' | 'rdev'>): string {
  return `${dev}:${ino}:${rdev}`;
}

/** Processes that this one has started and not lost; null when the kernel does not tell. */
export function childrenOfProcess(pid: number): readonly number[] | null {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  } catch (error) {
    // A process that is gone has none; a kernel without this file does not tell.
    return hasCode(error, 'ENOENT') && commandLine(pid).length > 1 ? null : [];
  }
}

/** The words of a command line; empty when the process is gone. */
export function commandLine(pid: number): readonly string[] {
  return text(`/proc/${pid}/cmdline`).split('\0');
}

/** A zombie is not a server: it holds nothing, and only waits for its parent to notice. */
function statusOf(pid: number, program: ServerProgram): { parent: number; parentIsServer: boolean } | null {
  const status = text(`/proc/${pid}/status`);
  if (commandIn(status) !== command(program) || /^State:\s*[ZX]/m.test(status)) return null;
  const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  return {
    parent,
    parentIsServer: parent > 1 && commandIn(text(`/proc/${parent}/status`)) === command(program),
  };
}

function isOurParent(pid: number, program: ServerProgram): boolean {
  const status = statusOf(pid, program);
  if (!status || status.parentIsServer) return false;
  const words = commandLine(pid);
  const at = words.findIndex((word) => word === '-C' || word === '--config-file');
  return (at < 0 ? DEFAULT_CONFIG : words[at + 1]) === program.baseConfig;
}

function command(program: ServerProgram): string {
  return commandName(program.binary);
}

/** What the kernel calls a process of this program. */
export function commandName(binary: string): string {
  return basename(binary).slice(0, COMMAND_CHARACTERS);
}

function commandIn(status: string): string | undefined {
  return /^Name:\s*(.*)$/m.exec(status)?.[1];
}

function pidsOf(program: ServerProgram): Promise<number[]> {
  return pidsNamed(command(program));
}

/** Processes that the kernel knows by this name. */
export async function pidsNamed(name: string): Promise<number[]> {
  const found: number[] = [];
  for (const [index, pid] of readdirSync('/proc').entries()) {
    if (index % AT_A_STRETCH === AT_A_STRETCH - 1) await breathe();
    if (runs(pid, name)) found.push(Number(pid));
  }
  return found;
}

function runs(pid: string, name: string): boolean {
  return /^\d+$/.test(pid) && text(`/proc/${pid}/comm`).trim() === name;
}

/** Inodes of a process's sockets; null when we have no permission to look. */
function socketsOf(pid: number): string[] | null {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((name) => {
      const link = linkText(join(folder, name));
      return /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [];
    });
  } catch (error) {
    return hasCode(error, 'EACCES', 'EPERM') ? null : [];
  }
}

/** What a descriptor leads to, '' when it has been closed meanwhile. Throws when we may not look. */
function linkText(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  }
}

/**
 * By device and inode of the opened node: right for a letter that belongs to another disk by now (udev makes
 * a new node for it). Where the node is gone already, by the path it had.
 */
function opened(pid: number, target: string, wanted: BigIntStats | null): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((name) => {
      const link = linkText(join(folder, name));
      if (!link.startsWith('/')) return false;
      if (wanted === null) return link === target || link === `${target} (deleted)`;
      const file = statOf(join(folder, name));
      return file !== null && file.dev === wanted.dev && file.ino === wanted.ino;
    });
  } catch {
    return false; // it has ended
  }
}

function statOf(path: string): BigIntStats | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

const LISTENING = '0A';
const ESTABLISHED = '01';

interface SocketLine {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly inode: string;
}

function socketTable(): SocketLine[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    text(table)
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .map(([, local = '', remote = '', state = '', , , , , , inode = '']) => ({
        local,
        remote,
        state,
        inode,
      })),
  );
}

/** Inodes of the sockets that listen on a TCP port. */
export function listeningSockets(port: number): Set<string> {
  const end = localPort(port);
  const lines = socketTable();
  return new Set(
    lines.filter(({ state, local }) => state === LISTENING && local.endsWith(end)).map(({ inode }) => inode),
  );
}

/** Does any process listen on this TCP port? */
export function isListening(port: number): boolean {
  return listeningSockets(port).size > 0;
}

/** Does a process of this program listen on the port? Also true without permission to look into one. */
export function servesPort(binary: string, port: number): boolean {
  const listeners = listeningSockets(port);
  if (listeners.size === 0) return false;
  return readdirSync('/proc').some(
    (pid) => runs(pid, commandName(binary)) && ownsSocket(Number(pid), listeners) !== false,
  );
}

/** May a process of this program listen on its port? Also true without permission to look into one. */
export async function mayOwnPort(program: ServerProgram): Promise<boolean> {
  const listeners = listeningSockets(program.port);
  return (await pidsOf(program)).some((pid) => ownsSocket(pid, listeners) !== false);
}

/** Is one of these sockets the process's? Null when we may not look into it. */
export function ownsSocket(pid: number, sockets: ReadonlySet<string>): boolean | null {
  return socketsOf(pid)?.some((inode) => sockets.has(inode)) ?? null;
}

/** The server's end of a connection on this machine. */
function serverSocket({ serverPort, clientPort }: { serverPort: number; clientPort: number }): string | null {
  const [local, remote] = [localPort(serverPort), localPort(clientPort)];
  return (
    socketTable().find(
      (line) => line.state === ESTABLISHED && line.local.endsWith(local) && line.remote.endsWith(remote),
    )?.inode ?? null
  );
}

function localPort(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

function peersByInode(): Map<string, string> {
  const lines = socketTable().filter(({ state }) => state === ESTABLISHED);
  return new Map(lines.map(({ inode, remote }) => [inode, readableAddress(remote)]));
}

/** `0100007F:A86E` → `127.0.0.1:43118`: addresses are words in little-endian order. */
function readableAddress(hex: string): string {
  const [address = '', port = ''] = hex.split(':');
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((pair) => Number.parseInt(pair, 16)),
  );
  const number = Number.parseInt(port, 16);
  const v4 = bytes.slice(-4).join('.');
  const mapped = bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255;
  if (bytes.length === 4 || mapped) return `${v4}:${number}`;
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  return `[${groups.join(':')}]:${number}`;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
