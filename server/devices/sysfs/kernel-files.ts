import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import { hasCode } from '../../core/has-code';
import { LIMITS } from '../../core/limits';

/**
 * The trimmed text of a small kernel file, at most LIMITS.SYSFS_FILE_BYTES. Null when it is not there, is
 * empty, or vanishes while it is read (sysfs then says ENODEV). Throws on anything else.
 */
export function readSmall(path: string): string | null {
  const text = readBounded(path, LIMITS.SYSFS_FILE_BYTES);
  return text === null || text.trim() === '' ? null : text.trim();
}

/** The number in a small kernel file; null when there is no such file. Throws on anything else. */
export function readNumber(path: string): number | null {
  const text = readSmall(path);
  if (text === null) return null;
  if (!/^\d{1,15}$/.test(text))
    throw new Error(`${path} holds no number: ${JSON.stringify(text.slice(0, 32))}`);
  return Number(text);
}

/**
 * What a look could not see, in words. Where it is not empty, nothing may be concluded from what was not
 * found.
 */
export type Gaps = string[];

/**
 * The text of a table; null when there is no such file. Anything else that prevents reading it all is a gap.
 */
export function readTable(path: string, gaps: Gaps): string | null {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > LIMITS.PROC_FILE_BYTES) gaps.push(`${path} is too long to be read`);
    return text.slice(0, LIMITS.PROC_FILE_BYTES);
  } catch (error) {
    if (!isGone(error)) gaps.push(messageOf(error));
    return null;
  }
}

/**
 * The names in a folder; none when there is no such folder. Anything else that prevents reading it is a gap.
 */
export function listFolder(dir: string, gaps: Gaps): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (!isGone(error)) gaps.push(messageOf(error));
    return [];
  }
}

/** The trimmed text of a file that only names something; '' when it cannot be read. */
export function labelIn(path: string): string {
  return (readTable(path, []) ?? '').trim();
}

/** True when what was to be read is not there, or has vanished meanwhile (a process says ESRCH). */
export function isGone(error: unknown): boolean {
  return hasCode(error, 'ENOENT', 'ENODEV', 'ENXIO', 'ENOTDIR', 'ESRCH');
}

function readBounded(path: string, bytes: number): string | null {
  let file: number | null = null;
  try {
    file = openSync(path, 'r');
    const buffer = Buffer.allocUnsafe(bytes);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, bytes, 0));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Process ids below /proc, at most LIMITS.PROCESSES_MAX; that there are more is a gap. */
export function processes(procDir: string, gaps: Gaps): string[] {
  const pids = listFolder(procDir, gaps).filter((name) => /^\d+$/.test(name));
  if (pids.length > LIMITS.PROCESSES_MAX)
    gaps.push(`more than ${LIMITS.PROCESSES_MAX} processes run, not all were looked at`);
  return pids.slice(0, LIMITS.PROCESSES_MAX);
}

/** Distinguishes two processes that had the same number one after the other. */
export function processIdentity(procDir: string, pid: number): string {
  // The name in the second field may have blanks and brackets of its own.
  const fields =
    readSmall(join(procDir, String(pid), 'stat'))
      ?.split(') ')
      .at(-1)
      ?.split(' ') ?? [];
  return `${pid}@${fields[19] ?? '?'}`;
}

/** The whole text of a file however long; '' when it cannot be read. */
export function textIn(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
