interface Waiting<In, Out> {
  readonly item: In;
  readonly resolve: (value: Out) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Runs one batch at a time: what arrives meanwhile goes together in the next one, in order of arrival. An
 * item by itself does not wait. When a batch has ended, the next one is on its way before its results are
 * handed out, so that what follows from them does not hold it up.
 *
 * @example
 * const batcher = new Batcher<number, string>(async (items) => items.map((n) => fulfilled(String(n))), 64);
 * await batcher.add(7); // '7'
 */
export class Batcher<In, Out> {
  private readonly queue: Waiting<In, Out>[] = [];
  private running: Promise<void> | null = null;

  /**
   * @param run one result for each item, in their order; when it throws, all items of the
   * batch meet its error
   * @param size of a batch at most
   */
  constructor(
    private readonly run: (items: readonly In[]) => Promise<readonly PromiseSettledResult<Out>[]>,
    private readonly size: number,
  ) {}

  /** How many items wait for the next batch. */
  get waiting(): number {
    return this.queue.length;
  }

  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.queue.push({ item, resolve, reject });
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
    const over = (settle: () => void) => {
      this.running = null;
      this.next();
      if (this.running) setImmediate(settle);
      else settle();
    };
    this.running = this.run(batch.map(({ item }) => item)).then(
      (results) => over(() => handOut(batch, results)),
      (error: unknown) =>
        over(() => {
          for (const { reject } of batch) reject(error);
        }),
    );
  }
}

function handOut<In, Out>(
  batch: readonly Waiting<In, Out>[],
  results: readonly PromiseSettledResult<Out>[],
): void {
  for (const [index, { resolve, reject }] of batch.entries()) {
    const result = results[index];
    if (result?.status === 'fulfilled') resolve(result.value);
    else reject(result?.reason ?? new Error('a batch has answered fewer items than it has'));
  }
}

export function fulfilled<T>(value: T): PromiseFulfilledResult<T> {
  return { status: 'fulfilled', value };
}

export function rejected(reason: unknown): PromiseRejectedResult {
  return { status: 'rejected', reason };
}
