import type { ArgDef, ParsedArgs } from 'citty';
import type { Context } from './context';

/** What a shell offers for a value: ids that the daemon knows, or files. */
export type Candidates = 'volume' | 'operation' | 'device' | 'file';

export type Arg = ArgDef & {
  readonly complete?: Candidates | readonly string[];
  /** The field of the API that this argument fills: its complaints are then told under the argument's name. */
  readonly field?: string;
};
export type Args = Record<string, Arg>;

export interface Example {
  readonly line: string;
  readonly what: string;
}

interface About<A extends Args> {
  /** Empty when the noun itself is the command (`volumectl health`). */
  readonly name: string;
  readonly summary: string;
  /** More sentences for its help and the manual. */
  readonly details?: string;
  readonly args: A;
  /** What --columns can ask for; nothing when it prints no columns. */
  readonly columns?: readonly { readonly name: string }[];
  readonly examples: readonly Example[];
}

/** One thing that can be done: `volumectl volume attach`. */
export interface Verb extends About<Args> {
  /** Resolves with the exit code; undefined is 0. */
  run(context: Context, args: ParsedArgs): Promise<number | undefined>;
}

export interface Noun {
  readonly name: string;
  /** Other names it goes by. */
  readonly alias?: string;
  readonly summary: string;
  readonly verbs: readonly Verb[];
}

/** Keeps the types of the arguments of one verb, and forgets them for the tree: citty parses by these very definitions. */
export function verb<const A extends Args>(
  definition: About<A> & {
    run(context: Context, args: ParsedArgs<A>): Promise<number | undefined>;
  },
): Verb {
  return { ...definition, run: (context, args) => definition.run(context, args as ParsedArgs<A>) };
}

/** Exit codes, as in the manual. */
export const EXIT = {
  OK: 0,
  /** A mistake in volumectl itself. */
  SOFTWARE: 1,
  USAGE: 2,
  FAILED: 3,
  TIMEOUT: 4,
  UNREACHABLE: 5,
  INTERRUPTED: 130,
} as const;

export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.OK, 'done; with --wait: the operation has completed'],
  [EXIT.USAGE, 'the command line is wrong, or a value in it'],
  [EXIT.FAILED, 'the operation has failed or was cancelled, the daemon refused, or a check found a problem'],
  [EXIT.TIMEOUT, 'the time given by --timeout was over; an accepted operation goes on by itself'],
  [EXIT.UNREACHABLE, 'the daemon cannot be reached, or does not take requests now'],
  [EXIT.SOFTWARE, 'a mistake in volumectl itself'],
];

/** The command line is wrong. `fix` says what to type instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  constructor(
    message: string,
    readonly fix?: string,
  ) {
    super(message);
  }
}

/** Ends the command with this code; the message is for people. */
export class Failure extends Error {
  override readonly name = 'Failure';
  constructor(
    readonly code: number,
    message: string,
    readonly fix?: string,
  ) {
    super(message);
  }
}
