import { DaemonError } from '../core/errors';
import { currentDaemonOrNull } from '../daemon/current';
import type { Daemon, DaemonPhase } from '../daemon/daemon';

/**
 * Runs the work of a scheduled task if the daemon is in one of these phases. In any other phase, and while a
 * dependency is unavailable (503), the task is skipped: the schedule repeats it, and health and journal
 * already name the cause.
 */
export async function runScheduled<T>(
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
