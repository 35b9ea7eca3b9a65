import { setTimeout as delay } from 'node:timers/promises';
import { ApiError, ConnectionError, TimeoutError } from './client/errors';

/** A daemon that is restarted or taken over is waited for this long. */
const OUTAGE_MAX_MS = 60_000;
export const RETRY_DELAY_MS = 500;

/** Decides whether to keep waiting for a daemon that does not answer. */
export class OutageTimer {
  private sinceMs: number | null = null;

  /** The daemon has answered. */
  end(): void {
    this.sinceMs = null;
  }

  /** Pauses before the next attempt. Throws an error that is permanent or has lasted too long. */
  async pauseOrThrow(error: unknown, signal: AbortSignal): Promise<void> {
    const temporary =
      error instanceof ConnectionError ||
      error instanceof TimeoutError ||
      (error instanceof ApiError && (error.status === 503 || error.status === 429));
    const nowMs = performance.now();
    this.sinceMs ??= nowMs;
    if (!temporary || signal.aborted || nowMs - this.sinceMs > OUTAGE_MAX_MS) throw error;
    await delay(RETRY_DELAY_MS, undefined, { signal }).catch(() => undefined);
  }
}
