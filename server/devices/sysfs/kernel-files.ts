import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
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

/** The text of a kernel table (/proc/…/mountinfo, swaps), '' when it is not there or must not be read. */
export function readTable(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, LIMITS.PROC_FILE_BYTES);
  } catch {
    return '';
  }
}

function readBounded(path: string, bytes: number): string | null {
  let file: number | null = null;
  try {
    file = openSync(path, 'r');
    const buffer = Buffer.allocUnsafe(bytes);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, bytes, 0));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV', 'ENXIO', 'ENOTDIR')) return null;
    throw error;
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** The names in a folder; none when it is not there or must not be read. */
export function entries(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** Process ids below /proc, at most LIMITS.PROCESSES_MAX. */
export function processes(procDir: string): string[] {
  const pids = entries(procDir).filter((name) => /^\d+$/.test(name));
  return pids.slice(0, LIMITS.PROCESSES_MAX);
}
