/**
 * Maps items with at most `limit` calls of `work` at a time; the results keep the order of the items. Rejects
 * with the first failure, after which no further item is begun.
 *
 * @example
 * const sizes = await mapConcurrent(paths, 8, readSize);
 */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Map<number, R>();
  const queue = items.entries();
  let failed = false;
  const worker = async () => {
    for (const [index, item] of queue) {
      if (failed) return;
      results.set(index, await work(item));
    }
  };
  const workers = Array.from({ length: Math.min(limit, items.length) }, worker);
  await Promise.all(workers).catch((error: unknown) => {
    failed = true;
    throw error;
  });
  return [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
}
