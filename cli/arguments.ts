import { parseArgs } from 'node:util';
import { nearest } from '~/server/core/nearest';
import { UsageError } from './exit';

/**
 * What a value names, and so what a shell completes it with: ids that the daemon knows, names of the
 * configuration, or files. A `volume` may also be named by its name, or by the beginning of its id.
 */
export type Candidates = 'volume' | 'operation' | 'device' | 'offering' | 'zone' | 'appliance' | 'file';

interface Described {
  readonly description: string;
  readonly complete?: Candidates | readonly string[];
  /** What each of the words means that it is completed with. */
  readonly meanings?: Readonly<Record<string, string>>;
  /** The field of the API that this argument fills: the daemon's complaints about it name the argument. */
  readonly field?: string | undefined;
}
export interface Positional extends Described {
  readonly type: 'positional';
  /** It may be left out; only the last one can. */
  readonly optional?: true;
}
export interface Option extends Described {
  readonly type: 'string';
  readonly required?: boolean;
  readonly valueHint?: string;
  readonly short?: string;
  /** Its value is a list, with commas between. */
  readonly several?: true;
  /** The only values it takes. */
  readonly options?: readonly string[];
}
export interface Flag extends Described {
  readonly type: 'boolean';
  readonly short?: string;
  /** Describes `--no-<name>`. */
  readonly negative?: string;
  /** On unless `--no-<name>` is given. */
  readonly on?: boolean;
}
type Arg = Positional | Option | Flag;
export type Args = Readonly<Record<string, Arg>>;

/** The values of arguments, by name. */
export type Values<A extends Args> = { readonly [Name in keyof A]: Value<A[Name]> };
type Value<A extends Arg> = A extends Flag
  ? boolean | undefined
  : A extends { readonly optional: true }
    ? string | undefined
    : A extends Positional | { readonly required: true }
      ? string
      : A extends { readonly options: readonly (infer Word)[] }
        ? Word | undefined
        : string | undefined;

/** `<name>` on the command line. */
export function positional(description: string, field?: string): Positional {
  return { type: 'positional', description, field };
}

/** `--name <valueHint>` */
export function option(valueHint: string, description: string, field?: string) {
  return { type: 'string', valueHint, description, field } as const satisfies Option;
}

/** `--name <valueHint>`, without which the command is refused. */
export function requiredOption(valueHint: string, description: string, field?: string) {
  return { ...option(valueHint, description, field), required: true } as const satisfies Option;
}

/** `--name <one of these>`: each word with its meaning, which completions show. */
export function choice<const Word extends string>(
  meanings: Readonly<Record<Word, string>>,
  description: string,
  field?: string,
) {
  const options = Object.keys(meanings) as Word[]; // the keys of a literal are its words
  return { type: 'string', options, meanings, description, field } as const satisfies Option;
}

/** `--name` */
export function flag(description: string, field?: string): Flag {
  return { type: 'boolean', description, field };
}

interface OptionForm {
  /** Without dashes; `no-<name>` for the negative form. */
  readonly name: string;
  readonly arg: Option | Flag;
  readonly description: string;
}

/** The options as people type them: one that can be negated has two forms, or only the negative. */
export function optionForms(args: Args): OptionForm[] {
  return Object.entries(args).flatMap(([name, arg]): OptionForm[] => {
    if (arg.type === 'positional') return [];
    const positive = { name, arg, description: arg.description };
    if (arg.type === 'string' || arg.negative === undefined) return [positive];
    const { type, negative: description } = arg;
    const negative = { name: `no-${name}`, arg: { type, description }, description };
    return arg.on ? [negative] : [positive, negative];
  });
}

/** A parsed command line. Which command it is for, and whether it is valid for that, is decided later. */
interface CommandLine {
  readonly words: readonly string[];
  readonly options: readonly GivenOption[];
}

interface GivenOption {
  /** As typed, with its dashes. */
  readonly typed: string;
  readonly name: string;
  readonly value: string | undefined;
  /** `--name=value`; otherwise the value is the word that follows. */
  readonly inline: boolean;
}

/**
 * Parses a command line. Options may stand anywhere, also before the noun, so the parser knows the options
 * of all commands. It accepts everything: `valuesOf` reports mistakes in terms of the chosen command.
 */
export function parseCommandLine(raw: readonly string[], commands: readonly Args[]): CommandLine {
  const options = Object.fromEntries(
    commands
      .flatMap((args) => Object.entries(args))
      .flatMap(([name, arg]) => (arg.type === 'positional' ? [] : [[name, parserOption(arg)]])),
  );
  const { tokens } = parseArgs({
    args: [...raw],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  return {
    words: tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : [])),
    options: tokens.flatMap((token) =>
      token.kind === 'option'
        ? [{ typed: token.rawName, name: token.name, value: token.value, inline: token.inlineValue === true }]
        : [],
    ),
  };
}

function parserOption(arg: Option | Flag) {
  return { type: arg.type, ...(arg.short !== undefined && { short: arg.short }) };
}

/** The values of the arguments of one command. `words` are those after its name. Throws UsageError. */
export function valuesOf<A extends Args>(
  args: A,
  words: readonly string[],
  options: readonly GivenOption[],
): Values<A> {
  // Options first: the word after a mistyped option counts as a positional, and is not the mistake to report.
  const values = { ...optionValues(args, options), ...positionalValues(args, words) };
  for (const [name, arg] of Object.entries(args)) {
    const value = values[name];
    if (arg.type === 'boolean') continue;
    if (arg.type === 'positional' && !value && !arg.optional)
      throw new UsageError(`the ${name} is missing: ${arg.description}`);
    if (arg.type === 'positional') continue;
    if (arg.required && !value) throw new UsageError(`--${name} is missing: ${arg.description}`);
    if (arg.options && typeof value === 'string' && !arg.options.includes(value))
      throw new UsageError(`--${name} ${value} is not known`, `It is one of ${arg.options.join(', ')}.`);
  }
  return values as Values<A>; // the loop above has checked what the type promises
}

function positionalValues(args: Args, words: readonly string[]): Record<string, string | undefined> {
  const names = Object.keys(args).filter((name) => args[name]?.type === 'positional');
  if (words.length > names.length)
    throw new UsageError(`too much is given: ${words.slice(names.length).join(' ')}`);
  return Object.fromEntries(names.map((name, index) => [name, words[index]]));
}

function optionValues(args: Args, options: readonly GivenOption[]): Record<string, string | boolean> {
  const values: Record<string, string | boolean> = {};
  for (const { typed, name, value, inline } of options) {
    const positive = name.replace(/^no-/, '');
    const negated = args[name] === undefined && args[positive]?.type === 'boolean';
    const arg = args[negated ? positive : name];
    if (arg === undefined || arg.type === 'positional') throw unknownOption(typed, name, args);
    if (arg.type === 'boolean') {
      if (inline) throw new UsageError(`${typed} takes no value`, OPTIONS_HINT);
      values[negated ? positive : name] = !negated;
    } else {
      // A following option is no value: `--vm --wait` lacks one, `--vm=--wait` does not.
      if (value === undefined || (!inline && value.startsWith('-') && value !== '-'))
        throw new UsageError(`${typed} needs a value`, OPTIONS_HINT);
      values[name] = value;
    }
  }
  return values;
}

/** Throws UsageError for one of these options with two values: which of them counts is not for us to say. */
export function requireOneValue(args: Args, options: readonly GivenOption[]): void {
  for (const { name, typed, value } of options) {
    if (args[name]?.type !== 'string') continue;
    const other = options.find((one) => one.name === name && one.value !== value);
    if (other !== undefined)
      throw new UsageError(`${typed} is given twice: ${value} and ${other.value}`, 'Give it only once.');
  }
}

const OPTIONS_HINT = 'Its options are listed by --help.';

function unknownOption(typed: string, name: string, args: Args): UsageError {
  const known = Object.keys(args).filter((one) => args[one]?.type !== 'positional');
  const near = nearest(name, known);
  return new UsageError(
    `there is no option ${typed}${near === null ? '' : `; did you mean --${near}?`}`,
    OPTIONS_HINT,
  );
}
