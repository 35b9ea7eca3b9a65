import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { everySecond } from '~/server/core/every-second';

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
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

it('calls with the whole seconds of the wall clock, also after it was set, and tells how late that is', () => {
  vi.setSystemTime(12_300);
  const called: [at: number, lateMs: number][] = [];
  const end = everySecond((lateMs) => called.push([Date.now(), Math.round(lateMs)]));
  vi.advanceTimersByTime(700);
  vi.setSystemTime(50_400);
  vi.advanceTimersByTime(2_600);
  expect(called).toEqual([
    [13_000, 0],
    [51_400, 0],
    [52_000, 0],
    [53_000, 0],
  ]);
  end();
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
