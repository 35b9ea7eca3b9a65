import type { Client } from './client/client';
import type { Output } from './output/output';

/** What a command works with. */
export interface Context {
  /** Its requests end with `signal`, and after --timeout or 30 s. */
  readonly client: Client;
  readonly out: Output;
  /** The value of --timeout, null when it was not given. */
  readonly timeoutMs: number | null;
  /** Time limit of requests that examine everything: sync, validation. */
  readonly longTimeoutMs: number;
  /** Aborted when the user interrupts, or nobody reads the output any more. */
  readonly signal: AbortSignal;
  /** The daemon may be that of another machine. */
  readonly isElsewhere: boolean;
  /** Asks on the terminal; null when there is none to ask. */
  confirm(question: string): Promise<boolean | null>;
  /** Asks for a line on the terminal; null when there is none to ask on. */
  readonly ask: ((question: string, typed: 'shown' | 'hidden') => Promise<string>) | null;
}
