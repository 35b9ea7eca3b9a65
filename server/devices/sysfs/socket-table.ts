import { SocketAddress } from 'node:net';
import { isLoopback } from '../../core/is-loopback';
import type { ClientState } from '../device';
import { textIn } from './kernel-files';
import {
  hasOpen,
  ownsSocket,
  parentOf,
  pidIn,
  pids,
  pidsNamed,
  pidsThat,
  runs,
  socketsOf,
} from './process-table';

/* What /proc tells about who listens and who is connected. */

/** The states of a TCP connection, as the kernel writes them. */
const ESTABLISHED = '01';
const LISTENING = '0A';
/** The flags of a unix socket that listens. */
const ACCEPTS = '00010000';

/** A server program, and which of its processes are ours. */
export interface Program {
  readonly binary: string;
  /**
   * Was this process started for us? Its name proves nothing, since others run the same programs; its command
   * line names our folder or our configuration, and everybody may read it.
   */
  readonly isOurs: (pid: number) => boolean;
  /** Where clients reach it. */
  readonly ports: readonly number[];
}

/** One client of a server that gives each a process of its own. */
export interface Connection {
  /** The process that serves it. */
  readonly pid: number;
  /** `address:port` of the client, null when unknown (a unix socket, or a process we may not look into). */
  readonly peer: string | null;
  readonly state: ClientState;
}

/**
 * Clients that processes of ours connect to this disk, or to any. A process that may not be looked into
 * counts: an unknown client is a client.
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

/**
 * The process at the other end of our own connection, null when the kernel does not show it. `earlier`: those
 * that there were before it was made.
 */
export async function processBehind(
  { binary, isOurs }: Program,
  serverPort: number,
  clientPort: number,
  earlier: ReadonlySet<number>,
): Promise<number | null> {
  // It was started for this connection and has greeted, so it is among the new ones. Only when others have
  // connected meanwhile, the table of sockets has to tell which one it is.
  const [started, ...more] = pids().filter((pid) => !earlier.has(pid) && runs(pid, binary) && isOurs(pid));
  if (started !== undefined && more.length === 0) return started;
  const [ours, theirs] = [portEnd(clientPort), portEnd(serverPort)];
  const line = socketTable().find(({ local, remote }) => local.endsWith(theirs) && remote.endsWith(ours));
  const inode = line?.inode;
  if (inode === undefined) return null;
  return (await pidsNamed(binary)).findLast((pid) => socketsOf(pid)?.includes(inode)) ?? null;
}

/** Inodes of the sockets that listen on a TCP port. */
export function listeningSockets(port: number): ReadonlySet<string> {
  const lines = socketTable().filter(
    ({ state, local }) => state === LISTENING && local.endsWith(portEnd(port)),
  );
  return new Set(lines.map(({ inode }) => inode));
}

/** `address:port` of the sockets that other machines may reach, where they listen on one of these ports. */
export function openAddresses(ports: readonly number[]): string[] {
  const ends = ports.map(portEnd);
  const listening = socketTable().filter(
    ({ state, local }) => state === LISTENING && ends.includes(local.slice(-5)),
  );
  const addresses = listening.map(({ local }) => readableAddress(local));
  return [...new Set(addresses)]
    .sort()
    .filter((one) => !isLoopback(one.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')));
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

/**
 * The process of ours that listens on a port, null when there is none. The pid file is only a hint: it must
 * be such a process, too. If it is wrong, all processes are searched, whatever they are called: Node 24 calls
 * itself `MainThread`.
 */
export async function findListener(
  isOurs: (pid: number) => boolean,
  port: number,
  pidFile: string,
): Promise<number | null> {
  const listeners = listeningSockets(port);
  if (listeners.size === 0) return null;
  // A child has the socket of its parent for a moment, and serves a client: it must not be
  // taken for the parent.
  const isIt = (pid: number) => isOurs(pid) && !isOurs(parentOf(pid)) && ownsSocket(pid, listeners) !== false;
  const hint = pidIn(pidFile);
  if (hint !== null && isIt(hint)) return hint;
  return (await pidsThat(isIt))[0] ?? null;
}

interface SocketLine {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly inode: string;
}

/** The TCP sockets of this network. To read them takes the kernel milliseconds, however few there are. */
function socketTable(): SocketLine[] {
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    textIn(table)
      .split('\n')
      .slice(1, -1)
      .map((line) => {
        const [, local = '', remote = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
        return { local, remote, state, inode };
      }),
  );
}

/** Does a process of this network listen on the unix socket of this path? */
export function isListeningAt(path: string): boolean {
  const lines = textIn('/proc/net/unix').split('\n').slice(1, -1);
  return lines.some((line) => line.split(/\s+/)[3] === ACCEPTS && line.endsWith(` ${path}`));
}

/** Inodes of the unix sockets that have the address of a server: its clients' connections inherit it. */
function unixServers(): ReadonlySet<string> {
  const lines = textIn('/proc/net/unix').split('\n').slice(1, -1);
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
  return `[${new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address}]:${number}`;
}
