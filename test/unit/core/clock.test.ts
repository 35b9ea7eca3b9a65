import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { sleepUntilAny, systemClock } from '~/server/core/clock';

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
