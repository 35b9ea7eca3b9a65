/** Who said it. */
export const WITNESSES = ['cloudstack', 'guest', 'database', 'export-server'] as const;
export type Witness = (typeof WITNESSES)[number];

/** A fact that a witness has shown. */
export interface Seen<T> {
  readonly kind: 'seen';
  readonly value: T;
  /** Wall clock ms of the look. */
  readonly at: number;
  readonly by: Witness;
}

/** There is none, and that is proven. A list that does not show something is no proof. */
export interface Absent {
  readonly kind: 'absent';
  /** What proves it, in words: CloudStack's own sentence about this id, or our own delete that succeeded. */
  readonly proof: string;
  readonly at: number;
  readonly by: Witness;
}

/** It could not be found out. Permits nothing that cannot be taken back. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly why: string;
  readonly at: number;
  readonly by: Witness;
}

/**
 * What is known of one fact. Decisions, sync, diagnostics and pages are made from it and handle all three
 * kinds: only `seen` and `absent` permit what cannot be taken back; `unknown` waits, says why, and in the end
 * says "unknown" to the caller.
 */
export type Evidence<T> = Seen<T> | Absent | Unknown;

/**
 * @example
 * const volume = seen(answer, clock.now(), 'cloudstack');
 */
export function seen<T>(value: T, at: number, by: Witness): Seen<T> {
  return { kind: 'seen', value, at, by };
}

/**
 * @example
 * const none = absent(answer.text, clock.now(), 'cloudstack');
 */
export function absent(proof: string, at: number, by: Witness): Absent {
  return { kind: 'absent', proof, at, by };
}

/**
 * @example
 * const hidden = unknown('the list does not show it', clock.now(), 'cloudstack');
 */
export function unknown(why: string, at: number, by: Witness): Unknown {
  return { kind: 'unknown', why, at, by };
}
