import { describe, expect, it } from 'vitest';
import { Batcher, fulfilled } from '~/server/core/concurrency/batcher';

/** A batcher whose batches end when they are told to. */
function held(size: number) {
  const batches: { items: number[]; end: (error?: Error) => void }[] = [];
  const batcher = new Batcher<number, string>(
    (batch) =>
      new Promise((resolve, reject) => {
        batches.push({
          items: [...batch],
          end: (error) => (error ? reject(error) : resolve(batch.map((n) => fulfilled(`done ${n}`)))),
        });
      }),
    size,
  );
  return { batcher, batches };
}

describe('batcher', () => {
  it('runs an item at once, and together what came meanwhile, in order', async () => {
    const { batcher, batches } = held(10);
    const answers = [1, 2, 3].map((n) => batcher.add(n));
    expect(batches.map(({ items }) => items)).toEqual([[1]]);
    expect(batcher.waiting).toBe(2);
    batches[0]?.end();
    await answers[0];
    await expect.poll(() => batches.map(({ items }) => items)).toEqual([[1], [2, 3]]);
    batches[1]?.end();
    expect(await Promise.all(answers)).toEqual(['done 1', 'done 2', 'done 3']);
    expect(batcher.waiting).toBe(0);
  });

  it('is idle when what came meanwhile is done, too', async () => {
    const { batcher, batches } = held(10);
    const answers = Promise.all([batcher.add(1), batcher.add(2)]);
    let isIdle = false;
    const idle = batcher.idle().then(() => {
      isIdle = true;
    });
    batches[0]?.end();
    await expect.poll(() => batches.length).toBe(2);
    expect(isIdle).toBe(false);
    batches[1]?.end();
    await idle;
    expect(await answers).toEqual(['done 1', 'done 2']);
  });

  it('takes no more than its size at once', async () => {
    const { batcher, batches } = held(2);
    const answers = [1, 2, 3, 4].map((n) => batcher.add(n));
    for (const count of [1, 2, 3]) {
      await expect.poll(() => batches.length).toBe(count);
      batches[count - 1]?.end();
    }
    await Promise.all(answers);
    expect(batches.map(({ items }) => items)).toEqual([[1], [2, 3], [4]]);
  });

  it('begins the next batch before it hands out the results of one', async () => {
    const { batcher, batches } = held(10);
    const first = batcher.add(1).then(() => batches.length);
    const second = batcher.add(2);
    batches[0]?.end();
    expect(await first).toBe(2);
    batches[1]?.end();
    await second;
  });

  it('a batch that answers fewer items than it has fails the others', async () => {
    const batcher = new Batcher<number, string>(async () => [], 10);
    await expect(batcher.add(1)).rejects.toThrow('fewer');
  });

  it('a batch that fails concerns its own items only', async () => {
    const { batcher, batches } = held(10);
    const [first, second] = [batcher.add(1), batcher.add(2)];
    const failed = expect(first).rejects.toThrow('no');
    batches[0]?.end(new Error('no'));
    await failed;
    await expect.poll(() => batches.length).toBe(2);
    batches[1]?.end();
    expect(await second).toBe('done 2');
  });
});
