import { createInterface } from 'node:readline/promises';
import { nearest } from '~/server/core/nearest';
import { version } from '../package.json';
import { type Args, parseCommandLine, requireOneValue, type Values, valuesOf } from './arguments';
import { Client } from './client/client';
import type { Noun, Verb } from './command';
import type { Context } from './context';
import { EXIT, Failure, UsageError } from './exit';
import { findTarget, GLOBALS, type LIST, parseTime, VERSION } from './globals';
import { helpFor } from './help';
import { type Format, Output } from './output/output';
import { wantsColor } from './output/text';
import { reportFailure } from './report-failure';
import { resolveVolumes } from './resolve-volumes';
import { findNoun, fullName, loneVerb, NOUNS, PROGRAM } from './tree';

const TIMEOUT_MS = 30_000;
const LONG_TIMEOUT_MS = 5 * 60_000;
/** Texts are not wrapped into less. */
const MIN_WIDTH_COLUMNS = 40;
/** The options that name another daemon than the one of this machine. */
const ELSEWHERE = ['appliance', 'url', 'socket'] as const;

/** Runs one command line; resolves with the exit code. `signal` ends commands that follow something. */
export async function run(raw: readonly string[], signal: AbortSignal): Promise<number> {
  const verbs = NOUNS.flatMap((noun) => noun.verbs);
  const { words, options } = parseCommandLine(raw, [GLOBALS, VERSION, ...verbs.map(({ args }) => args)]);
  const given = new Set(options.map(({ name }) => name));
  const asksHelp = words[0] === 'help' || given.has('help');
  let command = PROGRAM;
  let args: Args = {};
  try {
    if (given.has('version')) return print(`${PROGRAM} ${version}\n`);
    if (asksHelp) return help(words[0] === 'help' ? words.slice(1) : words);
    if (words.length === 0) {
      valuesOf(GLOBALS, [], options);
      return help([]);
    }
    const { noun, verb } = findCommand(words);
    command = fullName(noun, verb);
    args = verb.args;
    const rest = words.slice(verb.name === '' ? 1 : 2);
    const values = valuesOf({ ...args, ...GLOBALS }, rest, options);
    // Of the options of every command the last one counts, so that an alias can be overridden.
    requireOneValue(args, options);
    const elsewhere = ELSEWHERE.find((name) => given.has(name));
    if (verb.onThisMachine && elsewhere !== undefined)
      throw new UsageError(
        `${command} is about the machine that it runs on, not about --${elsewhere}`,
        'Run it there.',
      );
    const context = contextOf(values, signal);
    // Checked before the first request: a complaint about columns must not follow an accepted operation.
    context.out.check(verb.columns ?? []);
    return await verb.run(context, await resolveVolumes(context, verb.args, values));
  } catch (error) {
    return reportFailure(error, { command, args, signal });
  }
}

function help(words: readonly string[]): number {
  if (words[0] !== undefined) nounNamed(words[0]);
  if (words[1] !== undefined) findCommand(words);
  return print(helpFor(words, wantsColor(process.stdout, undefined)));
}

/** The command that the words name. Throws UsageError with the nearest name. */
function findCommand([first = '', second]: readonly string[]): { noun: Noun; verb: Verb } {
  const noun = nounNamed(first);
  const verb = loneVerb(noun) ?? noun.verbs.find(({ name }) => name === second);
  if (verb) return { noun, verb };
  const names = noun.verbs.map(({ name }) => name);
  if (second === undefined) {
    const fix = `Say what to do: ${PROGRAM} ${noun.name} ${names.join('|')}.`;
    throw new UsageError(`${noun.name} alone says not enough`, fix);
  }
  throw new UsageError(`there is no command ${noun.name} ${second}`, didYouMean(second, names));
}

function nounNamed(word: string): Noun {
  const noun = findNoun(word);
  if (noun) return noun;
  const names = NOUNS.map(({ name }) => name);
  throw new UsageError(`there is no command ${word}`, didYouMean(word, names));
}

function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === null ? `The commands are ${known.join(', ')}.` : `Did you mean ${near}?`;
}

type Given = Values<typeof GLOBALS> & Partial<Values<typeof LIST>>;

function contextOf(given: Given, signal: AbortSignal): Context {
  const timeoutMs = given.timeout === undefined ? null : parseTime(given.timeout, '--timeout');
  const out = new Output(process.stdout, process.stderr, {
    format: formatOf(given),
    columns: given.columns,
    rows: { sort: given.sort, reverse: given.reverse ?? false, filter: given.filter },
    headers: given.headers ?? true,
    quiet: given.quiet ?? false,
    width: terminalWidth(),
    colors: {
      out: wantsColor(process.stdout, given.color),
      error: wantsColor(process.stderr, given.color),
    },
    live: process.stderr.isTTY === true && process.env.TERM !== 'dumb',
  });
  const { appliance, url, socket, 'token-file': tokenFile } = given;
  const target = findTarget({ appliance, url, socket, tokenFile }, process.env);
  return {
    client: new Client(target, { signal, timeoutMs: timeoutMs ?? TIMEOUT_MS }),
    out,
    timeoutMs,
    longTimeoutMs: timeoutMs ?? LONG_TIMEOUT_MS,
    signal,
    isElsewhere: target.isElsewhere,
    confirm: (question) => confirm(question, signal),
    ask:
      process.stdin.isTTY && process.stderr.isTTY ? (question, typed) => ask(question, typed, signal) : null,
  };
}

function formatOf({ output, json }: Given): Format {
  if (json && output !== undefined && output !== 'json')
    throw new UsageError(`--json and --output ${output} contradict each other`, 'Give only one of them.');
  return json ? 'json' : (output ?? 'table');
}

/** Null where lines may have any length: in a pipe, unless COLUMNS says how long they may be. */
function terminalWidth(): number | null {
  const asked = Number(process.env.COLUMNS);
  if (Number.isInteger(asked) && asked >= MIN_WIDTH_COLUMNS) return asked;
  return process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : null;
}

async function confirm(question: string, signal: AbortSignal): Promise<boolean | null> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null;
  return /^y(es)?$/i.test(await ask(`${question} [y/N]`, 'shown', signal));
}

async function ask(question: string, typed: 'shown' | 'hidden', signal: AbortSignal): Promise<string> {
  // Without an output to echo to, what is typed is not shown.
  const output = typed === 'shown' ? { output: process.stderr } : {};
  if (typed === 'hidden') process.stderr.write(`${question} `);
  const terminal = createInterface({ input: process.stdin, terminal: true, ...output });
  try {
    return (await terminal.question(`${question} `, { signal })).trim();
  } catch (error) {
    if (typed === 'shown') process.stderr.write('\n');
    // While it asks, Ctrl-C and Ctrl-D are keys of the terminal, and no signals.
    if (error instanceof Error && error.name === 'AbortError')
      throw new Failure(EXIT.INTERRUPTED, 'interrupted; nothing more was done');
    throw error;
  } finally {
    terminal.close();
    if (typed === 'hidden') process.stderr.write('\n');
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return EXIT.OK;
}
