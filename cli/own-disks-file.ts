import { join } from 'node:path';
import {
  OWN_DISKS_FILE,
  type OwnDisks,
  ownDiskText,
  parseIdentity,
  parseOwnDisks,
} from '~/server/devices/own-disks';
import { changeShared, readShared } from './change-file';
import { EXIT, Failure, UsageError } from './exit';
import { type DiskIdentity, diskCalled, identityOf, isLetter, isNamed, type LocalDisk } from './local-disks';

/**
 * The list that the daemon of this machine reads; it needs no restart. Secret is nothing of it, and udev
 * reads it too.
 */
function listFile() {
  const path = join(process.env.ETC_DIR ?? '/etc', OWN_DISKS_FILE);
  return { path, what: 'the list', mode: 0o644, mostMode: 0o644 } as const;
}

export function readList(): OwnDisks {
  return parseOwnDisks(readShared(listFile()) ?? '');
}

/** Whether a line says just this. */
export function isListed(identity: DiskIdentity): boolean {
  return linesOf(identity, readList()).length > 0;
}

/** Adds a line. False when it is there already. */
export function addOwnDisk(identity: DiskIdentity): boolean {
  let added = false;
  changeShared(listFile(), (before) => {
    const text = before ?? '';
    if (linesOf(identity, parseOwnDisks(text)).length > 0) return null;
    added = true;
    const next = `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${ownDiskText(identity)}\n`;
    // A line that the daemon does not read protects nothing, and looks as if it did.
    const { disks, problems } = parseOwnDisks(next);
    if (linesOf(identity, { disks }).length === 0)
      throw new Failure(EXIT.FAILED, `the list takes no more: ${problems.join('; ')}`);
    return next;
  });
  return added;
}

/** Removes every line that says just this. False when there is none. */
export function removeOwnDisk(identity: DiskIdentity): boolean {
  let removed = false;
  changeShared(listFile(), (before) => {
    const text = before ?? '';
    const listed = new Set(linesOf(identity, parseOwnDisks(text)));
    removed = listed.size > 0;
    const left = text.split('\n').filter((_line, index) => !listed.has(index + 1));
    return removed ? left.join('\n') : null;
  });
  return removed;
}

/** The numbers of the lines that say just this. */
function linesOf(identity: DiskIdentity, { disks }: Pick<OwnDisks, 'disks'>): number[] {
  const line = ownDiskText(identity);
  return disks.filter((disk) => ownDiskText(disk) === line).map((disk) => disk.line);
}

/**
 * What a word of the command line names for good: a link below /dev/disk as it is; a letter (`/dev/vdb`,
 * `vdb1`) by the serial or place that this disk has now; anything else is a serial or the id of a
 * volume. Throws UsageError.
 */
export function identityFor(word: string, disks: readonly LocalDisk[]): DiskIdentity {
  const serial = parseIdentity(`serial ${word}`);
  if (typeof serial !== 'string' && disks.some((disk) => isNamed(serial, disk))) return serial;
  if (isLetter(word)) {
    const disk = diskCalled(word, disks);
    if (disk === null) throw new UsageError(`this machine has no disk ${word}`, SERIALS);
    const identity = identityOf(disk);
    if (identity !== null) return identity;
    throw new UsageError(`${disk.path} has neither a serial nor a place that name it for good`);
  }
  const identity = word.startsWith('/') ? parseIdentity(word) : serial;
  if (typeof identity === 'string') throw new UsageError(identity, SERIALS);
  return identity;
}

const SERIALS = 'volumectl device list shows the disks with their serials.';
