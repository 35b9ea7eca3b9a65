import { DaemonError } from '../core/errors';
import type { Daemon } from './daemon';

/**
 * The one running daemon of this process. Nitro loads routes, tasks and plugins as separate modules and does
 * not await the plugin, so they share the daemon here: until the plugin has set it, every request is answered
 * STARTING.
 */
let running: Daemon | null = null;

export function setCurrentDaemon(daemon: Daemon | null): void {
  running = daemon;
}

/** Throws STARTING (503) until the plugin has built the daemon. */
export function currentDaemon(): Daemon {
  if (!running)
    throw new DaemonError('STARTING', 'The daemon is starting, try again in a moment', {
      retryAfterSeconds: 1,
    });
  return running;
}

/** For tasks and health, which do not fail while the daemon starts. */
export function currentDaemonOrNull(): Daemon | null {
  return running;
}
