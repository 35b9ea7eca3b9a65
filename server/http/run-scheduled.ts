import { DaemonError } from '../core/errors';
import { currentDaemonOrNull } from '../daemon/current';
import type { Daemon, DaemonPhase } from '../daemon/daemon';

/**
 * Runs the work of a scheduled task when the daemon is in one of these phases. Otherwise, and while a dependency is away (503),
 * the task is skipped: it comes again by itself, and the daemon has already said in health and journal what is missing.
 */
export async function whenIn<T>(
  phases: readonly DaemonPhase[],
  work: (daemon: Daemon) => Promise<T>,
): Promise<{ result: T | 'skipped' }> {
  const daemon = currentDaemonOrNull();
  if (!daemon || !phases.includes(daemon.phase)) return { result: 'skipped' };
  try {
    return { result: await work(daemon) };
  } catch (error) {
    if (error instanceof DaemonError && error.status === 503) return { result: 'skipped' };
    throw error;
  }
}
