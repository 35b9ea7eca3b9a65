/**
 * Runs tasks of one key one after another, in order of arrival; tasks of different keys run side by side.
 *
 * @example
 * await mutex.run(volumeId, () => publish(volumeId));
 */
export class KeyedMutex {
  private readonly tails = new Map<string, Promise<unknown>>();

  /** Resolves or rejects as `task` does. A task that fails does not affect the next one. */
  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    const mine = before.then(task, task);
    const tail = mine
      .catch(() => undefined)
      .finally(() => {
        if (this.tails.get(key) === tail) this.tails.delete(key);
      });
    this.tails.set(key, tail);
    return mine;
  }
}
