import { constants, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DaemonError, messageOf } from '../core/errors';
import { hasCode } from '../core/has-code';

/** Never through a link that somebody put in the way. */
const TEMPORARY = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/**
 * Writes a file so that readers and a power cut find the old content or the new: temporary file (of a name
 * that nbd-server ignores), fsync, rename, fsync of the folder. Throws EXPORT_CONFIG_FAILED.
 */
export async function writeDurably(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, TEMPORARY, 0o644);
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
    throw configFailed('written', path, error);
  }
}

/** Removes a file; a missing one is fine. Returns whether it was there. */
export async function removeDurably(path: string): Promise<boolean> {
  try {
    await rm(path);
    await syncFolder(dirname(path));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw configFailed('removed', path, error);
  }
}

/** The content, or null when there is no such file. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw configFailed('read', path, error);
  }
}

/** Names in a folder; a missing folder is empty. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw configFailed('read', folder, error);
  }
}

/** What a crash between temporary file and rename left behind. Only ours: `migration-vol-*.conf.tmp`. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (/^migration-vol-.*\.tmp$/.test(name)) await removeDurably(join(folder, name));
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

function configFailed(what: string, path: string, error: unknown): DaemonError {
  const fix = hasCode(error, 'ENOSPC')
    ? 'free some space'
    : hasCode(error, 'EROFS')
      ? 'mount it writable (ReadWritePaths of the unit)'
      : hasCode(error, 'EACCES', 'EPERM')
        ? 'check the permissions'
        : 'see the reason';
  return new DaemonError(
    'EXPORT_CONFIG_FAILED',
    `${path} could not be ${what}: ${messageOf(error)}; ${fix}`,
    { cause: error, details: { path } },
  );
}
