import { textIn } from './kernel-files';
import { ownsSocket, parentOf, pidIn, pids, pidsThat, runs } from './process-table';

/** The states of a TCP connection, as the kernel writes them. */
export const ESTABLISHED = '01';
export const LISTENING = '0A';

interface SocketLine {
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly inode: string;
}

/** The TCP sockets of this network. To read them takes the kernel milliseconds, however few there are. */
export function socketTable(): SocketLine[] {
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

/** Inodes of the unix sockets that have the address of a server: its clients' connections inherit it. */
export function unixServers(): ReadonlySet<string> {
  const lines = textIn('/proc/net/unix').split('\n').slice(1, -1);
  return new Set(
    lines.map((line) => line.trim().split(/\s+/)).flatMap((words) => (words[7] ? (words[6] ?? []) : [])),
  );
}

/** How the addresses of a port end in the kernel's table. */
export function portEnd(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** `0100007F:A86E` → `127.0.0.1:43118`: addresses are words in little-endian order. */
export function readableAddress(hex: string): string {
  const [address = '', port = ''] = hex.split(':');
  const bytes = Buffer.from(address, 'hex').swap32();
  const number = Number.parseInt(port, 16);
  const isMapped = bytes.length === 16 && bytes.toString('hex').startsWith('00000000000000000000ffff');
  if (bytes.length === 4 || isMapped) return `${bytes.subarray(-4).join('.')}:${number}`;
  const groups = bytes.toString('hex').match(/.{4}/g) ?? [];
  return `[${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}]:${number}`;
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

/**
 * The process of ours that listens on a port, null when there is none. The pid file is only a hint: it must be
 * such a process, too. If it is wrong, all processes are searched, whatever they are called: Node 24 calls
 * itself `MainThread`.
 */
export async function findListener(
  isOurs: (pid: number) => boolean,
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
