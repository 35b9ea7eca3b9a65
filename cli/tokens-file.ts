import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '~/server/core/errors';
import { hasCode } from '~/server/core/has-code';
import { parseTokens, type StoredToken, tokensText } from '~/server/daemon/access/tokens';
import { EXIT, Failure } from './exit';

/** The named tokens of the file; none when there is no file. */
export function readTokens(path: string): readonly StoredToken[] {
  const text = readText(path);
  if (text === null) return [];
  try {
    return parseTokens(text);
  } catch (error) {
    throw new Failure(EXIT.FAILED, `${path} cannot be understood: ${messageOf(error)}`);
  }
}

/**
 * Replaces the tokens by what `change` makes of them. The new list is written beside the file and renamed: the
 * daemon sees the old one or the new one. Two changes at the same time: one is refused.
 */
export function changeTokens(
  path: string,
  change: (tokens: readonly StoredToken[]) => readonly StoredToken[],
): void {
  const next = `${path}.new`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(next, '', { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw hasCode(error, 'EEXIST')
      ? new Failure(
          EXIT.FAILED,
          `${next} is there: somebody else is changing the tokens`,
          `If nobody is: rm ${next}`,
        )
      : notWritten(error);
  }
  try {
    const text = tokensText(change(readTokens(path)));
    parseTokens(text);
    writeFileSync(next, text, { flush: true });
    keepOwner(path, next);
    renameSync(next, path);
  } catch (error) {
    rmSync(next, { force: true });
    throw error instanceof Failure ? error : notWritten(error);
  }
}

/** Who may read the file is the operator's choice; a new one is for its owner only. */
function keepOwner(path: string, next: string): void {
  const before = statSync(path, { throwIfNoEntry: false });
  if (!before) return;
  chownSync(next, before.uid, before.gid);
  chmodSync(next, before.mode & 0o640);
}

function notWritten(error: unknown): Failure {
  return new Failure(EXIT.FAILED, `the tokens cannot be written: ${messageOf(error)}`, 'Run it as root.');
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw new Failure(EXIT.FAILED, `the tokens cannot be read: ${messageOf(error)}`, 'Run it as root.');
  }
}
