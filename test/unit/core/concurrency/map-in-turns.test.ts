import { expect, test } from 'vitest';
import { mapInTurns } from '~/server/core/concurrency/map-in-turns';

test('a long list is converted whole and in order, and others get their turns meanwhile', async () => {
  const list = Array.from({ length: 1_000 }, (_, n) => n);
  const converted: number[] = [];
  let seenByOthers = 0;
  const others = new Promise<void>((resolve) =>
    setImmediate(() => {
      seenByOthers = converted.length;
      resolve();
    }),
  );
  const result = mapInTurns(list, (n) => {
    converted.push(n);
    return -n;
  });
  await others;
  expect(seenByOthers).toBeGreaterThan(0);
  expect(seenByOthers).toBeLessThan(list.length);
  expect(await result).toEqual(list.map((n) => -n));
});

test('an error of one element is thrown', async () => {
  const list = Array.from({ length: 600 }, (_, n) => n);
  const convert = (n: number) => {
    if (n === 599) throw new Error('not to be read');
    return n;
  };
  await expect(mapInTurns(list, convert)).rejects.toThrow('not to be read');
});
