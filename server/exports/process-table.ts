import { type BigIntStats, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { hasCode } from '../core/has-code';
import type { ClientState } from '../devices/device';

/*
 * What /proc tells about export servers. Each client has a process of its own, which has the client's
 * connection and the disk open: a child that nbd-server forks, or an nbdkit that the holder starts. Read
 * synchronously, which is many times faster than the thread pool.
 */

/** The kernel keeps 15 characters of a program's name. */
const COMMAND_CHARACTERS = 15;
/** Processes looked at before the rest of the daemon gets a turn. */
const AT_A_STRETCH = 256;
/** Up to here are no disks: input, output and errors, which may be a file. */
const STANDARD_DESCRIPTORS = 2;
const ESTABLISHED = '01';
const LISTENING = '0A';

/** A program, and which of its processes are ours. */
export interface Program {
  readonly binary: string;
  /**
   * Was this process started for our exports? Its name proves nothing, since others run the same programs; its
   * command line names our folder of exports or our configuration, and everybody may read it.
   */
  readonly isOurs: (pid: number) => boolean;
  /** Where clients reach it. */
  readonly ports: readonly number[];
}

/** One client of an export server. */
export interface Connection {
  /** The process that serves it. */
  readonly pid: number;
  /** `address:port` of the client, null when unknown (a unix socket, or a process we may not look into). */
  readonly peer: string | null;
  readonly state: ClientState;
}

/**
 * The process of ours that listens on a port, null when there is none. The pid file is only a hint: it must be
 * such a process, too. If it is wrong, all processes are searched, whatever they are called: Node 24 calls
 * itself `MainThread`.
 */
export async function findListener(
  isOurs: Program['isOurs'],
  port: number,
  pidFile: string,
): Promise<number | null> {
  const listeners = listeningSockets(port);
  if (listeners.size === 0) return null;
  // A child has the socket of its parent for a moment, and serves a client: it must not be taken for the parent.
  const isIt = (pid: number) => isOurs(pid) && !isOurs(parentOf(pid)) && ownsSocket(pid, listeners) !== false;
  const hint = pidIn(pidFile);
  if (hint !== null && isIt(hint)) return hint;
  return (await pidsThat(isIt))[0] ?? null;
}

/** What a pid file says. */
export function pidIn(file: string): number | null {
  const pid = Number(text(file).trim());
  return Number.isInteger(pid) && pid > 1 ? pid : null;
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(text(`/proc/${pid}/status`))?.[1] ?? 0);
}

/**
 * Clients that processes of ours connect to this disk, or to any. A process that may not be looked into counts:
 * an unknown client is a client.
 */
export async function connectionsOf(
  { binary, isOurs, ports }: Program,
  target?: string,
): Promise<Connection[]> {
  const serving = (await pidsNamed(binary))
    .filter(isOurs)
    .map((pid) => ({ pid, sockets: socketsOf(pid) }))
    .filter(({ pid, sockets }) => sockets === null || target === undefined || hasOpen(pid, target));
  if (serving.length === 0) return [];
  // Read after the sockets of the processes, so that a connection which is in neither table is closed.
  const [tcp, unix] = [socketTable(), unixServers()];
  const showsOurs = ports.some((port) => tcp.some(({ local }) => local.endsWith(portEnd(port))));
  return serving.map(({ pid, sockets }) => {
    const own = tcp.filter(({ inode, state }) => state !== LISTENING && sockets?.includes(inode));
    const stands = own.some(({ state }) => state === ESTABLISHED);
    // Where the client cannot be seen: a unix socket does not tell whether its other end is there, and the
    // connections of another network are not in our table.
    const isHidden = sockets === null || sockets.some((inode) => unix.has(inode)) || !showsOurs;
    const hasLeft = !stands && (own.length > 0 || !isHidden);
    const peer = own[0] === undefined ? null : readableAddress(own[0].remote);
    return { pid, peer, state: hasLeft ? 'leaving' : 'connected' };
  });
}

/** A connection of ours to an export server, and the processes that there were before it was made. */
export interface OwnConnection {
  readonly serverPort: number;
  readonly clientPort: number;
  readonly earlier: ReadonlySet<number>;
}

/** The process at the other end of our own connection, null when the kernel does not show it. */
export async function processBehind(
  { binary, isOurs }: Program,
  { serverPort, clientPort, earlier }: OwnConnection,
): Promise<number | null> {
  // It was started for this connection and has greeted, so it is among the new ones. Only when others have
  // connected meanwhile, the table of sockets has to tell which one it is: to read that takes the kernel milliseconds, however few there are.
  const [started, ...more] = pids().filter((pid) => !earlier.has(pid) && runs(pid, binary) && isOurs(pid));
  if (started !== undefined && more.length === 0) return started;
  const [local, remote] = [portEnd(serverPort), portEnd(clientPort)];
  const isIt = (line: SocketLine) => line.local.endsWith(local) && line.remote.endsWith(remote);
  const inode = socketTable().find(isIt)?.inode;
  if (inode === undefined) return null;
  return (await pidsNamed(binary)).findLast((pid) => socketsOf(pid)?.includes(inode)) ?? null;
}

/** Block devices, and files of a laboratory, that a process has open; null when it may not be looked into. */
export function openNodes(pid: number): readonly string[] | null {
  try {
    return descriptorsOf(pid).flatMap(({ path, link }) => {
      if (Number(basename(path)) <= STANDARD_DESCRIPTORS || !link.startsWith('/')) return [];
      const file = statOf(path);
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

/** The words of a command line; empty when the process is gone, or a zombie. */
export function commandLine(pid: number): readonly string[] {
  return text(`/proc/${pid}/cmdline`).split('\0');
}

/** Inodes of the sockets that listen on a TCP port. */
export function listeningSockets(port: number): ReadonlySet<string> {
  const lines = socketTable().filter(
    ({ state, local }) => state === LISTENING && local.endsWith(portEnd(port)),
  );
  return new Set(lines.map(({ inode }) => inode));
}

/** Does any process listen on this TCP port? */
export function isListening(port: number): boolean {
  return listeningSockets(port).size > 0;
}

/** Does a process of this program listen on the port? Also true without permission to look into one. */
export function servesPort(binary: string, port: number): boolean {
  const listeners = listeningSockets(port);
  if (listeners.size === 0) return false;
  return pids().some((pid) => runs(pid, binary) && ownsSocket(pid, listeners) !== false);
}

/** Is one of these sockets the process's? Null when we may not look into it. */
export function ownsSocket(pid: number, sockets: ReadonlySet<string>): boolean | null {
  return socketsOf(pid)?.some((inode) => sockets.has(inode)) ?? null;
}

/** Processes of a program that does not rename itself, by its name. */
export function pidsNamed(binary: string): Promise<number[]> {
  return pidsThat((pid) => runs(pid, binary));
}

async function pidsThat(isWanted: (pid: number) => boolean): Promise<number[]> {
  const found: number[] = [];
  for (const [index, pid] of pids().entries()) {
    if (index % AT_A_STRETCH === AT_A_STRETCH - 1) await breathe();
    if (isWanted(pid)) found.push(pid);
  }
  return found;
}

/** All processes. */
export function pids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

function runs(pid: number, binary: string): boolean {
  return text(`/proc/${pid}/comm`).trim() === basename(binary).slice(0, COMMAND_CHARACTERS);
}

/** What a process has open. Throws when we may not look. */
function descriptorsOf(pid: number): { readonly path: string; readonly link: string }[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    try {
      return [{ path, link: readlinkSync(path) }];
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []; // closed meanwhile
      throw error;
    }
  });
}

/** Inodes of a process's sockets; null when we have no permission to look. */
function socketsOf(pid: number): string[] | null {
  try {
    return descriptorsOf(pid).flatMap(({ link }) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
  } catch (error) {
    return hasCode(error, 'EACCES', 'EPERM') ? null : [];
  }
}

/**
 * By the opened node: right for a letter that belongs to another disk by now (udev makes a new node for it). Where
 * the node is gone already, by the path it had.
 */
function hasOpen(pid: number, target: string): boolean {
  const wanted = statOf(target);
  if (wanted !== null) return openNodes(pid)?.includes(nodeKey(wanted)) ?? false;
  try {
    return descriptorsOf(pid).some(({ link }) => link === target || link === `${target} (deleted)`);
  } catch {
    return false; // it has ended
  }
}

function statOf(path: string): BigIntStats | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

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
      .slice(1, -1)
      .map((line) => {
        const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
        return { local, remote, state, inode };
      }),
  );
}

/** Inodes of the unix sockets that have the address of a server: its clients' connections inherit it. */
function unixServers(): ReadonlySet<string> {
  const lines = text('/proc/net/unix').split('\n').slice(1, -1);
  return new Set(
    lines.map((line) => line.trim().split(/\s+/)).flatMap((words) => (words[7] ? (words[6] ?? []) : [])),
  );
}

/** How the addresses of a port end in the kernel's table. */
function portEnd(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** `0100007F:A86E` → `127.0.0.1:43118`: addresses are words in little-endian order. */
function readableAddress(hex: string): string {
  const [address = '', port = ''] = hex.split(':');
  const bytes = Buffer.from(address, 'hex').swap32();
  const number = Number.parseInt(port, 16);
  const isMapped = bytes.length === 16 && bytes.toString('hex').startsWith('00000000000000000000ffff');
  if (bytes.length === 4 || isMapped) return `${bytes.subarray(-4).join('.')}:${number}`;
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return `[${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}]:${number}`;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
