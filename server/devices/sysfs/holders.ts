import { type BigIntStats, realpathSync, statSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device, Holder } from '../device';
import { findDescriptors } from './descriptors';
import { entries, hasCode, processes, readSmall, readTable } from './kernel-files';
import { isRemote, type Mount, parseMountinfo, parseMounts, unescapeOctal } from './mounts';

export interface HolderSources {
  readonly sysBlockDir: string;
  readonly devDir: string;
  readonly procDir: string;
  /** Processes whose descriptors do not count: our own, and export servers that hold disks open without a client. */
  readonly ignoredPids: ReadonlySet<number>;
}

/** The disk and its partitions: whatever uses one of them uses the disk. */
export interface Target {
  readonly nodes: readonly BlockNode[];
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

/**
 * Who uses a disk: mounts in every mount namespace, swap, kernel holders (LVM, md, dm, loop), descriptors of other processes, and
 * whatever else makes the kernel refuse an exclusive open. Reads only, changes nothing. Empty = free. Never throws for a
 * process or device that ends meanwhile; what cannot be searched to its end is reported as a holder, never taken for free.
 */
export async function findHolders(sources: HolderSources, device: Device): Promise<Holder[]> {
  const target = targetOf(sources, device);
  const spaces = mountNamespaces(sources);
  const remote = [
    ...new Set(spaces.flatMap(({ mounts }) => mounts.filter(isRemote).map((one) => one.target))),
  ];
  const found = [
    ...spaces.flatMap((space) => mountsOf(space, target)),
    ...swapsOn(sources, target),
    ...stackedOn(target),
    ...loopsOn(sources, target),
    ...(await findDescriptors(sources, target, remote)),
  ];
  if (found.length === 0) found.push(...(await claimedExclusively(target)));
  const unique = new Map(found.map((holder) => [`${holder.kind} ${holder.detail}`, holder]));
  return [...unique.values()];
}

function targetOf({ sysBlockDir, devDir }: HolderSources, device: Device): Target {
  const dir = join(sysBlockDir, device.name);
  const partitions = entries(dir).filter(
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
  const plain = new Set(nodes.flatMap(({ path }) => plainFileKey(statOf(path))));
  return {
    nodes,
    isNode: (status) =>
      status.isBlockDevice()
        ? numbers.has(deviceNumber(status.rdev))
        : plainFileKey(status).some((key) => plain.has(key)),
    hasNumber: (dev) => numbers.has(dev),
    nameOf: (path) => paths.get(path) ?? paths.get(realPath(path)) ?? null,
  };
}

interface MountSpace {
  readonly mounts: readonly Mount[];
  /** '' for our own; otherwise whose namespace it is. */
  readonly where: string;
}

/** Our own mounts first, then every other mount namespace once, named after the first process found in it. */
function mountNamespaces({ procDir }: HolderSources): MountSpace[] {
  const own = readTable(join(procDir, 'self/mountinfo'));
  const mounts = own === '' ? parseMounts(readTable(join(procDir, 'mounts'))) : parseMountinfo(own);
  const spaces: MountSpace[] = [{ mounts, where: '' }];
  const seen = new Set([namespaceOf(procDir, 'self')]);
  for (const pid of processes(procDir)) {
    const namespace = namespaceOf(procDir, pid);
    if (namespace === null || seen.has(namespace)) continue;
    seen.add(namespace);
    const command = readTable(join(procDir, pid, 'comm')).trim();
    const where = ` in the mount namespace of pid ${pid} (${command})`;
    spaces.push({ mounts: parseMountinfo(readTable(join(procDir, pid, 'mountinfo'))), where });
  }
  return spaces;
}

function mountsOf({ mounts, where }: MountSpace, target: Target): Holder[] {
  return mounts.flatMap((mount) => {
    const byNumber = mount.dev !== null && target.hasNumber(mount.dev);
    // btrfs and others show an anonymous number; their source is the path of the node.
    const named = mount.source.startsWith('/') ? target.nameOf(mount.source) : null;
    if (!byNumber && named === null) return [];
    return [{ kind: 'mount' as const, detail: `${mount.source} on ${mount.target} (${mount.type})${where}` }];
  });
}

function swapsOn({ procDir }: HolderSources, target: Target): Holder[] {
  const lines = readTable(join(procDir, 'swaps')).split('\n').slice(1);
  return lines.flatMap((line) => {
    const path = unescapeOctal(line.split(/\s/)[0] ?? '');
    if (path === '') return [];
    const status = statOf(path);
    const used = target.nameOf(path) !== null || (status?.isBlockDevice() === true && target.isNode(status));
    return used ? [{ kind: 'swap' as const, detail: path }] : [];
  });
}

/** LVM, dm-crypt, md, bcache: the kernel lists what is stacked on a disk or partition. */
function stackedOn(target: Target): Holder[] {
  return target.nodes.flatMap(({ dir, name }) =>
    entries(join(dir, 'holders')).map((holder) => {
      const label = readTable(join(dir, 'holders', holder, 'dm/name')).trim();
      return { kind: 'holder' as const, detail: `${holder}${label === '' ? '' : ` (${label})`} on ${name}` };
    }),
  );
}

/** A loop device holds its file inside the kernel: neither a holder nor a descriptor shows it. */
function loopsOn({ sysBlockDir }: HolderSources, target: Target): Holder[] {
  return entries(sysBlockDir).flatMap((name) => {
    const backing = readTable(join(sysBlockDir, name, 'loop/backing_file')).trim();
    if (backing === '') return [];
    const path = backing.replace(/ \(deleted\)$/, '');
    const used = target.nameOf(path);
    const status = used === null && path.startsWith('/dev/') ? statOf(path) : null;
    const on = used ?? (status && target.isNode(status) ? path : null);
    return on === null ? [] : [{ kind: 'holder' as const, detail: `${name} on ${on}` }];
  });
}

/** The last word is the kernel's: O_EXCL on a block device fails while anything in the kernel has claimed it. */
async function claimedExclusively(target: Target): Promise<Holder[]> {
  for (const { path } of target.nodes) {
    if (statOf(path)?.isBlockDevice() !== true) continue;
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
      await file.close();
    } catch (error) {
      if (!hasCode(error, 'EBUSY')) continue;
      return [{ kind: 'holder', detail: `the kernel refuses an exclusive open of ${path} (in use)` }];
    }
  }
  return [];
}

/** Linux packs 12 bits of major and 20 of minor: MMMmmmmm with the low 8 bits of the minor at the bottom. */
export function deviceNumber(rdev: bigint): string {
  const major = (rdev >> 8n) & 0xfffn;
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n);
  return `${major}:${minor}`;
}

function plainFileKey(status: BigIntStats | null): string[] {
  return status?.isFile() ? [`${status.dev}:${status.ino}`] : [];
}

function namespaceOf(procDir: string, pid: string): string | null {
  try {
    return String(statSync(join(procDir, pid, 'ns/mnt')).ino);
  } catch {
    return null;
  }
}

function statOf(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch {
    return null;
  }
}

/** Only below /dev, so that nothing on a remote file system is followed. */
function realPath(path: string): string {
  try {
    return path.startsWith('/dev/') ? realpathSync(path) : path;
  } catch {
    return path;
  }
}
