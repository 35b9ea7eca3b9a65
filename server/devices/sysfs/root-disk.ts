import { join } from 'node:path';
import { DEVICE_NAME } from './device-names';
import { type Gaps, listFolder, readSmall, readTable } from './kernel-files';
import { isBelow, type Mount, parseMountinfo, unescapeOctal } from './mounts';

/** How deep device-mapper, md and overlays may be stacked below `/`. */
const STACK_DEPTH = 8;

interface RootDisks {
  /** Names of the disks that are known to hold `/`. */
  readonly disks: ReadonlySet<string>;
  /** True when `/` stands on nothing else: then every other disk is known not to hold it. */
  readonly complete: boolean;
}

/**
 * The disks that hold `/`, through partitions, LVM, md, the disks of a btrfs and the layers of an overlay.
 * Zfs, and a layer whose file system is mounted nowhere, do not tell: then the answer is not complete. Null
 * when the guest says nothing at all.
 */
export function findRootDisks(where: {
  readonly sysBlockDir: string;
  readonly procDir: string;
}): RootDisks | null {
  const gaps: Gaps = [];
  const mounts = parseMountinfo(readTable(join(where.procDir, 'self/mountinfo'), gaps) ?? '');
  const root = mounts.findLast(({ target }) => target === '/');
  if (!root) return null;
  const disks = new Set<string>();
  const complete = new Walk(where.sysBlockDir, mounts, disks, gaps).below(root, STACK_DEPTH);
  return disks.size === 0 && !complete ? null : { disks, complete: complete && gaps.length === 0 };
}

/** Collects disks on the way down. Every step says whether it has found all that is below. */
class Walk {
  constructor(
    private readonly sysBlockDir: string,
    private readonly mounts: readonly Mount[],
    private readonly disks: Set<string>,
    private readonly gaps: Gaps,
  ) {}

  below(mount: Mount, depth: number): boolean {
    if (depth === 0) return false;
    if (mount.type === 'overlay') return this.layers(mount, depth);
    const source = mount.source.startsWith('/dev/') ? mount.source.slice('/dev/'.length) : null;
    const disk = this.diskOf((name, dir) => name === source || readSmall(join(dir, 'dev')) === mount.dev);
    if (disk === null) return false;
    const members = mount.type === 'btrfs' ? this.btrfsMembers(disk, source) : [];
    return [disk, ...members].map((name) => this.device(name, depth)).every(Boolean);
  }

  /** A layer is a folder of another mount; one of an overlay below itself is mounted nowhere any more. */
  private layers(overlay: Mount, depth: number): boolean {
    const folders = layersOf(overlay.options);
    const each = folders.map((folder) => {
      const holder = this.mounts
        .filter((one) => one !== overlay && isBelow(folder, one.target))
        .reduce<Mount | null>(
          (best, one) => (best && best.target.length > one.target.length ? best : one),
          null,
        );
      // A layer in memory stands on no disk.
      return holder !== null && (holder.type === 'tmpfs' || this.below(holder, depth - 1));
    });
    return folders.length > 0 && each.every(Boolean);
  }

  private device(disk: string, depth: number): boolean {
    if (DEVICE_NAME.test(disk)) this.disks.add(disk);
    if (depth === 0) return false;
    const below = listFolder(join(this.sysBlockDir, disk, 'slaves'), this.gaps);
    return below
      .map((slave) => this.diskOf((name) => name === slave))
      .map((owner) => owner !== null && this.device(owner, depth - 1))
      .every(Boolean);
  }

  private btrfsMembers(disk: string, source: string | null): string[] {
    const dir = join(this.sysBlockDir, '../fs/btrfs');
    const systems = listFolder(dir, this.gaps).map((fsid) =>
      listFolder(join(dir, fsid, 'devices'), this.gaps),
    );
    const own = systems.find(
      (members) => members.includes(disk) || (source !== null && members.includes(source)),
    );
    return (own ?? []).flatMap((member) => this.diskOf((name) => name === member) ?? []);
  }

  /** The whole disk of the first disk or partition that matches. */
  private diskOf(matches: (name: string, dir: string) => boolean): string | null {
    for (const disk of listFolder(this.sysBlockDir, this.gaps)) {
      const dir = join(this.sysBlockDir, disk);
      if (matches(disk, dir)) return disk;
      const inside = listFolder(dir, this.gaps).filter((name) => name.startsWith(disk));
      if (inside.some((name) => matches(name, join(dir, name)))) return disk;
    }
    return null;
  }
}

/** `lowerdir=/a:/b,upperdir=/c,workdir=/d`; a colon or comma in a path has a backslash before it. */
function layersOf(options: string): string[] {
  const split = (text: string, separator: string) => text.split(new RegExp(`(?<!\\\\)${separator}`));
  return split(options, ',').flatMap((option) => {
    const [name, value = ''] = option.split(/=(.*)/s);
    if (name !== 'upperdir' && !name?.startsWith('lowerdir')) return [];
    const folders = name === 'upperdir' ? [value] : split(value, ':');
    return folders.filter((one) => one !== '').map((one) => unescapeOctal(one).replace(/\\([:,])/g, '$1'));
  });
}
