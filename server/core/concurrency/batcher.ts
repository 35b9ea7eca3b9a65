/** One item and the promise of its answer. */
export interface Waiting<In, Out> {
  readonly input: In;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs one batch at a time: what arrives meanwhile goes together in the next one, in order of arrival. An item
 * by itself does not wait.
 */
export class Batcher<In, Out> {
  private readonly queue: Waiting<In, Out>[] = [];
  private running: Promise<void> | null = null;

  /**
   * @param run settles every item of the batch; when it throws, those that are left are rejected with its error
   * @param size of a batch at most
   */
  constructor(
    private readonly run: (batch: readonly Waiting<In, Out>[]) => Promise<void>,
    private readonly size: number,
  ) {}

  /** How many items wait for the next batch. */
  get waiting(): number {
    return this.queue.length;
  }

  add(input: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.queue.push({ input, resolve, reject });
      this.next();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.running) await this.running;
  }

  private next(): void {
    if (this.running || this.queue.length === 0) return;
    const batch = this.queue.splice(0, this.size);
    this.running = this.run(batch)
      .catch((error: unknown) => {
        for (const { reject } of batch) reject(error);
      })
      .finally(() => {
        this.running = null;
        this.next();
      });
  }
}
