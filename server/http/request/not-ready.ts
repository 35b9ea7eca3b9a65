import { DaemonError } from '../../core/errors';
import type { Daemon } from '../../daemon/daemon';

/** The error that says why a daemon does not take requests. */
export function notReady(daemon: Pick<Daemon, 'phase' | 'phaseReason' | 'refusal'>): DaemonError {
  switch (daemon.phase) {
    case 'starting':
    case 'standby':
      return daemon.refusal;
    case 'stopping':
      return new DaemonError('STOPPING', 'The daemon is stopping', { retryAfterSeconds: 5 });
    case 'ready':
      if (daemon.phaseReason !== null)
        return new DaemonError('DATABASE_UNAVAILABLE', daemon.phaseReason, { retryAfterSeconds: 2 });
      return new DaemonError('STARTING', 'The daemon is starting', { retryAfterSeconds: 1 });
    default:
      return daemon.phase satisfies never;
  }
}
