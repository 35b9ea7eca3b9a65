import { expect, it } from 'vitest';
import { Semaphore } from '~/server/core/concurrency/semaphore';

it('serves in the order of arrival, those who go ahead before all others, and never more than it may', async () => {
  const semaphore = new Semaphore(2);
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const ask = (name: string, goesAhead?: boolean) =>
    semaphore.use(() => {
      order.push(name);
      return new Promise<void>((resolve) => ends.push(resolve));
    }, goesAhead);
  const all = [ask('one'), ask('two'), ask('three'), ask('four'), ask('first', true), ask('second', true)];
  expect(order).toEqual(['one', 'two']);
  for (let left = all.length; left > 0; left -= 1) {
    ends.shift()?.();
    await new Promise(setImmediate);
    expect(ends.length).toBeLessThanOrEqual(2);
  }
  await Promise.all(all);
  expect(order).toEqual(['one', 'two', 'first', 'second', 'three', 'four']);
});
