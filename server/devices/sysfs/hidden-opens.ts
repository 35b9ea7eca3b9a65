import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import type { BlockTarget } from './block-target';
import { type Gaps, isGone, readTable } from './kernel-files';

/** A file that a process uses and need not have a descriptor of any more. */
interface HiddenOpen {
  /** A path, or the bare name of the file. */
  readonly file: string;
  /** Which file it is (`BlockTarget.inodes`), null where the kernel tells its name only. */
  readonly inode: string | null;
  /** For people. */
  readonly how: string;
  readonly readOnly: boolean;
}

/** Where a descriptor of a ring of io_uring leads to. */
export const IO_URING = 'anon_inode:[io_uring]';
/** While the ring is at work it does not tell what is registered. */
const RING_TRIES = 5;

/** Those of these disks that the process has mapped into its memory. `task` is below `procDir`. */
export function mappedFiles(
  procDir: string,
  task: string,
  targets: readonly BlockTarget[],
  closed: Gaps,
): HiddenOpen[] {
  const text = mapsOf(join(procDir, task, 'maps'), closed);
  const marks = targets.flatMap(({ nodes, inodes }) => [
    ...nodes.map(({ path }) => path),
    ...[...inodes].map((inode) => ` ${inode} `),
  ]);
  // Nearly always none: then no line is taken apart.
  if (!marks.some((mark) => text.includes(mark))) return [];
  return text.split('\n').flatMap((line) => {
    // 7f3a1000-7f3a2000 rw-s 00000000 00:06 321    /dev/vdb
    const [, access = '', inode = '', file] = /^\S+ (\S{4}) \S+ (\S+ \S+) +(\/.*)$/.exec(line) ?? [];
    if (file === undefined) return [];
    // What is written to a private mapping stays in memory.
    const readOnly = !(access.includes('w') && access.endsWith('s'));
    return [{ file, inode, how: 'mapped into memory', readOnly }];
  });
}

/** Whole, however long it is: the kernel bounds it, and what is cut off would be a gap for good. */
function mapsOf(path: string, closed: Gaps): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!isGone(error)) closed.push(messageOf(error));
    return '';
  }
}

/** What is registered with a ring of io_uring. A ring that does not tell is a gap. */
export function registeredFiles(
  procDir: string,
  task: string,
  descriptor: string,
  closed: Gaps,
): HiddenOpen[] {
  let told = false;
  for (let attempt = 0; attempt < RING_TRIES; attempt += 1) {
    const text = readTable(join(procDir, task, 'fdinfo', descriptor), closed);
    if (text === null) return [];
    const [, count, rows] = /^UserFiles:\s*(\d+)\n((?:\s+\d+: .*\n)*)/m.exec(text) ?? [];
    if (rows === undefined) continue;
    // A number without files is a ring at work, on older kernels, or a table whose places are all free.
    told = true;
    if (rows === '' && Number(count) > 0) continue;
    return [...rows.matchAll(/^\s+\d+: (.*)$/gm)].map(([, file = '']) => ({
      file,
      inode: null,
      how: 'registered with io_uring',
      readOnly: false,
    }));
  }
  if (!told) closed.push(`a ring of io_uring of process ${task} does not tell what is registered with it`);
  return [];
}

/**
 * Exported disks have a second name (a hard link), which only the inode tells; that of a disk that has left
 * has an inode of its own, though the next disk may have its number. Older kernels show the name of a
 * registered file without its folder.
 */
export function leadsToDisk({ file, inode }: HiddenOpen, target: BlockTarget): boolean {
  if (inode !== null && target.inodes.has(inode)) return true;
  return file.startsWith('/') ? target.nameOf(file) !== null : target.nodes.some(({ name }) => name === file);
}
