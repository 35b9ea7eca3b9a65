import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import type { ClientState, Device, Holder } from '../device';
import type { OwnDisks } from '../own-disks';
import { type BlockTarget, blockTarget, deviceNumber, statOf } from './block-target';
import {
  type ConfiguredUse,
  configuredUsesOf,
  danglingUses,
  isOn,
  readConfiguredUses,
} from './configured-use';
import { findDescriptors, type Subject } from './descriptors';
import { ExclusiveOpens } from './exclusive-open';
import { type Gaps, isGone, labelIn, listFolder, processes, readNumber, readTable } from './kernel-files';
import { type KernelTarget, readKernelTargets, servedBy } from './kernel-targets';
import { type Mount, parseMountinfo, parseMounts, remotePaths, unescapeOctal } from './mounts';
import { danglingLinks, ownershipOf, readOwnDisks } from './own-disks-file';

const CAP_SYS_PTRACE = 1n << 19n;

export interface HolderSources {
  /** `/sys/block`; btrfs shows its file systems in `../fs/btrfs`. */
  readonly sysBlockDir: string;
  readonly devDir: string;
  readonly procDir: string;
  /** `/etc`: fstab, crypttab, units, LVM's list of devices, the list of own disks. */
  readonly etcDir: string;
  /** `/run`; undefined in a guest without systemd and udev of its own. */
  readonly runDir?: string | undefined;
  /** Processes whose descriptors do not count: our own. */
  readonly ignoredPids: ReadonlySet<number>;
  /**
   * Processes that serve a client of our exports (`processIdentity`). Whoever else has a disk open is a user,
   * an export server of somebody else, too.
   */
  readonly exportClients: () => Promise<ReadonlyMap<string, ClientState>>;
  /** Remembers disks that hang from look to look. */
  readonly opens?: ExclusiveOpens;
}

/**
 * Who uses each of these disks, by path: mounts in every mount namespace, swap, what is stacked on it
 * (LVM, md, dm, loop, btrfs), descriptors of other processes, fstab and its like, the list of own disks,
 * and whatever makes the kernel refuse an exclusive open (zfs, a file system that is mounted nowhere any
 * more). Empty = free. What could not be looked at is a user of the kind `unknown`. Processes and
 * devices may end meanwhile.
 */
export async function findHolders(
  sources: HolderSources,
  devices: readonly Device[],
): Promise<Map<string, Holder[]>> {
  const gaps: Gaps = [];
  const tables = readTables(sources, gaps);
  const subjects = devices.map((device) => {
    const target = blockTarget(sources, device, gaps);
    return { device, target, found: usersIn(tables, sources, { device, target }, gaps) };
  });
  await findDescriptors(sources, subjects, tables.isRemotePath, gaps);
  const result = new Map<string, Holder[]>();
  for (const subject of subjects) result.set(subject.device.path, await conclude(sources, subject, gaps));
  return result;
}

/** What is read once for all disks of a look. */
interface Tables {
  readonly spaces: readonly MountSpace[];
  readonly isRemotePath: (path: string) => boolean;
  readonly swaps: readonly string[];
  /** A loop device holds its file inside the kernel: neither a holder nor a descriptor shows it. */
  readonly loops: readonly { readonly name: string; readonly path: string }[];
  /** Mounted btrfs file systems with all their disks; only one of these is the source of the mount. */
  readonly btrfs: readonly { readonly name: string; readonly members: readonly string[] }[];
  readonly served: readonly KernelTarget[];
  readonly configured: readonly ConfiguredUse[];
  readonly own: OwnDisks;
  /** What names a disk that is not here, or whose links udev has not made yet, for people. */
  readonly dangling: readonly string[];
}

interface MountSpace {
  readonly mounts: readonly Mount[];
  /** '' for our own; otherwise whose namespace it is. */
  readonly where: string;
  /** That of the machine, where it is not ours: a service may have one of its own. */
  readonly isMachine: boolean;
}

function readTables(sources: HolderSources, gaps: Gaps): Tables {
  const { sysBlockDir, procDir, etcDir, devDir } = sources;
  const spaces = mountNamespaces(procDir, gaps);
  const configured = readConfiguredUses(sources, gaps);
  const own = readOwnDisks(etcDir, gaps);
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
    isRemotePath: remotePaths(spaces.flatMap(({ mounts }) => mounts)),
    swaps: (readTable(join(procDir, 'swaps'), gaps) ?? '')
      .split('\n')
      .slice(1)
      .map((line) => unescapeOctal(line.split(/\s/)[0] ?? ''))
      .filter((path) => path !== ''),
    loops,
    btrfs,
    served: readKernelTargets(join(sysBlockDir, '../kernel/config'), devDir, gaps),
    configured,
    own,
    dangling: [
      ...danglingUses(configured).map(({ text }) => text),
      ...danglingLinks(own, devDir).map(({ value }) => value),
    ],
  };
}

/** Our own mounts first, then every other mount namespace once, named after the first process found in it. */
function mountNamespaces(procDir: string, gaps: Gaps): MountSpace[] {
  const own = readTable(join(procDir, 'self/mountinfo'), gaps);
  const older = own === null ? readTable(join(procDir, 'mounts'), gaps) : null;
  if (own === null && older === null) gaps.push(`${procDir} does not tell what is mounted`);
  const mounts = own === null ? parseMounts(older ?? '') : parseMountinfo(own);
  if (hidesProcesses(procDir, mounts)) gaps.push(`${procDir} hides processes of other users (hidepid)`);
  const spaces: MountSpace[] = [{ mounts, where: '', isMachine: false }];
  const seen = new Set([namespaceOf(procDir, 'self', [])]);
  const closed: Gaps = [];
  for (const pid of processes(procDir, [])) {
    const namespace = namespaceOf(procDir, pid, closed);
    if (namespace === null || seen.has(namespace)) continue;
    seen.add(namespace);
    const where = ` in the mount namespace of pid ${pid} (${labelIn(join(procDir, pid, 'comm'))})`;
    const theirs = parseMountinfo(readTable(join(procDir, pid, 'mountinfo'), closed) ?? '');
    spaces.push({ mounts: theirs, where, isMachine: pid === '1' });
  }
  const [first] = closed;
  if (first !== undefined) gaps.push(`mounts of ${closed.length} process(es) cannot be seen: ${first}`);
  return spaces;
}

/**
 * Is /proc mounted so that it does not list all processes? What is not listed cannot be refused: it would
 * look as if nobody were there. Whoever may trace processes sees all.
 */
function hidesProcesses(procDir: string, mounts: readonly Mount[]): boolean {
  const options = mounts.findLast(({ type, target }) => type === 'proc' && target === procDir)?.options ?? '';
  if (!/(^|,)hidepid=(1|2|4|noaccess|invisible|ptraceable)(,|$)/.test(options)) return false;
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(labelIn(join(procDir, 'self/status')))?.[1] ?? '0';
  return (BigInt(`0x${capabilities}`) & CAP_SYS_PTRACE) === 0n;
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
  { devDir, runDir }: HolderSources,
  { device, target }: { readonly device: Device; readonly target: BlockTarget },
  gaps: Gaps,
): Holder[] {
  const { spaces, isRemotePath, swaps, loops, btrfs, served, configured, own, dangling } = tables;
  // A file of a server that hangs, with a file system or swap on it, would hold the whole daemon.
  const nodeAt = (path: string) =>
    target.nameOf(path) ?? (!isRemotePath(path) && isNode(path, target) ? path : null);
  const machine = spaces.find(({ isMachine }) => isMachine) ?? spaces[0];
  const mounted = spaces.flatMap(({ mounts, where }) =>
    mounts
      .filter((mount) => isOn(mount, target))
      .map((mount) => holder('mount', `${mount.source} on ${mount.target} (${mount.type})${where}`)),
  );
  const member = btrfs.filter(({ members }) => target.nodes.some(({ name }) => members.includes(name)));
  return [
    ...mounted,
    ...swaps.filter((path) => nodeAt(path) !== null).map((path) => holder('swap', path)),
    ...stackedOn(target, gaps),
    ...loops.flatMap(({ name, path }) => {
      const on = nodeAt(path);
      return on === null ? [] : [holder('holder', `${name} on ${on}`)];
    }),
    ...member.map(({ name }) => holder('holder', `btrfs ${name}`)),
    ...servedBy(served, target),
    ...configuredUsesOf(device, target, configured, machine?.mounts ?? []),
    ...ownershipOf(device, target, own, devDir),
    ...namedLater(target, dangling, runDir),
  ];
}

/**
 * A link under which a disk is configured or listed is made by udev, some time after the kernel shows the
 * disk. Until udev is done with it, a link that leads nowhere may be this disk's.
 */
function namedLater(target: BlockTarget, dangling: readonly string[], runDir: string | undefined): Holder[] {
  const [link] = dangling;
  if (link === undefined || runDir === undefined) return [];
  const records = join(runDir, 'udev/data');
  const early = target.nodes.find(({ dev }) => dev !== null && !existsSync(join(records, `b${dev}`)));
  if (early === undefined || !existsSync(records)) return [];
  return [holder('unknown', `udev is not done with ${early.path}, which may be that of: ${link}`)];
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
  { sysBlockDir, opens = new ExclusiveOpens(systemClock) }: HolderSources,
  { device, target, found }: Subject & { readonly device: Device },
  gaps: Gaps,
): Promise<Holder[]> {
  const all = [...found];
  // Clients of an export do not claim a disk, nor do readers: behind them the claim of
  // somebody else may hide.
  if (all.every(({ kind, readOnly }) => kind === 'nbd-client' || readOnly === true))
    all.push(...(await claims(target, opens)));
  all.push(...gaps.map((gap) => holder('unknown', gap)));
  if (device.diskseq !== null && readNumber(join(sysBlockDir, device.name, 'diskseq')) !== device.diskseq)
    all.push(holder('unknown', `${device.path} was unplugged or replaced during the look`));
  return withoutRepeats(all);
}

/** Each user once. A process that has the disk open twice and writes through one of them is a writer. */
function withoutRepeats(all: readonly Holder[]): Holder[] {
  const readersFirst = [...all].sort((a, b) => Number(b.readOnly ?? false) - Number(a.readOnly ?? false));
  return [...new Map(readersFirst.map((one) => [`${one.kind} ${one.detail}`, one])).values()];
}

/**
 * The last word is the kernel's: O_EXCL on a block device fails while anything in the kernel has claimed it
 * or a partition of it. Nodes of a laboratory are plain files, which nothing claims.
 */
async function claims(target: BlockTarget, opens: ExclusiveOpens): Promise<Holder[]> {
  for (const { path, dev } of target.nodes) {
    const status = statOf(path);
    if (status === null && path === target.nodes[0]?.path) return [holder('unknown', `there is no ${path}`)];
    if (status?.isBlockDevice() !== true) continue;
    // Whatever the kernel says of that node is said of another disk.
    if (!target.isNode(status)) {
      const [is, should] = [deviceNumber(status.rdev), dev ?? 'an unknown one'];
      return [holder('unknown', `${path} leads to device ${is} and not to ${should}`)];
    }
    const answer = await opens.ask(path);
    if (answer === 'claimed')
      return [holder('claimed', `the kernel refuses an exclusive open of ${path} (in use)`)];
    if (answer !== 'free') return [holder('unknown', answer.unknown)];
  }
  return [];
}

function isNode(path: string, target: BlockTarget): boolean {
  const status = statOf(path);
  return status?.isBlockDevice() === true && target.isNode(status);
}

function holder(kind: Holder['kind'], detail: string): Holder {
  return { kind, detail };
}
