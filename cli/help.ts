import type { Arg, Args, Noun, Verb } from './command';
import { EXIT_MEANINGS } from './command';
import { GLOBALS } from './globals';
import { paint } from './output/text';
import { findNoun, fullName, loneVerb, NOUNS, PROGRAM, PURPOSE } from './tree';

const WIDTH = 96;

/** The help of what the words name: a verb, a noun, or the program. */
export function helpFor(words: readonly string[], color: boolean): string {
  const [first, second] = words;
  const noun = first === undefined ? undefined : findNoun(first);
  if (!noun) return programHelp(color);
  const verb = noun.verbs.find(({ name }) => name === second) ?? loneVerb(noun);
  return verb ? verbHelp(noun, verb, color) : nounHelp(noun, color);
}

function programHelp(color: boolean): string {
  const title = (text: string) => paint('bold', text, color);
  return lines([
    `${PROGRAM} ${PURPOSE}.`,
    '',
    `${title('Usage:')} ${PROGRAM} <command> [options]`,
    '',
    title('Commands:'),
    ...columns(NOUNS.map((noun) => [commandOf(noun), noun.summary])),
    '',
    title('Begin with:'),
    ...examples([
      { line: `${PROGRAM} health`, what: 'Is everything well?' },
      { line: `${PROGRAM} device list`, what: 'Which disk is which volume?' },
      { line: `${PROGRAM} volume attach <volume> --wait`, what: 'Attach a volume to this appliance.' },
      { line: `${PROGRAM} check all`, what: 'What is wrong?' },
    ]),
    '',
    title('Options of every command:'),
    ...columns([...optionRows(GLOBALS), ['--version', 'the version of this program']]),
    '',
    title('Exit codes:'),
    ...columns(EXIT_MEANINGS.map(([code, meaning]) => [String(code), meaning])),
    '',
    `"${PROGRAM} <command> --help" tells more; so does "man ${PROGRAM}".`,
  ]);
}

function nounHelp(noun: Noun, color: boolean): string {
  const title = (text: string) => paint('bold', text, color);
  return lines([
    `${PROGRAM} ${noun.name}: ${lowerFirst(noun.summary)}.`,
    '',
    `${title('Usage:')} ${PROGRAM} ${noun.name} <command> [options]`,
    '',
    title('Commands:'),
    ...columns(noun.verbs.map((verb) => [verb.name, verb.summary])),
    '',
    title('Examples:'),
    ...examples(noun.verbs.flatMap((verb) => verb.examples.slice(0, 1))),
    '',
    `"${PROGRAM} ${noun.name} <command> --help" tells more.`,
  ]);
}

function verbHelp(noun: Noun, verb: Verb, color: boolean): string {
  const title = (text: string) => paint('bold', text, color);
  const positionals = Object.entries(verb.args).filter(([, arg]) => arg.type === 'positional');
  const own = optionRows(verb.args);
  return lines([
    ...wrap(`${verb.summary}.${verb.details === undefined ? '' : ` ${verb.details}`}`, WIDTH),
    '',
    `${title('Usage:')} ${usage(noun, verb)}`,
    ...(positionals.length === 0
      ? []
      : [
          '',
          title('Arguments:'),
          ...columns(positionals.map(([name, arg]) => [`<${name}>`, arg.description ?? ''])),
        ]),
    ...(own.length === 0 ? [] : ['', title('Options:'), ...columns(own)]),
    ...(verb.columns === undefined
      ? []
      : ['', title('Columns:'), ...wrap(columnNames(verb), WIDTH - 2).map((line) => `  ${line}`)]),
    '',
    title('Examples:'),
    ...examples(verb.examples),
    '',
    title('Options of every command:'),
    ...columns(optionRows(GLOBALS)),
  ]);
}

export function columnNames({ columns: list = [] }: Verb): string {
  return list.map(({ name }) => name).join(', ');
}

/** `volumectl volume attach <volume> [options]`, required options written out. */
export function usage(noun: Noun, verb: Verb): string {
  const words = Object.entries(verb.args).flatMap(([name, arg]) => {
    if (arg.type === 'positional') return [`<${name}>`];
    return 'required' in arg && arg.required ? [optionText(name, arg)] : [];
  });
  return [fullName(noun, verb), ...words, '[options]'].join(' ');
}

/** `--vm <id>`, `-w, --wait`, `--no-headers`. */
function optionText(name: string, arg: Arg): string {
  const short = 'alias' in arg && typeof arg.alias === 'string' ? `-${arg.alias}, ` : '';
  if (arg.type === 'boolean') return `${short}--${arg.default === true ? 'no-' : ''}${name}`;
  const values = 'options' in arg && arg.options ? arg.options.join('|') : (arg.valueHint ?? 'value');
  return `${short}--${name} <${values}>`;
}

/** Every option with its text; those that can be negated have a line for each way. */
export function optionRows(args: Args): [string, string][] {
  return Object.entries(args).flatMap(([name, arg]): [string, string][] => {
    if (arg.type === 'positional') return [];
    const negative = arg.type === 'boolean' ? arg.negativeDescription : undefined;
    if (negative === undefined) return [[optionText(name, arg), arg.description ?? '']];
    if (arg.default === true) return [[`--no-${name}`, negative]];
    return [
      [optionText(name, arg), arg.description ?? ''],
      [`--no-${name}`, negative],
    ];
  });
}

function commandOf(noun: Noun): string {
  return loneVerb(noun) ? noun.name : `${noun.name} ${noun.verbs.map(({ name }) => name).join('|')}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(28, Math.max(...rows.map(([first]) => first.length)));
  return rows.flatMap(([first, second]) => {
    const [head = '', ...rest] = wrap(second, WIDTH - left - 4);
    const indent = ' '.repeat(left + 4);
    if (first.length > left) return [`  ${first}`, ...[head, ...rest].map((line) => indent + line)];
    return [`  ${first.padEnd(left)}  ${head}`, ...rest.map((line) => indent + line)];
  });
}

function examples(list: readonly { line: string; what: string }[]): string[] {
  return list.flatMap(({ line, what }) => [`  ${line}`, `      ${what}`]);
}

/** Breaks between words. */
function wrap(text: string, width: number): string[] {
  const result: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > width) {
      result.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...result, line];
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function lines(parts: readonly string[]): string {
  return `${parts.join('\n')}\n`;
}
