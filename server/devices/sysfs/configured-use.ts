import { join } from 'node:path';
import type { Device, Holder } from '../device';
import { isOwnSerial } from '../own-disks';
import { type BlockTarget, isDangling, leadsTo } from './block-target';
import { type Gaps, labelIn, listFolder, readTable } from './kernel-files';
import { type Mount, unescapeOctal } from './mounts';

/** A use of some disk that the system is configured for, whether it is in effect now or not. */
export interface ConfiguredUse {
  /** For people: `/etc/fstab: UUID=… on /data`. */
  readonly text: string;
  /** A path below /dev that names the disk; null where only an identity of it does. */
  readonly path: string | null;
  /** The serial of the disk, or its world-wide name as LVM writes it. */
  readonly identity: { readonly by: 'serial' | 'wwid'; readonly value: string } | null;
  /** Where it is mounted; null when it is no mount. */
  readonly target: string | null;
}

interface Places {
  readonly procDir: string;
  readonly etcDir: string;
  readonly devDir: string;
  /** `/run`; undefined in a guest without systemd and udev of its own. */
  readonly runDir?: string | undefined;
}

/**
 * What fstab, crypttab, units of systemd, LVM's lists of devices and the kernel's command line name. Files
 * that are not there name nothing.
 */
export function readConfiguredUses(places: Places, gaps: Gaps): ConfiguredUse[] {
  const { etcDir, procDir, devDir } = places;
  const named = (source: string, text: string, target: string | null = null): ConfiguredUse[] => {
    const path = pathOf(source, devDir);
    return path === null ? [] : [{ text, path, identity: null, target }];
  };
  const table = (name: string) => rowsOf(readTable(join(etcDir, name), gaps) ?? '');
  const fstab = table('fstab').flatMap(([source = '', target = '', type = '']) => {
    const where = type !== 'swap' && target.startsWith('/') ? unescapeOctal(target) : null;
    return named(unescapeOctal(source), `fstab: ${source} on ${where ?? type}`, where);
  });
  const crypttab = table('crypttab').flatMap(([name = '', source = '']) =>
    named(source, `crypttab: ${source} as ${name}`),
  );
  const lists = listFolder(join(etcDir, 'lvm/devices'), gaps).filter((name) => name.endsWith('.devices'));
  const lvm = lists.flatMap((name) => table(join('lvm/devices', name)).flatMap((row) => lvmUse(row, devDir)));
  const units = unitFiles(places, gaps).flatMap(({ name, text }) => {
    const what = settingOf(text, 'What');
    return named(what, `${name}: ${what}`, settingOf(text, 'Where') || null);
  });
  const resume = labelIn(join(procDir, 'cmdline'))
    .split(/\s+/)
    .flatMap((word) => (word.startsWith('resume=') ? named(word.slice('resume='.length), word) : []));
  return [...fstab, ...crypttab, ...lvm, ...units, ...resume];
}

/** `IDTYPE=sys_wwid IDNAME=t10.QEMU_… DEVNAME=/dev/sdb PVID=…`, lvmdevices(8). */
function lvmUse(row: readonly string[], devDir: string): ConfiguredUse[] {
  const field = (name: string) => row.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
  const value = field('IDNAME');
  const use = { text: `the devices file of LVM: ${value}`, path: null, identity: null, target: null };
  switch (value === '' ? '' : field('IDTYPE')) {
    case 'sys_serial':
      return [
        { ...use, text: `the devices file of LVM: serial ${value}`, identity: { by: 'serial', value } },
      ];
    case 'sys_wwid':
      return [{ ...use, identity: { by: 'wwid', value } }];
    case 'devname':
      return [{ ...use, path: pathOf(value, devDir) }];
    default:
      // The others name a volume of md, LVM or dm-crypt, which stands on the disk and is
      // looked at by its holders.
      return [];
  }
}

/** Units that mount or swap. One may be mounted by its first use only (automount). */
function unitFiles({ etcDir, runDir }: Places, gaps: Gaps): { name: string; text: string }[] {
  const dirs = [join(etcDir, 'systemd/system')];
  if (runDir !== undefined) dirs.push(join(runDir, 'systemd/system'), join(runDir, 'systemd/transient'));
  return dirs.flatMap((dir) =>
    listFolder(dir, gaps)
      .filter((name) => /\.(mount|swap)$/.test(name))
      .map((name) => ({ name, text: readTable(join(dir, name), gaps) ?? '' })),
  );
}

/** The last value counts, as in systemd. '' when there is none. */
function settingOf(unit: string, name: string): string {
  const lines = unit
    .split('\n')
    .flatMap((line) => new RegExp(`^\\s*${name}\\s*=(.*)$`).exec(line)?.[1] ?? []);
  return lines.at(-1)?.trim() ?? '';
}

/**
 * Which of them mean this disk. An entry whose mount point is mounted from another disk means that one: a
 * copied disk has the UUIDs and labels of its original. An automount that waits for its first use, or a
 * folder in memory that hides the mount point from us, is no disk.
 */
export function configuredUsesOf(
  device: Device,
  target: BlockTarget,
  uses: readonly ConfiguredUse[],
  mounts: readonly Mount[],
): Holder[] {
  return uses
    .filter(({ path, identity, target: where }) => {
      if (path === null) return identity !== null && isIdentityOf(identity, device, target);
      const elsewhere = mounts.some(
        (mount) =>
          where !== null &&
          mount.target === withoutSlash(where) &&
          mount.source.startsWith('/') &&
          !isOn(mount, target),
      );
      return !elsewhere && leadsTo(path, target);
    })
    .map(({ text }) => ({ kind: 'configured' as const, detail: text }));
}

/** The entries whose disk is not here, or not yet. */
export function danglingUses(uses: readonly ConfiguredUse[]): ConfiguredUse[] {
  return uses.filter(({ path }) => path !== null && isDangling(path));
}

function isIdentityOf(
  { by, value }: NonNullable<ConfiguredUse['identity']>,
  device: Device,
  target: BlockTarget,
): boolean {
  if (by === 'serial') return isOwnSerial(value, device.serial);
  const dir = target.nodes[0]?.dir;
  const shown = dir === undefined ? '' : labelIn(join(dir, 'device/wwid'));
  return shown !== '' && lvmName(shown) === lvmName(value);
}

/** LVM writes blanks as one underscore. */
function lvmName(wwid: string): string {
  return wwid.replace(/[\s_]+/g, '_').replace(/_$/, '');
}

function withoutSlash(folder: string): string {
  return folder.length > 1 ? folder.replace(/\/+$/, '') : folder;
}

/** Is this mount on the disk, as far as its number or source tells? */
export function isOn(mount: Mount, target: BlockTarget): boolean {
  if (mount.dev !== null && target.hasNumber(mount.dev)) return true;
  // btrfs and others show an anonymous number; their source is the path of the node.
  return mount.source.startsWith('/') && target.nameOf(mount.source) !== null;
}

const TAGS: Readonly<Record<string, string>> = {
  UUID: 'by-uuid',
  LABEL: 'by-label',
  PARTUUID: 'by-partuuid',
  PARTLABEL: 'by-partlabel',
  ID: 'by-id',
};

/** fstab(5): a path, or a tag that udev turns into a link. Null when it names no disk. */
function pathOf(source: string, devDir: string): string | null {
  if (source.startsWith('/dev/')) return join(devDir, source.slice('/dev/'.length));
  const [tag = '', quoted] = source.split(/=(.*)/s);
  const folder = TAGS[tag];
  if (folder === undefined || quoted === undefined) return null;
  return join(devDir, 'disk', folder, udevName(quoted.replaceAll('"', '')));
}

/** udev writes what may not stand in the name of a link as `\x20`. */
function udevName(text: string): string {
  return [...text]
    .map((char) =>
      /[A-Za-z0-9#+\-.:=@_]/.test(char) || char > '\x7f'
        ? char
        : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
    .join('');
}

function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s+/));
}
