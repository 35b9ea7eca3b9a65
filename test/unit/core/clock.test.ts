import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { sleepUntilAny, systemClock, untilWholeSecond } from '~/server/core/clock';

/** ms that nobody waits for. */
const LONG = 3_600_000;

describe('sleepUntilAny', () => {
  it.each([0, 1])('ends with signal %i of two and leaves no listener on either', async (which) => {
    const controllers = [new AbortController(), new AbortController()];
    const signals = controllers.map(({ signal }) => signal);
    const sleeping = sleepUntilAny(systemClock, LONG, signals);
    controllers[which]?.abort();
    await sleeping;
    for (const signal of signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('does not begin to wait when a signal has been aborted before', async () => {
    const alive = new AbortController();
    await sleepUntilAny(systemClock, LONG, [alive.signal, AbortSignal.abort()]);
    expect(getEventListeners(alive.signal, 'abort')).toEqual([]);
  });

  it('ends with the time when no signal comes', async () => {
    const alive = new AbortController();
    await sleepUntilAny(systemClock, 1, [alive.signal]);
    expect(alive.signal.aborted).toBe(false);
  });
});

describe('untilWholeSecond', () => {
  it.each([
    [1_000, 12_000, 1_000, 'from a whole second'],
    [1_000, 12_005, 995, 'a little after one'],
    [1_000, 11_999, 1_001, 'woken too early: not a ms later again'],
    [1_000, 12_499, 501, 'half a second less at most'],
    [1_000, 12_500, 1_500, 'half a second more at most'],
    [5_000, 12_300, 4_700, 'several seconds'],
  ])('about %i ms from %i: %i (%s)', (ms, now, pause) => {
    expect(untilWholeSecond(ms, now)).toBe(pause);
  });
});
