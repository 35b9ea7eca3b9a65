import type { Mutation } from '~/server/operations/action';
import type { Guards, Intent } from '~/server/operations/decision';

/** A call, what it is about, what was read before it, and what is answered; what was not read is left out. */
export type Row = [
  story: string,
  command: Mutation,
  about: Intent,
  looked: Partial<Guards>,
  verdict: 'go' | 'wait' | 'settled' | `refuse ${string}` | `wait ${string}`,
];
