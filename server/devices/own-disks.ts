import { LIMITS } from '../core/limits';
import { serialNames } from './serial';

/** One line of the list of own disks: a disk that is the system's for good. */
export interface OwnDisk {
  /**
   * serial: what the disk reports, or the id of its CloudStack volume. link: a stable name of it below
   * /dev/disk/by-path or /dev/disk/by-id.
   */
  readonly by: 'serial' | 'link';
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

export interface OwnDisks {
  readonly disks: readonly OwnDisk[];
  /** Lines that say nothing, with the reason; they protect no disk. */
  readonly problems: readonly string[];
}

/** Below /etc. */
export const OWN_DISKS_FILE = 'volume-daemon/own-disks';

const SERIAL = /^[\x21-\x7e]{1,128}$/;
const LINK = /^\/dev\/disk\/by-(?:path|id)\/[A-Za-z0-9#+.:=@_\\-]{1,200}$/;

/**
 * Reads the list of own disks. A line is `serial <serial or volume id>` or a name below /dev/disk/by-path or
 * /dev/disk/by-id; `#` begins a comment. A letter (/dev/vdb) is no identity, and a file system's UUID or
 * label is copied with its content. Pure, never throws: lines that are not understood are named.
 *
 * @example
 * parseOwnDisks('serial 0f3c9a517be24d609a44 # database').disks;
 * // [{ by: 'serial', value: '0f3c…', line: 1 }]
 */
export function parseOwnDisks(text: string): OwnDisks {
  const disks: OwnDisk[] = [];
  const problems: string[] = [];
  for (const [index, whole] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const words = whole.replace(/(^|\s)#.*$/, '').trim();
    if (words === '') continue;
    if (disks.length >= LIMITS.OWN_DISKS) {
      problems.push(`line ${line}: only ${LIMITS.OWN_DISKS} disks can be listed`);
      break;
    }
    const disk = parseIdentity(words);
    if (typeof disk === 'string') problems.push(`line ${line}: ${disk}`);
    else disks.push({ ...disk, line });
    if (problems.length >= LIMITS.OWN_DISKS) break;
  }
  return { disks, problems };
}

/** The identity that a line or an argument gives, or why it is none. */
export function parseIdentity(words: string): Pick<OwnDisk, 'by' | 'value'> | string {
  const [first = '', second, third] = words.split(/\s+/);
  if (first === 'serial' && second !== undefined && third === undefined)
    return SERIAL.test(second) ? { by: 'serial', value: second } : `${shown(second)} is no serial`;
  if (second === undefined && LINK.test(first)) return { by: 'link', value: first };
  return (
    `${shown(words)} is not understood: write "serial <serial>", /dev/disk/by-path/… or /dev/disk/by-id/…; ` +
    'a letter such as /dev/vdb names another disk after a reboot'
  );
}

/** Does the serial of an own disk name this one? */
export function isOwnSerial(value: string, serial: string | null): boolean {
  if (serial === null) return false;
  return value.toLowerCase() === serial.trim().toLowerCase() || serialNames(value, serial);
}

/** As it stands in the list. */
export function ownDiskText({ by, value }: Pick<OwnDisk, 'by' | 'value'>): string {
  return by === 'serial' ? `serial ${value}` : value;
}

function shown(words: string): string {
  return JSON.stringify(words.slice(0, 64));
}
