import type { Arg, Args, Candidates, Noun } from '../command';
import { GLOBALS } from '../globals';

/** What a shell has to know of one command. */
export interface Completed {
  readonly noun: string;
  /** Empty when the noun is the command. */
  readonly verb: string;
  readonly nounSummary: string;
  readonly summary: string;
  /** Its own; those of every command are GLOBAL_OPTIONS. */
  readonly options: readonly CompletedOption[];
  /** Of each argument, in order. */
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

/** The command lines that print candidates, by their kind. Short, because somebody waits with a finger on the tab key. */
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
  return Object.entries(args).flatMap(([name, arg]): CompletedOption[] => {
    if (arg.type === 'positional') return [];
    const short = 'alias' in arg && typeof arg.alias === 'string' ? `-${arg.alias}` : null;
    const positive = { name: `--${name}`, short, summary: arg.description ?? '', value: valueTaken(arg) };
    if (arg.type !== 'boolean' || arg.negativeDescription === undefined) return [positive];
    const negative = { name: `--no-${name}`, short: null, summary: arg.negativeDescription, value: null };
    return arg.default === true ? [negative] : [positive, negative];
  });
}

function valueTaken(arg: Arg): CompletedOption['value'] {
  if (arg.type === 'boolean') return null;
  return arg.complete ?? ('options' in arg ? (arg.options ?? 'any') : 'any');
}

export const GLOBAL_OPTIONS: readonly CompletedOption[] = optionsOf(GLOBALS);
