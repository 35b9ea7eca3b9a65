import { type BigIntStats, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../device';
import { type Gaps, listFolder, readSmall } from './kernel-files';

/** The disk and its partitions: whatever uses one of them uses the disk. */
export interface BlockTarget {
  readonly nodes: readonly BlockNode[];
  /** What these files are themselves, whatever they are called (`inodeOf`). */
  readonly inodes: ReadonlySet<string>;
  /** Is this file one of the nodes? By device number; in a lab, where nodes are plain files, by inode. */
  isNode(status: BigIntStats): boolean;
  hasNumber(dev: string): boolean;
  nameOf(path: string): string | null;
}

interface BlockNode {
  readonly name: string;
  readonly path: string;
  /** `major:minor` */
  readonly dev: string | null;
  readonly dir: string;
}

/** The disk of a snapshot as a target for all searches of one look. */
export function blockTarget(
  { sysBlockDir, devDir }: { readonly sysBlockDir: string; readonly devDir: string },
  device: Device,
  gaps: Gaps,
): BlockTarget {
  const dir = join(sysBlockDir, device.name);
  const partitions = listFolder(dir, gaps).filter(
    (name) => /^p?\d+$/.test(name.slice(device.name.length)) && name.startsWith(device.name),
  );
  const nodes: BlockNode[] = [
    { name: device.name, path: device.path, dev: device.dev, dir },
    ...partitions.map((name) => ({
      name,
      path: join(devDir, name),
      dev: readSmall(join(dir, name, 'dev')),
      dir: join(dir, name),
    })),
  ];
  const numbers = new Set(nodes.flatMap(({ dev }) => (dev === null ? [] : [dev])));
  const paths = new Map(nodes.map(({ path, name }) => [path, name]));
  const statuses = nodes.flatMap(({ path }) => statOf(path) ?? []);
  const plain = new Set(statuses.filter((status) => status.isFile()).map(inodeOf));
  return {
    nodes,
    inodes: new Set(statuses.map(inodeOf)),
    isNode: (status) =>
      status.isBlockDevice()
        ? numbers.has(deviceNumber(status.rdev))
        : status.isFile() && plain.has(inodeOf(status)),
    hasNumber: (dev) => numbers.has(dev),
    nameOf: (path) => paths.get(path) ?? paths.get(realPath(path)) ?? null,
  };
}

/** Linux packs 12 bits of major and 20 of minor: MMMmmmmm with the low 8 bits of the minor at the bottom. */
export function deviceNumber(rdev: bigint): string {
  const major = (rdev >> 8n) & 0xfffn;
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n);
  return `${major}:${minor}`;
}

/**
 * A file as the kernel writes it in its tables of memory: file system in hexadecimal, number of the inode.
 */
function inodeOf({ dev, ino }: BigIntStats): string {
  const words = deviceNumber(dev).split(':');
  return `${words.map((word) => Number(word).toString(16).padStart(2, '0')).join(':')} ${ino}`;
}

/** null when there is no such file. */
export function statOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null;
  }
}

/** Does this path lead to the disk or one of its partitions, by name, link or device number? */
export function leadsTo(path: string, target: BlockTarget): boolean {
  if (target.nameOf(path) !== null) return true;
  try {
    if (target.nameOf(realpathSync(path)) !== null) return true;
  } catch {
    return false;
  }
  const status = statOf(path);
  return status?.isBlockDevice() === true && target.isNode(status);
}

/**
 * Is there nothing of this name? A name that cannot be followed for another reason is none of a disk either.
 */
export function isDangling(path: string): boolean {
  return statOf(path) === null;
}

/** Only below /dev, so that nothing on a remote file system is followed. */
function realPath(path: string): string {
  try {
    return path.startsWith('/dev/') ? realpathSync(path) : path;
  } catch {
    return path;
  }
}
