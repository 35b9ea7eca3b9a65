import { expect, test } from 'vitest';
import { SharedReads } from '~/server/core/concurrency/shared-reads';
import { LIMITS } from '~/server/core/limits';
import { ManualClock, settle } from '../../devices/manual-clock';

/** Reads that end when they are told to. */
function held() {
  const begun: { key: string; answer: (text: string) => void; fail: (error: Error) => void }[] = [];
  const clock = new ManualClock();
  const reads = new SharedReads<string>(
    clock,
    (key) => new Promise((answer, fail) => begun.push({ key, answer, fail })),
  );
  return { reads, begun, clock };
}

test('one alone is read at once', async () => {
  const { reads, begun } = held();
  const one = reads.read('a');
  begun[0]?.answer('first');
  expect(await one).toBe('first');
  const later = reads.read('a');
  begun[1]?.answer('second');
  expect(await later).toBe('second');
});

test('who asks while one is under way shares a read that begins after it', async () => {
  const { reads, begun, clock } = held();
  const first = reads.read('a');
  const others = [reads.read('a'), reads.read('a')];
  await settle();
  expect(begun).toHaveLength(1);
  begun[0]?.answer('as it was before they asked');
  expect(await first).toBe('as it was before they asked');
  await expect.poll(() => begun.length).toBe(2);
  const latest = reads.read('a');
  begun[1]?.answer('as it is');
  expect(await Promise.all(others)).toEqual(['as it is', 'as it is']);
  await expect.poll(() => begun.length).toBe(3);
  begun[2]?.answer('as it has become');
  expect(await latest).toBe('as it has become');
  expect(clock.sleeping).toBe(0);
});

test('different things are read side by side', async () => {
  const { reads, begun } = held();
  const both = [reads.read('a'), reads.read('b')];
  expect(begun.map(({ key }) => key)).toEqual(['a', 'b']);
  for (const { key, answer } of begun) answer(`of ${key}`);
  expect(await Promise.all(both)).toEqual(['of a', 'of b']);
});

test('a failed read fails those who share it, and nobody else', async () => {
  const { reads, begun } = held();
  const first = reads.read('a');
  const others = [reads.read('a'), reads.read('a')];
  begun[0]?.fail(new Error('the first'));
  await expect(first).rejects.toThrow('the first');
  await expect.poll(() => begun.length).toBe(2);
  begun[1]?.fail(new Error('the second'));
  for (const other of others) await expect(other).rejects.toThrow('the second');
  const later = reads.read('a');
  begun[2]?.answer('well again');
  expect(await later).toBe('well again');
});

test('a read that hangs does not hold up the others for long', async () => {
  const { reads, begun, clock } = held();
  const hanging = reads.read('a');
  const other = reads.read('a');
  await clock.advance(LIMITS.SHARED_READ_WAIT_MS - 1);
  expect(begun).toHaveLength(1);
  await clock.advance(1);
  begun[1]?.answer('of the second');
  expect(await other).toBe('of the second');
  begun[0]?.answer('late');
  expect(await hanging).toBe('late');
  const later = reads.read('a');
  begun[2]?.answer('anew');
  expect(await later).toBe('anew');
});
