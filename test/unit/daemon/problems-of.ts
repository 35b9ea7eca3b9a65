import type { Problem } from '~/server/daemon/configuration/check-together';
import { ConfigurationError, loadConfiguration } from '~/server/daemon/configuration/configuration';

/** What is wrong with an environment; empty: the daemon runs with it. */
export function problemsOf(env: Record<string, string | undefined>): readonly Problem[] {
  try {
    loadConfiguration(env);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}
