import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { everySecond } from '~/server/core/every-second';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('calls everybody with one timer, until each has had enough', () => {
  const called: string[] = [];
  const endFirst = everySecond(() => called.push('first'));
  const endSecond = everySecond(() => called.push('second'));
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(called).toEqual(['first', 'second']);
  endFirst();
  endFirst();
  vi.advanceTimersByTime(2_000);
  expect(called).toEqual(['first', 'second', 'second', 'second']);
  endSecond();
  expect(vi.getTimerCount()).toBe(0);
});

it('begins again after nobody was left', () => {
  const listener = vi.fn();
  const end = everySecond(listener);
  vi.advanceTimersByTime(1_000);
  end();
  const endAgain = everySecond(listener);
  vi.advanceTimersByTime(1_000);
  expect(listener).toHaveBeenCalledTimes(2);
  endAgain();
});
