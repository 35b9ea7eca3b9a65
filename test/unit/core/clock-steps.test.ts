import { expect, it } from 'vitest';
import { ClockSteps } from '~/server/core/clock-steps';
import { ManualClock } from '../devices/manual-clock';

const HOUR_MS = 3_600_000;

it.each([-400 * 24, -25, -2, 2, 25, 400 * 24])('notices a clock that is set by %d hours', async (hours) => {
  const clock = new ManualClock();
  const steps = new ClockSteps(clock);
  const before = clock.monotonic();
  expect(steps.hasSteppedSince(before)).toBe(false);
  await clock.advance(HOUR_MS);
  clock.set(hours * HOUR_MS);
  expect(steps.hasSteppedSince(before)).toBe(true);
  await clock.advance(1);
  expect(steps.hasSteppedSince(clock.monotonic())).toBe(false);
  expect(steps.hasSteppedSince(before)).toBe(true);
});

it('knows nothing of what happened before it began to look', async () => {
  const clock = new ManualClock();
  const before = clock.monotonic();
  await clock.advance(1);
  const steps = new ClockSteps(clock);
  expect(steps.hasBegunAfter(before)).toBe(true);
  expect(steps.hasBegunAfter(clock.monotonic())).toBe(false);
});

it('a clock that is slewed by a second an hour has not stepped', async () => {
  const clock = new ManualClock();
  const steps = new ClockSteps(clock);
  for (let hour = 0; hour < 24; hour += 1) {
    await clock.advance(HOUR_MS);
    clock.set(1_000);
    expect(steps.hasSteppedSince(0)).toBe(false);
  }
});
