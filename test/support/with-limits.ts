import { LIMITS } from '~/server/core/limits';

/** Runs `work` with other limits, because those of hours and megabytes cannot be reached in a test. */
export async function withLimits<T>(
  change: Partial<Record<keyof typeof LIMITS, number>>,
  work: () => Promise<T>,
): Promise<T> {
  const before = { ...LIMITS };
  Object.assign(LIMITS, change);
  try {
    return await work();
  } finally {
    Object.assign(LIMITS, before);
  }
}
