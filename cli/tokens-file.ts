import { messageOf } from '~/server/core/errors';
import { parseTokens, type StoredToken, tokensText } from '~/server/daemon/access/tokens';
import { changeShared, readShared } from './change-file';
import { EXIT, Failure } from './exit';

const WHAT = 'the tokens';

/** The named tokens of the file; none when there is no file. */
export function readTokens(path: string): readonly StoredToken[] {
  return tokensIn(path, readShared({ path, what: WHAT }));
}

/** Replaces the tokens by what `change` makes of them. A new file is for its owner only. */
export function changeTokens(
  path: string,
  change: (tokens: readonly StoredToken[]) => readonly StoredToken[],
): void {
  changeShared({ path, what: WHAT, mode: 0o600, mostMode: 0o640 }, (before) => {
    const text = tokensText(change(tokensIn(path, before)));
    parseTokens(text);
    return text;
  });
}

function tokensIn(path: string, text: string | null): readonly StoredToken[] {
  if (text === null) return [];
  try {
    return parseTokens(text);
  } catch (error) {
    throw new Failure(EXIT.FAILED, `${path} cannot be understood: ${messageOf(error)}`);
  }
}
