import { statSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import { hasCode } from '../../core/has-code';
import type { Device, Holder } from '../device';
import { type BlockTarget, blockTarget, type HolderSources, statOf } from './block-target';
import { findDescriptors } from './descriptors';
import { entries, processes, readTable } from './kernel-files';
import { isRemote, type Mount, parseMountinfo, parseMounts, unescapeOctal } from './mounts';

/**
 * Who uses a disk: mounts in every mount namespace, swap, kernel holders (LVM, md, dm, loop), descriptors of
 * other processes, and whatever makes the kernel refuse an exclusive open. Empty = free. A search that cannot
 * be completed is reported as a holder. Processes and devices may end meanwhile.
 */
export async function findHolders(sources: HolderSources, device: Device): Promise<Holder[]> {
  const target = blockTarget(sources, device);
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

function mountsOf({ mounts, where }: MountSpace, target: BlockTarget): Holder[] {
  return mounts.flatMap((mount) => {
    const byNumber = mount.dev !== null && target.hasNumber(mount.dev);
    // btrfs and others show an anonymous number; their source is the path of the node.
    const named = mount.source.startsWith('/') ? target.nameOf(mount.source) : null;
    if (!byNumber && named === null) return [];
    return [{ kind: 'mount' as const, detail: `${mount.source} on ${mount.target} (${mount.type})${where}` }];
  });
}

function swapsOn({ procDir }: HolderSources, target: BlockTarget): Holder[] {
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
function stackedOn(target: BlockTarget): Holder[] {
  return target.nodes.flatMap(({ dir, name }) =>
    entries(join(dir, 'holders')).map((holder) => {
      const label = readTable(join(dir, 'holders', holder, 'dm/name')).trim();
      return { kind: 'holder' as const, detail: `${holder}${label === '' ? '' : ` (${label})`} on ${name}` };
    }),
  );
}

/** A loop device holds its file inside the kernel: neither a holder nor a descriptor shows it. */
function loopsOn({ sysBlockDir }: HolderSources, target: BlockTarget): Holder[] {
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

/**
 * The last word is the kernel's: O_EXCL on a block device fails while anything in the kernel has claimed it.
 */
async function claimedExclusively(target: BlockTarget): Promise<Holder[]> {
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

function namespaceOf(procDir: string, pid: string): string | null {
  try {
    return String(statSync(join(procDir, pid, 'ns/mnt')).ino);
  } catch {
    return null;
  }
}
