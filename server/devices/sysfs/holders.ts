import { statSync } from 'node:fs';
import { constants, open } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import { hasCode } from '../../core/has-code';
import type { ClientState, Device, Holder } from '../device';
import type { OwnDisks } from '../own-disks';
import { type BlockTarget, blockTarget, statOf } from './block-target';
import { type ConfiguredUse, configuredUsesOf, isOn, readConfiguredUses } from './configured-use';
import { findDescriptors, type Subject } from './descriptors';
import { type Gaps, isGone, labelIn, listFolder, processes, readNumber, readTable } from './kernel-files';
import { isRemote, type Mount, parseMountinfo, parseMounts, unescapeOctal } from './mounts';
import { ownershipOf, readOwnDisks } from './own-disks-file';

export interface HolderSources {
  /** `/sys/block`; btrfs shows its file systems in `../fs/btrfs`. */
  readonly sysBlockDir: string;
  readonly devDir: string;
  readonly procDir: string;
  /** `/etc`: fstab, crypttab, LVM's list of devices, the list of own disks. */
  readonly etcDir: string;
  /** Processes whose descriptors do not count: our own. */
  readonly ignoredPids: ReadonlySet<number>;
  /**
   * Processes that serve a client of our exports (`processIdentity`). Whoever else has a disk open is a user, an
   * export server of somebody else, too.
   */
  readonly exportClients: () => Promise<ReadonlyMap<string, ClientState>>;
}

/**
 * Who uses each of these disks, by path: mounts in every mount namespace, swap, what is stacked on it (LVM, md,
 * dm, loop, btrfs), descriptors of other processes, fstab and its like, the list of own disks, and whatever
 * makes the kernel refuse an exclusive open (zfs, a file system that is mounted nowhere any more). Empty = free.
 * What could not be looked at is a user of the kind `unknown`. Processes and devices may end meanwhile.
 */
export async function findHolders(
  sources: HolderSources,
  devices: readonly Device[],
): Promise<Map<string, Holder[]>> {
  const gaps: Gaps = [];
  const tables = readTables(sources, gaps);
  const subjects = devices.map((device) => {
    const target = blockTarget(sources, device, gaps);
    return { device, target, found: usersIn(tables, sources, device, target, gaps) };
  });
  await findDescriptors(sources, subjects, tables.remote, gaps);
  const result = new Map<string, Holder[]>();
  for (const subject of subjects) result.set(subject.device.path, await conclude(sources, subject, gaps));
  return result;
}

/** What is read once for all disks of a look. */
interface Tables {
  readonly spaces: readonly MountSpace[];
  /** Mount points of file systems whose server may hang. */
  readonly remote: readonly string[];
  readonly swaps: readonly string[];
  /** A loop device holds its file inside the kernel: neither a holder nor a descriptor shows it. */
  readonly loops: readonly { readonly name: string; readonly path: string }[];
  /** Mounted btrfs file systems with all their disks; only one of these is the source of the mount. */
  readonly btrfs: readonly { readonly name: string; readonly members: readonly string[] }[];
  readonly configured: readonly ConfiguredUse[];
  readonly own: OwnDisks;
}

interface MountSpace {
  readonly mounts: readonly Mount[];
  /** '' for our own; otherwise whose namespace it is. */
  readonly where: string;
}

function readTables(sources: HolderSources, gaps: Gaps): Tables {
  const { sysBlockDir, procDir } = sources;
  const spaces = mountNamespaces(procDir, gaps);
  const loops = listFolder(sysBlockDir, gaps).flatMap((name) => {
    const path = labelIn(join(sysBlockDir, name, 'loop/backing_file')).replace(/ \(deleted\)$/, '');
    return path === '' ? [] : [{ name, path }];
  });
  const btrfsDir = join(sysBlockDir, '../fs/btrfs');
  const btrfs = listFolder(btrfsDir, gaps).flatMap((fsid) => {
    const members = listFolder(join(btrfsDir, fsid, 'devices'), gaps);
    const label = labelIn(join(btrfsDir, fsid, 'label'));
    return members.length === 0 ? [] : [{ name: label === '' ? fsid : label, members }];
  });
  return {
    spaces,
    remote: [...new Set(spaces.flatMap(({ mounts }) => mounts.filter(isRemote).map(({ target }) => target)))],
    swaps: (readTable(join(procDir, 'swaps'), gaps) ?? '')
      .split('\n')
      .slice(1)
      .map((line) => unescapeOctal(line.split(/\s/)[0] ?? ''))
      .filter((path) => path !== ''),
    loops,
    btrfs,
    configured: readConfiguredUses(sources, gaps),
    own: readOwnDisks(sources.etcDir, gaps),
  };
}

/** Our own mounts first, then every other mount namespace once, named after the first process found in it. */
function mountNamespaces(procDir: string, gaps: Gaps): MountSpace[] {
  const own = readTable(join(procDir, 'self/mountinfo'), gaps);
  const older = own === null ? readTable(join(procDir, 'mounts'), gaps) : null;
  if (own === null && older === null) gaps.push(`${procDir} does not tell what is mounted`);
  const mounts = own === null ? parseMounts(older ?? '') : parseMountinfo(own);
  const spaces: MountSpace[] = [{ mounts, where: '' }];
  const seen = new Set([namespaceOf(procDir, 'self', [])]);
  const closed: Gaps = [];
  for (const pid of processes(procDir, [])) {
    const namespace = namespaceOf(procDir, pid, closed);
    if (namespace === null || seen.has(namespace)) continue;
    seen.add(namespace);
    const where = ` in the mount namespace of pid ${pid} (${labelIn(join(procDir, pid, 'comm'))})`;
    spaces.push({ mounts: parseMountinfo(readTable(join(procDir, pid, 'mountinfo'), closed) ?? ''), where });
  }
  const [first] = closed;
  if (first !== undefined) gaps.push(`mounts of ${closed.length} process(es) cannot be seen: ${first}`);
  return spaces;
}

function namespaceOf(procDir: string, pid: string, closed: Gaps): string | null {
  try {
    return String(statSync(join(procDir, pid, 'ns/mnt')).ino);
  } catch (error) {
    if (!isGone(error)) closed.push(messageOf(error));
    return null;
  }
}

/** All users but processes. */
function usersIn(
  tables: Tables,
  { devDir }: HolderSources,
  device: Device,
  target: BlockTarget,
  gaps: Gaps,
): Holder[] {
  const { spaces, swaps, loops, btrfs, configured, own } = tables;
  const mounted = spaces.flatMap(({ mounts, where }) =>
    mounts
      .filter((mount) => isOn(mount, target))
      .map((mount) => holder('mount', `${mount.source} on ${mount.target} (${mount.type})${where}`)),
  );
  const member = btrfs.filter(({ members }) => target.nodes.some(({ name }) => members.includes(name)));
  return [
    ...mounted,
    ...swaps.filter((path) => isNode(path, target)).map((path) => holder('swap', path)),
    ...stackedOn(target, gaps),
    ...loops.flatMap(({ name, path }) => {
      const on = target.nameOf(path) ?? (path.startsWith('/dev/') && isNode(path, target) ? path : null);
      return on === null ? [] : [holder('holder', `${name} on ${on}`)];
    }),
    ...member.map(({ name }) => holder('holder', `btrfs ${name}`)),
    ...configuredUsesOf(device, target, configured, spaces[0]?.mounts ?? []),
    ...ownershipOf(device, own, devDir),
  ];
}

/** LVM, dm-crypt, md, bcache: the kernel lists what is stacked on a disk or partition. */
function stackedOn(target: BlockTarget, gaps: Gaps): Holder[] {
  return target.nodes.flatMap(({ dir, name }) =>
    listFolder(join(dir, 'holders'), gaps).map((above) => {
      const label = labelIn(join(dir, 'holders', above, 'dm/name'));
      return holder('holder', `${above}${label === '' ? '' : ` (${label})`} on ${name}`);
    }),
  );
}

/** The kernel's word, what could not be seen, and whether it was the same disk to the end. */
async function conclude(
  { sysBlockDir }: HolderSources,
  { device, target, found }: Subject & { readonly device: Device },
  gaps: Gaps,
): Promise<Holder[]> {
  const all = [...found];
  // Clients of an export do not claim a disk, so behind them the claim of somebody else may hide.
  if (all.every(({ kind }) => kind === 'nbd-client')) all.push(...(await claims(target)));
  all.push(...gaps.map((gap) => holder('unknown', gap)));
  if (device.diskseq !== null && readNumber(join(sysBlockDir, device.name, 'diskseq')) !== device.diskseq)
    all.push(holder('unknown', `${device.path} was unplugged or replaced during the look`));
  return [...new Map(all.map((one) => [`${one.kind} ${one.detail}`, one])).values()];
}

/**
 * The last word is the kernel's: O_EXCL on a block device fails while anything in the kernel has claimed it or
 * a partition of it. Nodes of a laboratory are plain files, which nothing claims.
 */
async function claims(target: BlockTarget): Promise<Holder[]> {
  for (const { path } of target.nodes) {
    const status = statOf(path);
    if (status === null && path === target.nodes[0]?.path) return [holder('unknown', `there is no ${path}`)];
    if (status?.isBlockDevice() !== true) continue;
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_EXCL | constants.O_NONBLOCK);
      await file.close();
    } catch (error) {
      if (hasCode(error, 'EBUSY'))
        return [holder('claimed', `the kernel refuses an exclusive open of ${path} (in use)`)];
      return [holder('unknown', `${path} cannot be opened: ${messageOf(error)}`)];
    }
  }
  return [];
}

function isNode(path: string, target: BlockTarget): boolean {
  if (target.nameOf(path) !== null) return true;
  const status = statOf(path);
  return status?.isBlockDevice() === true && target.isNode(status);
}

function holder(kind: Holder['kind'], detail: string): Holder {
  return { kind, detail };
}
