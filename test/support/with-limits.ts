import { LIMITS } from '~/server/core/limits';

/** Runs `work` with other limits: bounds of hours and megabytes are tried with small ones. */
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
