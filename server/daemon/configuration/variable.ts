import type { Parse } from './values';

/** One environment variable: its parser, its default, and its line in docs/reference/configuration.md. */
export interface Variable<T> {
  readonly name: string;
  /** The default as it would be written in the environment; null: unset. */
  readonly fallback: string | null;
  readonly doc: string;
  /** True: the value is never shown, not even in an error message about it. */
  readonly secret: boolean;
  /** Throws an Error that says what was expected. */
  readonly parse: Parse<T>;
  /** The value when the variable is unset. */
  absent(): T;
}

/** A variable that always has a value. */
export function withDefault<T>(name: string, parse: Parse<T>, fallback: string, doc: string): Variable<T> {
  return { name, parse, fallback, doc, secret: false, absent: () => parse(fallback) };
}

/** null when it is unset. */
export function optional<T>(name: string, parse: Parse<T>, doc: string): Variable<T | null> {
  return { name, parse, fallback: null, doc, secret: false, absent: () => null };
}

/** The same variable, with its value never shown. */
export function secret<T>(variable: Variable<T>): Variable<T> {
  return { ...variable, secret: true };
}
