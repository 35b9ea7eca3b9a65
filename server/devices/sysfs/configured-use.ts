import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { Device, Holder } from '../device';
import { isOwnSerial } from '../own-disks';
import { type BlockTarget, statOf } from './block-target';
import { type Gaps, readTable } from './kernel-files';
import { type Mount, unescapeOctal } from './mounts';

/** A use of some disk that the system is configured for, whether it is in effect now or not. */
export interface ConfiguredUse {
  /** For people: `/etc/fstab: UUID=… on /data`. */
  readonly text: string;
  /** A path below /dev that names the disk; null where only the serial does. */
  readonly path: string | null;
  readonly serial: string | null;
  /** Where it is mounted; null when it is no mount. */
  readonly target: string | null;
}

interface Places {
  readonly etcDir: string;
  readonly devDir: string;
}

/** What fstab, crypttab and LVM's list of devices name. Files that are not there name nothing. */
export function readConfiguredUses({ etcDir, devDir }: Places, gaps: Gaps): ConfiguredUse[] {
  const table = (name: string) => rowsOf(readTable(join(etcDir, name), gaps) ?? '');
  const fstab = table('fstab').flatMap(([source = '', target = '', type = '']) => {
    const path = pathOf(unescapeOctal(source), devDir);
    if (path === null) return [];
    const isMount = type !== 'swap' && target.startsWith('/');
    const where = isMount ? unescapeOctal(target) : null;
    return [{ text: `fstab: ${source} on ${where ?? type}`, path, serial: null, target: where }];
  });
  const crypttab = table('crypttab').flatMap(([name = '', source = '']) => {
    const path = pathOf(source, devDir);
    return path === null
      ? []
      : [{ text: `crypttab: ${source} as ${name}`, path, serial: null, target: null }];
  });
  const lvm = table('lvm/devices/system.devices').flatMap((fields) => {
    const serial = fields.includes('IDTYPE=sys_serial')
      ? fields.find((one) => one.startsWith('IDNAME='))
      : null;
    if (!serial) return [];
    const value = serial.slice('IDNAME='.length);
    return [{ text: `the devices file of LVM: serial ${value}`, path: null, serial: value, target: null }];
  });
  return [...fstab, ...crypttab, ...lvm];
}

/**
 * Which of them mean this disk. An entry whose mount point is mounted from another disk means that one: a
 * copied disk has the UUIDs and labels of its original.
 */
export function configuredUsesOf(
  device: Device,
  target: BlockTarget,
  uses: readonly ConfiguredUse[],
  mounts: readonly Mount[],
): Holder[] {
  return uses
    .filter(({ path, serial, target: where }) => {
      if (path === null) return serial !== null && isOwnSerial(serial, device.serial);
      const elsewhere = mounts.some((mount) => mount.target === where && !isOn(mount, target));
      return !elsewhere && leadsTo(path, target);
    })
    .map(({ text }) => ({ kind: 'configured' as const, detail: text }));
}

/** Is this mount on the disk, as far as its number or source tells? */
export function isOn(mount: Mount, target: BlockTarget): boolean {
  if (mount.dev !== null && target.hasNumber(mount.dev)) return true;
  // btrfs and others show an anonymous number; their source is the path of the node.
  return mount.source.startsWith('/') && target.nameOf(mount.source) !== null;
}

function leadsTo(path: string, target: BlockTarget): boolean {
  if (target.nameOf(path) !== null) return true;
  try {
    if (target.nameOf(realpathSync(path)) !== null) return true;
  } catch {
    return false;
  }
  const status = statOf(path);
  return status?.isBlockDevice() === true && target.isNode(status);
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
