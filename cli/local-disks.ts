import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { isOwnSerial, type OwnDisk, parseIdentity } from '~/server/devices/own-disks';
import { deviceName, unitSerial } from '~/server/devices/sysfs/vpd';

/** A disk of the machine that this command runs on. */
export interface LocalDisk {
  readonly path: string;
  /** As the daemon reads it; null when it shows none. */
  readonly serial: string | null;
  /** Its names below /dev/disk/by-path and by-id. */
  readonly links: readonly string[];
}

/** What names a disk for good. */
export type DiskIdentity = Pick<OwnDisk, 'by' | 'value'>;

const LINKS = ['by-path', 'by-id'].map((folder) => `/dev/disk/${folder}`);

/** A disk (`vdb`, `/dev/sda`) or a partition of one; whatever else a word may be. */
const LETTERS = /^(?:\/dev\/)?((?:vd|sd|xvd|hd)[a-z]{1,6}|nvme\d{1,4}n\d{1,4})(?:p?\d{1,3})?$/;

/** Without disks that leave meanwhile. Empty where sysfs shows none. */
export function localDisks(): LocalDisk[] {
  const sysBlock = process.env.SYS_BLOCK_DIR ?? '/sys/block';
  const dev = process.env.DEV_DIR ?? '/dev';
  const links = LINKS.flatMap((folder) =>
    namesIn(join(dev, folder.slice('/dev'.length))).map((name) => ({
      link: `${folder}/${name}`,
      node: realPath(join(dev, folder.slice('/dev'.length), name)),
    })),
  );
  return namesIn(sysBlock)
    .filter((name) => LETTERS.test(name))
    .map((name) => ({
      path: `/dev/${name}`,
      serial: serialOf(join(sysBlock, name)),
      links: links.filter(({ node }) => node === join(dev, name)).map(({ link }) => link),
    }));
}

/** The disk that is called so now; null when the word is no letter, or there is no such disk. */
export function diskCalled(word: string, disks: readonly LocalDisk[]): LocalDisk | null {
  const name = LETTERS.exec(word)?.[1];
  return disks.find(({ path }) => path === `/dev/${name}`) ?? null;
}

/** Is it a letter, which another disk may have after a reboot? */
export function isLetter(word: string): boolean {
  return LETTERS.test(word);
}

/** What names the disk for good: its serial, else its place; null when neither can stand in the list. */
export function identityOf({ serial, links }: LocalDisk): DiskIdentity | null {
  const candidates = [...(serial === null ? [] : [`serial ${serial}`]), ...links];
  for (const words of candidates) {
    const identity = parseIdentity(words);
    if (typeof identity !== 'string') return identity;
  }
  return null;
}

/** Is this disk the one that is named? */
export function isNamed({ by, value }: DiskIdentity, { serial, links }: LocalDisk): boolean {
  return by === 'serial' ? isOwnSerial(value, serial) : links.includes(value.replace(/-part\d+$/, ''));
}

function serialOf(dir: string): string | null {
  const virtio = read(join(dir, 'serial'))?.toString('latin1').replaceAll('\0', ' ').trim();
  if (virtio) return virtio;
  const [unit, device] = ['80', '83'].map((page) => read(join(dir, `device/vpd_pg${page}`)));
  return (unit && unitSerial(unit)) ?? (device && deviceName(device)) ?? null;
}

/** Null when there is no such file, or the disk does not answer. */
function read(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
