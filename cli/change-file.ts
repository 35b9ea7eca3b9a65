import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '~/server/core/errors';
import { hasCode } from '~/server/core/has-code';
import { readRegular } from '~/server/core/read-regular';
import { EXIT, Failure } from './exit';

/** A file that the daemon of this machine reads, and volumectl changes. */
interface SharedFile {
  readonly path: string;
  /** `the tokens`, for messages. */
  readonly what: string;
  /** Mode of a new one. */
  readonly mode: number;
  /** Whoever may do more with it now may not afterwards. */
  readonly mostMode: number;
}

export const SHARED_MAX_BYTES = 4 * 1024 ** 2;

/** The content; null when there is no such file. Throws Failure. */
export function readShared({ path, what }: Pick<SharedFile, 'path' | 'what'>): string | null {
  try {
    return readRegular(path, SHARED_MAX_BYTES);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw new Failure(EXIT.FAILED, `${what} cannot be read: ${messageOf(error)}`, fixOf(error));
  }
}

/**
 * Replaces the content by what `change` makes of it; null leaves it as it is. The new content is written
 * beside the file, or the one that it is a link to, and renamed: the daemon sees the old one or the new one.
 * Two changes at the same time: one is refused. Throws Failure.
 */
export function changeShared(file: SharedFile, change: (text: string | null) => string | null): void {
  const { what } = file;
  const path = existsSync(file.path) ? realpathSync(file.path) : file.path;
  const next = `${path}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(next, '', { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw hasCode(error, 'EEXIST')
      ? new Failure(
          EXIT.FAILED,
          `${next} is there: somebody else is changing ${what}`,
          `If nobody is: rm ${next}`,
        )
      : notWritten(what, error);
  }
  try {
    const text = change(readShared(file));
    if (text === null) {
      rmSync(next);
      return;
    }
    writeFileSync(next, text, { flush: true });
    giveOwner(file, next);
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error instanceof Failure ? error : notWritten(what, error);
  }
}

/** Who may read the file is the operator's choice. */
function giveOwner({ path, mode, mostMode }: SharedFile, next: string): void {
  const before = statSync(path, { throwIfNoEntry: false });
  if (before) chownSync(next, before.uid, before.gid);
  chmodSync(next, (before?.mode ?? mode) & mostMode);
}

function notWritten(what: string, error: unknown): Failure {
  return new Failure(EXIT.FAILED, `${what} cannot be written: ${messageOf(error)}`, fixOf(error));
}

/** Nothing where root could do no more: a full disk, or what is no file. */
function fixOf(error: unknown): string | undefined {
  return hasCode(error, 'EACCES') || hasCode(error, 'EPERM') ? 'Run it as root.' : undefined;
}
