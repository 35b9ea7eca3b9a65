import { parseArgs } from 'node:util';
import { type Arg, type Args, UsageError } from './command';

/** citty takes what it does not know; a mistyped option of ours must not be done without. Throws UsageError. */
export function checkStrictly(raw: readonly string[], args: Args): void {
  const options = Object.entries(args).filter(([, arg]) => arg.type !== 'positional');
  const positionals = Object.entries(args).filter(([, arg]) => arg.type === 'positional');
  let given: ReturnType<typeof parse>;
  try {
    given = parse(raw, options);
  } catch (error) {
    throw new UsageError(
      explain(
        error,
        options.map(([name]) => name),
      ),
      'Its options are listed by --help.',
    );
  }
  const words = given.positionals.length;
  if (words > positionals.length)
    throw new UsageError(`too much is given: ${given.positionals.slice(positionals.length).join(' ')}`);
  for (const [index, [name, arg]] of positionals.entries()) {
    if (arg.required && (given.positionals[index] ?? '') === '')
      throw new UsageError(`the ${name} is missing: ${arg.description ?? ''}`);
  }
  for (const [name, arg] of options) {
    const value = given.values[name];
    if ('required' in arg && arg.required && (value === undefined || value === ''))
      throw new UsageError(`--${name} is missing: ${arg.description ?? ''}`);
    const allowed = 'options' in arg ? arg.options : undefined;
    if (allowed && typeof value === 'string' && !allowed.includes(value))
      throw new UsageError(`--${name} ${value} is not known`, `It is one of ${allowed.join(', ')}.`);
  }
}

function parse(raw: readonly string[], options: readonly (readonly [string, Arg])[]) {
  return parseArgs({
    args: [...raw],
    allowPositionals: true,
    allowNegative: true,
    options: Object.fromEntries(
      options.map(([name, arg]) => [
        name,
        {
          type: arg.type === 'boolean' ? ('boolean' as const) : ('string' as const),
          ...('alias' in arg && typeof arg.alias === 'string' && { short: arg.alias }),
        },
      ]),
    ),
  });
}

function explain(error: unknown, known: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /Unknown option '(-{1,2}[^']*)'/.exec(message)?.[1];
  if (unknown !== undefined) {
    const near = nearest(unknown.replace(/^-+/, ''), known);
    return `there is no option ${unknown}${near ? `; did you mean --${near}?` : ''}`;
  }
  const [, option = '', takes] =
    /Option '(?:-\w, )?(--[\w-]+)[^']*' (argument missing|argument is ambiguous|does not take an argument)/.exec(
      message,
    ) ?? [];
  if (takes === 'does not take an argument') return `${option} takes no value`;
  if (option !== '') return `${option} needs a value`;
  return message.split('\n')[0] ?? message;
}

/** The known word that is at most two typing mistakes away. */
export function nearest(word: string, known: readonly string[]): string | null {
  const [best] = known
    .map((name) => ({ name, far: distance(word, name) }))
    .filter(({ far }) => far <= 2)
    .sort((a, b) => a.far - b.far);
  return best?.name ?? null;
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Options before the noun belong to the command as well: `volumectl --json health` is `volumectl health --json`. */
export function optionsLast(raw: readonly string[], globals: Args): string[] {
  let at = 0;
  while (at < raw.length) {
    const word = raw[at] ?? '';
    if (!word.startsWith('-') || word === '--' || word === '-') break;
    const arg = globals[word.replace(/^--/, '')];
    at += arg && arg.type !== 'boolean' && !word.includes('=') ? 2 : 1;
  }
  return [...raw.slice(at), ...raw.slice(0, at)];
}
