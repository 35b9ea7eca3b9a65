/**
 * Collects names into change sets: everybody who comes before a set begins shares it, everybody who comes
 * while one runs gets the next. So many exports at once cost one reload, and none is left out.
 */
export class Coalescer {
  private waiting: { names: Set<string>; done: Promise<void> } | null = null;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly apply: (names: ReadonlySet<string>) => Promise<void>) {}

  /** Resolves when a change set that began after this call has been applied; rejects when that one failed. */
  add(name: string): Promise<void> {
    if (this.waiting) {
      this.waiting.names.add(name);
      return this.waiting.done;
    }
    const names = new Set([name]);
    const done = this.running.then(() => {
      this.waiting = null;
      return this.apply(names);
    });
    this.waiting = { names, done };
    this.running = done.catch(() => undefined);
    return done;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.waiting) await this.waiting.done.catch(() => undefined);
    await this.running;
  }
}
