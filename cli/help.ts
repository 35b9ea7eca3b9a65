import { type Args, type Flag, type Option, optionForms } from './arguments';
import type { Noun, Verb } from './command';
import { EXIT_MEANINGS } from './exit';
import { GLOBALS, VERSION } from './globals';
import { paint, wrap } from './output/text';
import { exampleLines, findNoun, fullName, loneVerb, NOUNS, PROGRAM, PURPOSE } from './tree';

const WIDTH_COLUMNS = 96;
/** The words of a choice are named in its description when they take more. */
const CHOICES_COLUMNS = 60;

/** The help of a verb, of a noun, or (without words) of the program. */
export function helpFor(words: readonly string[], color: boolean): string {
  const [first, second] = words;
  const noun = first === undefined ? undefined : findNoun(first);
  if (!noun) return programHelp(color);
  const verb = noun.verbs.find(({ name }) => name === second) ?? loneVerb(noun);
  return verb ? verbHelp(noun, verb, color) : nounHelp(noun, color);
}

function programHelp(color: boolean): string {
  return page(color, [
    `${PROGRAM} ${PURPOSE}.`,
    ['Usage:', `${PROGRAM} <command> [options]`],
    ['Commands:', columns(NOUNS.map((noun) => [commandOf(noun), noun.summary]))],
    [
      'Begin with:',
      examples([
        { line: `${PROGRAM} health`, what: 'Is everything well?' },
        { line: `${PROGRAM} device list`, what: 'Which disk is which volume?' },
        { line: `${PROGRAM} volume attach <volume> --wait`, what: 'Attach a volume to this appliance.' },
        { line: `${PROGRAM} check all`, what: 'What is wrong?' },
      ]),
    ],
    ['Options of every command:', columns([...optionRows(GLOBALS), ...optionRows(VERSION)])],
    ['Exit codes:', columns(EXIT_MEANINGS.map(([code, meaning]) => [String(code), meaning]))],
    `"${PROGRAM} <command> --help" tells more; so does "man ${PROGRAM}".`,
  ]);
}

function nounHelp(noun: Noun, color: boolean): string {
  const { name, summary, verbs } = noun;
  return page(color, [
    `${PROGRAM} ${name}: ${lowerFirst(summary)}.`,
    ['Usage:', `${PROGRAM} ${name} <command> [options]`],
    ['Commands:', columns(verbs.map((verb) => [verb.name, verb.summary]))],
    ['Examples:', examples(verbs.flatMap((verb) => exampleLines(noun, verb).slice(0, 1)))],
    `"${PROGRAM} ${name} <command> --help" tells more.`,
  ]);
}

function verbHelp(noun: Noun, verb: Verb, color: boolean): string {
  const about = `${verb.summary}.${verb.details === undefined ? '' : ` ${verb.details}`}`;
  const names = columnNames(verb);
  return page(color, [
    wrap(about, WIDTH_COLUMNS).join('\n'),
    ['Usage:', usage(noun, verb)],
    ['Arguments:', columns(positionalRows(verb.args))],
    ['Options:', columns(optionRows(verb.args))],
    ['Columns:', names === '' ? [] : wrap(names, WIDTH_COLUMNS - 2).map((line) => `  ${line}`)],
    ['Examples:', examples(exampleLines(noun, verb))],
    ['Options of every command:', columns(optionRows(GLOBALS))],
  ]);
}

type Part = string | readonly [title: string, content: string | readonly string[]];

/** Paragraphs and titled sections, separated by empty lines; sections without lines are omitted. */
function page(color: boolean, parts: readonly Part[]): string {
  const blocks = parts.flatMap((part) => {
    if (typeof part === 'string') return [part];
    const [title, content] = part;
    const heading = paint('bold', title, color);
    if (typeof content === 'string') return [`${heading} ${content}`];
    return content.length === 0 ? [] : [[heading, ...content].join('\n')];
  });
  return `${blocks.join('\n\n')}\n`;
}

export function columnNames({ columns: list = [] }: Verb): string {
  return list.map(({ name }) => name).join(', ');
}

/** `volumectl volume attach <volume> [options]`, with the required options. */
export function usage(noun: Noun, verb: Verb): string {
  const words = Object.entries(verb.args).flatMap(([name, arg]) => {
    if (arg.type === 'positional') return [arg.optional ? `[<${name}>]` : `<${name}>`];
    return arg.type === 'string' && arg.required ? [optionText(name, arg)] : [];
  });
  return [fullName(noun, verb), ...words, '[options]'].join(' ');
}

/** Whether its words fit between the brackets; otherwise its description names them. */
function isShort({ options }: Option): boolean {
  return options !== undefined && options.join('|').length <= CHOICES_COLUMNS;
}

/** `--vm <id>`, `-w, --wait` */
function optionText(name: string, arg: Option | Flag): string {
  const short = arg.short === undefined ? '' : `-${arg.short}, `;
  if (arg.type === 'boolean') return `${short}--${name}`;
  const words = isShort(arg) ? arg.options?.join('|') : undefined;
  return `${short}--${name} <${words ?? arg.valueHint ?? (arg.options ? name : 'value')}>`;
}

/** Every option with its description; an option that can be negated has a line for each form. */
export function optionRows(args: Args): [string, string][] {
  return optionForms(args).map(({ name, arg, description }) => {
    const words = arg.type === 'string' && !isShort(arg) ? arg.options : undefined;
    return [optionText(name, arg), words ? `${description}: ${words.join(', ')}` : description];
  });
}

export function positionalRows(args: Args): [string, string][] {
  return Object.entries(args)
    .filter(([, { type }]) => type === 'positional')
    .map(([name, { description }]) => [`<${name}>`, description]);
}

/** `volume list|show|create` */
export function commandOf(noun: Noun): string {
  return loneVerb(noun) ? noun.name : `${noun.name} ${noun.verbs.map(({ name }) => name).join('|')}`;
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const left = Math.min(28, Math.max(...rows.map(([first]) => first.length)));
  return rows.flatMap(([first, second]) => {
    const [head = '', ...rest] = wrap(second, WIDTH_COLUMNS - left - 4);
    const indent = ' '.repeat(left + 4);
    if (first.length > left) return [`  ${first}`, ...[head, ...rest].map((line) => indent + line)];
    return [`  ${first.padEnd(left)}  ${head}`, ...rest.map((line) => indent + line)];
  });
}

function examples(list: readonly { line: string; what: string }[]): string[] {
  return list.flatMap(({ line, what }) => [`  ${line}`, `      ${what}`]);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
