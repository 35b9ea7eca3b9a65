import { type BigIntStats, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { hasCode } from '../../core/has-code';
import { textIn } from './kernel-files';
import { deviceIn, SECOND_NAMES } from './second-names';

/*
 * What /proc tells about processes that run now. Read synchronously, which is many times faster
 * than the thread pool. Who looks for the users of a disk asks ./descriptors.ts, which tells what
 * it could not see, too.
 */

/** The kernel keeps 15 characters of a program's name. */
const COMMAND_CHARACTERS = 15;
/** Processes looked at before the rest of the daemon gets a turn. */
const AT_A_STRETCH = 256;
/** Up to here are no disks: input, output and errors, which may be a file. */
const STANDARD_DESCRIPTORS = 2;

/** What a pid file says. */
export function pidIn(file: string): number | null {
  const pid = Number(textIn(file).trim());
  return Number.isInteger(pid) && pid > 1 ? pid : null;
}

/** 0 when there is no such process. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(textIn(`/proc/${pid}/status`))?.[1] ?? 0);
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

/**
 * Has the user that runs this process started that one? Names and command lines prove nothing: everybody may
 * give any to a process. Nor does the user whose rights it has: a program may have those of root whoever
 * starts it.
 */
export function isOfThisUser(pid: number): boolean {
  const real = /^Uid:\s*(\d+)/m.exec(textIn(`/proc/${pid}/status`))?.[1];
  return real !== undefined && Number(real) === process.getuid?.();
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
  return textIn(`/proc/${pid}/cmdline`).split('\0');
}

/** Is one of these sockets the process's? Null when we may not look into it. */
export function ownsSocket(pid: number, sockets: ReadonlySet<string>): boolean | null {
  return socketsOf(pid)?.some((inode) => sockets.has(inode)) ?? null;
}

/** Processes of a program that does not rename itself, by its name. */
export function pidsNamed(binary: string): Promise<number[]> {
  return pidsThat((pid) => runs(pid, binary));
}

/** Processes that are wanted, of all that there are. */
export async function pidsThat(isWanted: (pid: number) => boolean): Promise<number[]> {
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

/** Is this a process of that program, which does not rename itself? */
export function runs(pid: number, binary: string): boolean {
  return textIn(`/proc/${pid}/comm`).trim() === basename(binary).slice(0, COMMAND_CHARACTERS);
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
export function socketsOf(pid: number): string[] | null {
  try {
    return descriptorsOf(pid).flatMap(({ link }) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
  } catch (error) {
    return hasCode(error, 'EACCES', 'EPERM') ? null : [];
  }
}

/**
 * Has the process this disk open? By the opened node: right for a letter that belongs to another disk by now
 * (udev makes a new node for it). Where the node is gone already, by the path it had, or its second name.
 */
export function hasOpen(pid: number, target: string): boolean {
  const wanted = statOf(target);
  if (wanted !== null) return openNodes(pid)?.includes(nodeKey(wanted)) ?? false;
  try {
    return descriptorsOf(pid).some(({ link }) => {
      const path = link.replace(/ \(deleted\)$/, '');
      return path === target || (dirname(path) === SECOND_NAMES && join('/dev', deviceIn(path)) === target);
    });
  } catch {
    return false; // it has ended
  }
}

function statOf(path: string): BigIntStats | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

/**
 * Ends a process, or with a negative number its group; one that has left by itself is fine. Default: at once.
 */
export function end(pid: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has left by itself.
  }
}
