/**
 * The daemon sends a heartbeat every 15 s: after more than two missing ones nobody is at the
 * other end of a stream.
 */
export const STREAM_SILENCE_MS = 40_000;

/** Aborts its signal unless it is renewed in time. */
export class Watchdog {
  private readonly controller = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  readonly signal = this.controller.signal;

  constructor(timeMs: number) {
    this.renew(timeMs);
  }

  renew(timeMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.controller.abort(), timeMs);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
