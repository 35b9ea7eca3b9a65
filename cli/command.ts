import type { Args, Values } from './arguments';
import type { Context } from './context';
import type { NamedColumn } from './output/table';

interface Example {
  /** What follows the name of the command. */
  readonly args: string;
  readonly what: string;
}

interface Definition<A extends Args> {
  /** Empty when the noun itself is the command (`volumectl health`). */
  readonly name: string;
  readonly summary: string;
  /** More sentences for its help and the manual. */
  readonly details?: string;
  readonly args: A;
  /** The columns for --columns, --sort and --filter; absent when the command prints none. */
  readonly columns?: readonly NamedColumn[];
  readonly examples: readonly Example[];
  /** It reads or changes files of the machine that it runs on: naming another appliance is refused. */
  readonly onThisMachine?: true;
  /** Resolves with the exit code. */
  run(context: Context, args: Values<A>): Promise<number>;
}

/** One command: `volumectl volume attach`. */
export type Verb = Definition<Args>;

export interface Noun {
  readonly name: string;
  /** A second name, also accepted. */
  readonly alias?: string;
  readonly summary: string;
  readonly verbs: readonly Verb[];
}

/** Checks `run` against the arguments of one verb; in the tree all verbs then have the same type. */
export function verb<const A extends Args>(definition: Definition<A>): Verb {
  return { ...definition, run: (context, args) => definition.run(context, args as Values<A>) };
}

/** A noun that is a command on its own: `volumectl health`. */
export function loneNoun<const A extends Args>(name: string, definition: Omit<Definition<A>, 'name'>): Noun {
  return { name, summary: definition.summary, verbs: [verb({ ...definition, name: '' })] };
}
