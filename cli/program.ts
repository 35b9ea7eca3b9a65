import { createInterface } from 'node:readline/promises';
import { type CommandDef, defineCommand, type ParsedArgs, runCommand } from 'citty';
import { version } from '../package.json';
import { checkStrictly, nearest, optionsLast } from './arguments';
import { Api } from './client/api';
import { type CallOptions, Connection } from './client/connection';
import { Refusal, TooSlow, Unreachable } from './client/failures';
import { type Arg, type Args, EXIT, Failure, type Noun, UsageError, type Verb } from './command';
import type { Context } from './context';
import { findTarget, GLOBALS, parseTime } from './globals';
import { helpFor } from './help';
import { Output } from './output/output';
import { pick } from './output/table';
import { paint } from './output/text';
import { findNoun, fullName, loneVerb, NOUNS, PROGRAM } from './tree';

const ANSWER = 30_000;
const LONG_ANSWER = 5 * 60_000;

type Globals = ParsedArgs<typeof GLOBALS>;

/** Runs one command line; resolves with the exit code. `signal` ends what follows without end. */
export async function run(raw: readonly string[], signal: AbortSignal): Promise<number> {
  const args = optionsLast(raw, GLOBALS);
  const words = args.filter((word) => !word.startsWith('-'));
  const [first] = words;
  const end = args.indexOf('--');
  const options = end < 0 ? args : args.slice(0, end);
  if (options.includes('--version')) return print(`${PROGRAM} ${version}\n`);
  const asked = first === 'help' ? words.slice(1) : words;
  if (first === 'help' || options.includes('--help') || options.includes('-h')) return help(asked);
  const running = { code: EXIT.OK as number, command: PROGRAM, fields: {} as Args };
  try {
    if (first === undefined) {
      checkStrictly(args, GLOBALS);
      return help([]);
    }
    checkWords(words);
    await runCommand(commandTree(running, signal), { rawArgs: args });
    return running.code;
  } catch (error) {
    return explain(error, running, signal);
  }
}

function help(words: readonly string[]): number {
  if (words[0] !== undefined) {
    try {
      checkWords(words, true);
    } catch (error) {
      return explain(error, { command: PROGRAM, fields: {} }, new AbortController().signal);
    }
  }
  return print(helpFor(words, wantsColor(process.stdout, undefined)));
}

/** The tree as citty has it; its leaves set the exit code. */
function commandTree(running: Running, signal: AbortSignal): CommandDef<Args> {
  const leaf = (noun: Noun, verb: Verb): CommandDef<Args> => {
    const args: Args = { ...verb.args, ...GLOBALS };
    return defineCommand<Args>({
      meta: { name: verb.name, description: verb.summary },
      args: lenient(args),
      setup: ({ rawArgs }) => {
        running.command = fullName(noun, verb);
        running.fields = verb.args;
        checkStrictly(rawArgs, args);
      },
      run: async ({ args: given }) => {
        const context = contextOf(given as Globals & typeof given, signal);
        // Before anything is asked of the daemon: an operation must not be followed by a complaint about columns.
        if (given.columns !== undefined) pick(verb.columns ?? [], String(given.columns));
        running.code = (await verb.run(context, given)) ?? EXIT.OK;
      },
    });
  };
  const branch = (noun: Noun): CommandDef<Args> => {
    const lone = loneVerb(noun);
    if (lone) return leaf(noun, lone);
    const subCommands = Object.fromEntries(noun.verbs.map((verb) => [verb.name, leaf(noun, verb)]));
    return defineCommand<Args>({ meta: metaOf(noun), args: GLOBALS, subCommands });
  };
  const subCommands = Object.fromEntries(NOUNS.map((noun) => [noun.name, branch(noun)]));
  return defineCommand<Args>({ meta: { name: PROGRAM, version }, args: GLOBALS, subCommands });
}

interface Running {
  code?: number;
  command: string;
  fields: Args;
}

function metaOf({ name, alias, summary }: Noun) {
  return { name, description: summary, ...(alias !== undefined && { alias }) };
}

/** citty would refuse in words of its own; checkStrictly refuses in ours. */
function lenient(args: Args): Args {
  return Object.fromEntries(
    Object.entries(args).map(([name, arg]): [string, Arg] => {
      const { description = '' } = arg;
      if (arg.type === 'positional') return [name, { type: 'positional', required: false, description }];
      if (arg.type === 'boolean') return [name, { ...arg, required: false }];
      return [
        name,
        {
          type: 'string',
          description,
          ...('alias' in arg && arg.alias !== undefined && { alias: arg.alias }),
        },
      ];
    }),
  );
}

/** What is mistyped is answered with what is near, before anything else is looked at. */
function checkWords([first = '', second]: readonly string[], helping = false): void {
  const noun = findNoun(first);
  if (!noun)
    throw new UsageError(
      `there is no command ${first}`,
      didYouMean(
        first,
        NOUNS.map(({ name }) => name),
      ),
    );
  if (loneVerb(noun)) return;
  const names = noun.verbs.map(({ name }) => name);
  const usable = `Say what to do: ${PROGRAM} ${noun.name} ${names.join('|')}.`;
  if (second === undefined && !helping) throw new UsageError(`${noun.name} alone says not enough`, usable);
  if (second !== undefined && !names.includes(second))
    throw new UsageError(`there is no command ${noun.name} ${second}`, didYouMean(second, names) ?? usable);
}

function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === null ? `The commands are ${known.join(', ')}.` : `Did you mean ${near}?`;
}

function contextOf(given: Globals, signal: AbortSignal): Context {
  const timeout = given.timeout === undefined ? null : parseTime(given.timeout, '--timeout');
  const out = new Output(process.stdout, process.stderr, {
    json: given.json ?? false,
    columns: given.columns,
    headers: given.headers,
    quiet: given.quiet ?? false,
    colors: {
      out: wantsColor(process.stdout, given.color),
      error: wantsColor(process.stderr, given.color),
    },
    live: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  });
  const target = findTarget(
    { url: given.url, socket: given.socket, tokenFile: given['token-file'] },
    process.env,
  );
  const call: CallOptions = { signal, timeout: timeout ?? ANSWER };
  return {
    api: new Api(new Connection(target)),
    out,
    timeout,
    signal,
    call,
    longCall: { signal, timeout: timeout ?? LONG_ANSWER },
    confirm: (question) => confirm(question, signal),
  };
}

/** NO_COLOR (https://no-color.org) counts for what was not asked for. */
function wantsColor(stream: NodeJS.WriteStream, asked: boolean | undefined): boolean {
  if (asked !== undefined) return asked;
  return stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
}

async function confirm(question: string, signal: AbortSignal): Promise<boolean | null> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal })).trim());
  } finally {
    terminal.close();
  }
}

/** Says what went wrong on the error output, and with which exit code. */
function explain(error: unknown, running: Running, signal: AbortSignal): number {
  const { code, message, fixes } = verdict(error, running, signal);
  if (message === null) return code;
  const color = wantsColor(process.stderr, undefined);
  process.stderr.write(`${paint('bad', `${PROGRAM}: ${message}`, color)}\n`);
  for (const fix of fixes) process.stderr.write(`  ${fix}\n`);
  return code;
}

function verdict(
  error: unknown,
  { command, fields }: Running,
  signal: AbortSignal,
): { code: number; message: string | null; fixes: readonly string[] } {
  if (signal.aborted) return { code: EXIT.INTERRUPTED, message: null, fixes: [] };
  if (error instanceof UsageError || (error instanceof Error && error.name === 'CLIError'))
    return {
      code: EXIT.USAGE,
      message: error.message,
      fixes: [
        ...('fix' in error && typeof error.fix === 'string' ? [error.fix] : []),
        `See: ${command} --help`,
      ],
    };
  if (error instanceof Failure)
    return { code: error.code, message: error.message, fixes: error.fix === undefined ? [] : [error.fix] };
  if (error instanceof Refusal) return refusal(error, command, fields);
  if (error instanceof TooSlow) return { code: EXIT.TIMEOUT, message: error.message, fixes: [] };
  if (error instanceof Unreachable)
    return {
      code: EXIT.UNREACHABLE,
      message: error.message,
      fixes: [
        'Is the daemon running? systemctl status volume-daemon',
        'Does it listen elsewhere? --url, --socket, or VOLUMECTL_URL',
      ],
    };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: EXIT.SOFTWARE, message: `a mistake in ${PROGRAM} itself: ${text}`, fixes: [] };
}

/** The daemon's own words; wrong fields are told under the names they have on the command line. */
function refusal(error: Refusal, command: string, args: Args) {
  const { problem } = error;
  if (error.fields.length > 0) {
    const named = error.fields.map(({ field, message }) => `${argumentOf(field, args)} ${message}`);
    return { code: EXIT.USAGE, message: named.join('; '), fixes: [`See: ${command} --help`] };
  }
  const details = problem.details === undefined ? [] : [`details: ${JSON.stringify(problem.details)}`];
  const retry = error.notReady ? ['It is there, but takes no requests now; try again.'] : [];
  return {
    code: error.notReady ? EXIT.UNREACHABLE : EXIT.FAILED,
    message: `${problem.detail} (${problem.code})`,
    fixes: [`fix: ${problem.fix}`, ...details, ...retry],
  };
}

function argumentOf(field: string, args: Args): string {
  const found = Object.entries(args).find(([, arg]) => arg.field === field.split('.')[0]);
  if (!found) return field;
  return found[1].type === 'positional' ? `<${found[0]}>` : `--${found[0]}`;
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT.OK;
}
