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

/** The list that the daemon of this machine reads; it needs no restart. */
function listPath(): string {
  return join(process.env.ETC_DIR ?? '/etc', OWN_DISKS_FILE);
}

export function readList(): OwnDisks {
  return parseOwnDisks(readText());
}

/** Whether a line lists the disk. Throws UsageError for what is no identity. */
export function isListed(word: string): boolean {
  const line = lineOf(word);
  return readList().disks.some((disk) => ownDiskText(disk) === line);
}

/** Adds a line. False when the disk is listed already. Throws UsageError for what is no identity. */
export function addOwnDisk(word: string): boolean {
  const line = lineOf(word);
  const text = readText();
  if (parseOwnDisks(text).disks.some((disk) => ownDiskText(disk) === line)) return false;
  write(`${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
  return true;
}

/** Removes every line that lists the disk. False when there is none. */
export function removeOwnDisk(word: string): boolean {
  const line = lineOf(word);
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

/** A link below /dev/disk as it is; anything else is a serial or the id of a volume, but for a letter. */
function lineOf(word: string): string {
  const isLetter = /^(vd|sd|xvd)[a-z]+\d*$/.test(word);
  const identity = parseIdentity(word.startsWith('/') || isLetter ? word : `serial ${word}`);
  if (typeof identity === 'string')
    throw new UsageError(identity, 'volumectl device list shows the serials.');
  return ownDiskText(identity);
}

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
