import { type Args, type Candidates, type Option, optionForms, type Positional } from '../arguments';
import type { Noun } from '../command';
import { GLOBALS } from '../globals';

/** What a completion script contains about one command. */
export interface Completed {
  readonly noun: string;
  /** Empty when the noun is the command. */
  readonly verb: string;
  readonly nounSummary: string;
  readonly summary: string;
  /** Without the options of every command (GLOBAL_OPTIONS). */
  readonly options: readonly CompletedOption[];
  /** How to complete each positional argument, in order. */
  readonly arguments: readonly Offered[];
}

export interface CompletedOption {
  /** With its dashes. */
  readonly name: string;
  readonly short: string | null;
  readonly summary: string;
  /** null when it takes no value. */
  readonly value: Offered | 'any';
}

/** A word to complete with, and what it means. */
export interface Word {
  readonly word: string;
  /** Empty when the word says it all. */
  readonly meaning: string;
}

/** null when there is nothing to offer. */
export type Offered = Candidates | readonly Word[] | null;

/**
 * The commands that print candidates, by kind: a word on each line, then what it means. Their time limit is
 * short because a person waits.
 */
export const ASK: Readonly<Record<Exclude<Candidates, 'file'>, string>> = {
  volume: ask('volume list --columns volume_id,name,device_path,size'),
  operation: ask('operation list --limit 30 --columns id,type,status,volume_id,created_at'),
  device: ask('device list --columns device_path,size,belongs_to'),
  offering: ask('check offerings --columns id,name,size'),
  zone: ask('check zones --columns id,name'),
  appliance: ask('appliance list --columns name,address'),
};

function ask(command: string): string {
  return `${command} --no-headers --quiet --timeout 2s`;
}

export function commandsOf(nouns: readonly Noun[]): Completed[] {
  return nouns.flatMap((noun) =>
    noun.verbs.map((verb) => ({
      noun: noun.name,
      verb: verb.name,
      nounSummary: noun.summary,
      summary: verb.summary,
      options: optionsOf(verb.args),
      arguments: Object.values(verb.args).flatMap((arg) =>
        arg.type === 'positional' ? [offered(arg) ?? null] : [],
      ),
    })),
  );
}

function optionsOf(args: Args): CompletedOption[] {
  return optionForms(args).map(({ name, arg, description }) => ({
    name: `--${name}`,
    short: arg.short === undefined ? null : `-${arg.short}`,
    summary: description,
    value: arg.type === 'boolean' ? null : (offered(arg) ?? 'any'),
  }));
}

function offered(arg: Positional | Option): Exclude<Offered, null> | undefined {
  const words = arg.complete ?? (arg.type === 'string' ? arg.options : undefined);
  if (words === undefined || typeof words === 'string') return words;
  return words.map((word) => ({ word, meaning: arg.meanings?.[word] ?? '' }));
}

export const GLOBAL_OPTIONS: readonly CompletedOption[] = optionsOf(GLOBALS);
