/** What a TIMESTAMP column can hold, ms: 1970-01-01 00:00:01 to 2038-01-19 03:14:07. */
const FIRST_MS = 1_000;
const LAST_MS = 2_147_483_647_000;

/**
 * A time of this machine's clock as it is stored. A time beyond these is stored as the nearest of them: a
 * strict session refuses others, and nothing could be written.
 */
export function storedTime(ms: number): number {
  return Math.min(Math.max(ms, FIRST_MS), LAST_MS);
}
