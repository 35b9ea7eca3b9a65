import { accessSync, existsSync, mkdirSync } from 'node:fs';
import { constants, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { hasCode } from './has-code';

/** Never through a link that somebody put in the way. */
const TEMPORARY = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/**
 * Makes a folder and those above it that are missing. Throws what the system says, which Node does not where
 * the file system is read-only: there its `recursive` calls the folder missing that it was to make.
 *
 * @example
 * await makeFolder('/run/volume-daemon/exports');
 */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => explain(path, error));
}

/** As makeFolder. */
export function makeFolderSync(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    explain(path, error);
  }
}

function explain(path: string, error: unknown): never {
  if (hasCode(error, 'ENOENT')) accessSync(aboveMissing(path), constants.W_OK);
  throw error;
}

/** The nearest folder above a path that is there. */
function aboveMissing(path: string): string {
  const above = dirname(path);
  return above === path || existsSync(above) ? above : aboveMissing(above);
}

/**
 * Writes a file so that readers and a power cut find the old content or the new: temporary file,
 * `<path>.tmp`, fsync, rename, fsync of the folder, which is made where it is missing. Throws
 * what the system says.
 *
 * @example
 * await writeDurably('/etc/nbd-server/conf.d/a.conf', text);
 */
export async function writeDurably(path: string, content: string | Buffer, mode = 0o644): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await makeFolder(dirname(path));
    const file = await open(temporary, TEMPORARY, mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Removes a file; a missing one is fine. */
export async function removeDurably(path: string): Promise<void> {
  try {
    await rm(path);
    await syncFolder(dirname(path));
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

/** The content, or null when there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Names in a folder; a missing folder is empty. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
