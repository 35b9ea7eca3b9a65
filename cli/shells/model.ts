import { type Args, type Candidates, optionForms } from '../arguments';
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
  readonly arguments: readonly (Candidates | readonly string[] | null)[];
}

export interface CompletedOption {
  /** With its dashes. */
  readonly name: string;
  readonly short: string | null;
  readonly summary: string;
  /** null when it takes no value. */
  readonly value: Candidates | readonly string[] | 'any' | null;
}

/** The commands that print candidates, by kind. Their time limit is short because a person waits. */
export const ASK: Readonly<Record<Exclude<Candidates, 'file'>, string>> = {
  volume: 'volume list --columns volume_id --no-headers --quiet --timeout 2s',
  operation: 'operation list --limit 30 --columns id --no-headers --quiet --timeout 2s',
  device: 'device list --columns device_path --no-headers --quiet --timeout 2s',
};

export function commandsOf(nouns: readonly Noun[]): Completed[] {
  return nouns.flatMap((noun) =>
    noun.verbs.map((verb) => ({
      noun: noun.name,
      verb: verb.name,
      nounSummary: noun.summary,
      summary: verb.summary,
      options: optionsOf(verb.args),
      arguments: Object.values(verb.args)
        .filter(({ type }) => type === 'positional')
        .map(({ complete }) => complete ?? null),
    })),
  );
}

function optionsOf(args: Args): CompletedOption[] {
  return optionForms(args).map(({ name, arg, description }) => ({
    name: `--${name}`,
    short: arg.type === 'boolean' && arg.short !== undefined ? `-${arg.short}` : null,
    summary: description,
    value: arg.type === 'boolean' ? null : (arg.complete ?? arg.options ?? 'any'),
  }));
}

export const GLOBAL_OPTIONS: readonly CompletedOption[] = optionsOf(GLOBALS);
