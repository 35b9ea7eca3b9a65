import type { Api } from './client/api';
import type { CallOptions } from './client/connection';
import type { Output } from './output/output';

/** What a command works with. */
export interface Context {
  readonly api: Api<CallOptions>;
  readonly out: Output;
  /** ms given with --timeout, null when none was. */
  readonly timeout: number | null;
  /** Aborted when the user interrupts, or nobody reads the output any more. */
  readonly signal: AbortSignal;
  /** For every call that is not followed: the time limit and the signal. */
  readonly call: CallOptions;
  /** The same for calls that look at everything: sync, validation. */
  readonly longCall: CallOptions;
  /** Asks on the terminal; null when there is none to ask. */
  confirm(question: string): Promise<boolean | null>;
}
