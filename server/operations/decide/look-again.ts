import { LIMITS } from '../../core/limits';
import type { Action } from '../action';
import type { Facts, Situation } from '../decision';

/** What was seen and is not believed yet. */
interface Doubt {
  /** The doubt: each name has a time of its own, which begins with its first look (`Situation.doubted`). */
  readonly name: string;
  readonly step: string;
  readonly reason: string;
  readonly forget: readonly (keyof Facts)[];
}

/**
 * Looks again, with growing pauses: another management server may lag behind. null when the doubt has lasted
 * for LIMITS.READ_SETTLE_MS, and what is seen is to be believed.
 */
export function lookAgain(s: Situation, { name, ...pause }: Doubt): Action | null {
  return s.doubted(name) > LIMITS.READ_SETTLE_MS ? null : { do: 'back-off', ...pause };
}
