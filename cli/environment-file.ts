const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** A name, with a byte order mark or `export` before it. */
const BEFORE_NAME = /^(\uFEFF)?\s*(export\s+)?([A-Za-z_][A-Za-z0-9_]*)$/;
/**
 * A comment, a name with what stands before its value, or a line without `=`, which systemd ignores, too.
 * Blanks are those of systemd: for `\s` a byte order mark is one as well.
 */
const LINE = /[ \t\n\r]*(?:[#;][^\n\r]*|([^=\n\r]*)(=?))/y;
/** A part in quotes, which may span lines. One that is never closed goes to the end of the file. */
const QUOTED = /[ \t]*(?:'([^']*)(?:'|$)|"((?:\\[\s\S]|[^"\\])*)(?:"|\\?$))/y;
/** The rest of the line, and of the next one where a backslash ends it. */
const UNQUOTED = /[ \t]*((?:\\[\s\S]|[^\n\r\\])*?)[ \t]*(?:\\?$|(?=[\n\r]))/y;

/**
 * The variables of an EnvironmentFile, as systemd reads it (systemd.exec(5)): the daemon must be
 * given the same by whoever starts it. Unlike in a shell and in .env files, `#` begins a comment only
 * at the start of a line.
 *
 * ```ts
 * parseEnvironmentFile('DATABASE_DSN=oma:pa#ss@tcp(h)/db'); // { DATABASE_DSN: 'oma:pa#ss@tcp(h)/db' }
 * ```
 */
export function parseEnvironmentFile(content: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, value } of assignments(content)) if (NAME.test(name)) variables[name] = value;
  return variables;
}

/**
 * The settings of the file that have no effect because something stands before their name: `export`, as
 * in a shell, or the byte order mark that an editor has put before the first one. systemd says so in
 * its own journal alone.
 *
 * ```ts
 * ignoredSettings('export PORT=8091'); // [{ name: 'PORT', because: 'of the "export" before it' }]
 * ```
 */
export function ignoredSettings(content: string): { readonly name: string; readonly because: string }[] {
  return [...assignments(content)].flatMap(({ name: written }) => {
    // Nothing else is told: in a line that is wrong otherwise there may be a secret before the `=`.
    const [, mark, word, name] = BEFORE_NAME.exec(written) ?? [];
    if (name === undefined || (mark === undefined && word === undefined)) return [];
    const because = mark === undefined ? 'of the "export" before it' : 'of the byte order mark before it';
    return [{ name, because }];
  });
}

/**
 * Why systemd reads nothing at all of the file; null when it does. One setting that is not UTF-8 is enough;
 * comments do not matter.
 */
export function unreadableBecause(content: string): string | null {
  if (content.includes('\0')) return 'it has NUL bytes, as UTF-16 does';
  const found = [...assignments(content)].find(({ name, value }) => `${name}${value}`.includes('\uFFFD'));
  if (found === undefined) return null;
  return `${NAME.test(found.name) ? found.name : 'a name in it'} is not UTF-8`;
}

/** What is assigned, whether or not it is a name; the last one of a name counts. */
function* assignments(content: string): Generator<{ readonly name: string; readonly value: string }> {
  for (let at = 0; at < content.length; ) {
    const [line = '', name = '', assigned] = matchAt(LINE, content, at) ?? [];
    // Nothing is left to match only at a line break, which belongs to no line.
    at += line.length || 1;
    if (!assigned) continue;
    const { value, end } = readValue(content, at);
    at = end;
    yield { name: name.trimEnd(), value };
  }
}

function readValue(content: string, start: number): { value: string; end: number } {
  let value = '';
  let at = start;
  for (let part = matchAt(QUOTED, content, at); part; part = matchAt(QUOTED, content, at)) {
    value += part[1] ?? unescapeQuoted(part[2] ?? '');
    at += part[0].length;
  }
  const [rest = '', text = ''] = matchAt(UNQUOTED, content, at) ?? [];
  return { value: value + unescapeUnquoted(text), end: at + rest.length };
}

function matchAt(pattern: RegExp, content: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(content);
}

/** A backslash keeps what follows it as it is, and joins two lines. */
function unescapeUnquoted(text: string): string {
  return text.replace(/\\([\s\S])/g, (_, next: string) => (isLineBreak(next) ? '' : next));
}

/** In double quotes a backslash has a meaning only before a few characters. */
function unescapeQuoted(text: string): string {
  return text.replace(/\\([\s\S])/g, (whole, next: string) => {
    if (isLineBreak(next)) return '';
    return '"\\`$'.includes(next) ? next : whole;
  });
}

function isLineBreak(character: string): boolean {
  return character === '\n' || character === '\r';
}
