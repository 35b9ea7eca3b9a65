import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  OWN_DISKS_FILE,
  type OwnDisks,
  ownDiskText,
  parseIdentity,
  parseOwnDisks,
} from '~/server/devices/own-disks';
import { EXIT, Failure, UsageError } from './exit';
import { type DiskIdentity, diskCalled, identityOf, isLetter, isNamed, type LocalDisk } from './local-disks';

/** The list that the daemon of this machine reads; it needs no restart. */
function listPath(): string {
  return join(process.env.ETC_DIR ?? '/etc', OWN_DISKS_FILE);
}

export function readList(): OwnDisks {
  return parseOwnDisks(readText());
}

/** Whether a line says just this. */
export function isListed(identity: DiskIdentity): boolean {
  const line = ownDiskText(identity);
  return readList().disks.some((disk) => ownDiskText(disk) === line);
}

/** Adds a line. False when it is there already. */
export function addOwnDisk(identity: DiskIdentity): boolean {
  const line = ownDiskText(identity);
  const text = readText();
  if (parseOwnDisks(text).disks.some((disk) => ownDiskText(disk) === line)) return false;
  write(`${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
  return true;
}

/** Removes every line that says just this. False when there is none. */
export function removeOwnDisk(identity: DiskIdentity): boolean {
  const line = ownDiskText(identity);
  const text = readText();
  const listed = new Set(
    parseOwnDisks(text)
      .disks.filter((disk) => ownDiskText(disk) === line)
      .map((disk) => disk.line),
  );
  if (listed.size === 0) return false;
  write(
    text
      .split('\n')
      .filter((_line, index) => !listed.has(index + 1))
      .join('\n'),
  );
  return true;
}

/**
 * What a word of the command line names for good: a link below /dev/disk as it is; a letter (`/dev/vdb`, `vdb1`)
 * by the serial or place that this disk has now; anything else is a serial or the id of a volume. Throws UsageError.
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

function readText(): string {
  try {
    return readFileSync(listPath(), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new Failure(EXIT.FAILED, `the list cannot be read: ${(error as Error).message}`);
  }
}

/** Beside it and renamed: the daemon and udev see the old list or the new one. */
function write(text: string): void {
  const path = listPath();
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, text, { mode: 0o644, flush: true });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new Failure(
      EXIT.FAILED,
      `the list cannot be written: ${(error as Error).message}`,
      'Run it as root.',
    );
  }
}
