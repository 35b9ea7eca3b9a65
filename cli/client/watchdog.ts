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
