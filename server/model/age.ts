import { LIMITS } from '../core/limits';
import type { NewOperation } from './ledger-writes';

/** What `prune` may delete. */
export interface Pruning {
  /** Operations that ended longer ago than this, by the clock of the database. */
  readonly ageMs: number;
  /** Wall clock ms of this machine; must agree with the database's. */
  readonly localNowMs: number;
  /** So many of the newest operations stay, whatever their age. */
  readonly keepNewest: number;
  readonly limit: number;
}

/** What `prune` has done. */
export interface Pruned {
  readonly deleted: number;
  /** Why nothing may be deleted by age, or why one that is old enough stays; or null. */
  readonly refused: string | null;
}

/** Why nothing that cannot be taken back may be done by age now; null when both clocks agree. */
export function whyClocksDiffer(databaseNowMs: number, localNowMs: number): string | null {
  const apartMs = Math.abs(databaseNowMs - localNowMs);
  if (apartMs <= LIMITS.CLOCKS_AGREE_MS) return null;
  const [theirs, ours] = [databaseNowMs, localNowMs].map((ms) => new Date(ms).toISOString());
  return `the clock of the database (${theirs}) and of this machine (${ours}) do not agree`;
}

/**
 * When an operation was accepted, ms, by the clock of the machine and by that of the database (null: not
 * known).
 */
export interface AcceptedAt {
  readonly localMs: number;
  readonly databaseMs: number | null;
}

/**
 * May an Idempotency-Key be forgotten, with the operation that it named? Only when its age is certain: by
 * both clocks, then and now, which agree, and neither was set meanwhile.
 */
export function hasKeyExpired(
  { localMs, databaseMs }: AcceptedAt,
  databaseNowMs: number,
  { at, clockStepped }: Pick<NewOperation, 'at' | 'clockStepped'>,
): boolean {
  if (clockStepped === true || whyClocksDiffer(databaseNowMs, at) !== null) return false;
  const youngest = Math.max(localMs, databaseMs ?? localMs);
  return youngest <= Math.min(databaseNowMs, at) - LIMITS.IDEMPOTENCY_TTL_MS;
}
