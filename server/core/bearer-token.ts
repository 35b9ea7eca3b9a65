/** What no header can carry: lines, a file of another kind, or one that is not UTF-8. */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/;

/** The one token that a file holds. Throws when it holds none, or something else. */
export function bearerTokenIn(content: string, path: string): string {
  const token = content.trim();
  if (token === '') throw new Error(`${path} is empty`);
  if (UNSENDABLE.test(token)) throw new Error(`${path} holds something else than one token`);
  return token;
}
