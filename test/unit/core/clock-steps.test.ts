import { describe, expect, it } from 'vitest';
import { type ClockNote, ClockSteps } from '~/server/core/clock-steps';
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

/** The state folder of a machine that has been up for a day. */
function notesOf(clock: ManualClock) {
  const kept: { note: ClockNote | null } = { note: null };
  const uptime = () => clock.monotonic() + 24 * HOUR_MS;
  const notes = {
    uptime,
    load: () => kept.note,
    save: (note: ClockNote) => void Object.assign(kept, { note }),
  };
  return { kept, notes };
}

describe('a process that comes after another one', () => {
  it.each([-HOUR_MS, 16_000, HOUR_MS])('notices that the clock was set by %d ms in between', async (byMs) => {
    const clock = new ManualClock();
    const { notes } = notesOf(clock);
    new ClockSteps(clock, undefined, notes);
    await clock.advance(HOUR_MS);
    clock.set(byMs);
    await clock.advance(1_000);
    const told: number[] = [];
    const steps = new ClockSteps(clock, (by) => void told.push(by), notes);
    expect(told).toEqual([byMs]);
    expect(steps.hasSteppedSince(clock.monotonic())).toBe(true);
    // It is told once, and kept for whoever comes next.
    await clock.advance(60_000);
    const next = new ClockSteps(clock, (by) => void told.push(by), notes);
    expect(told).toEqual([byMs]);
    expect(next.hasSteppedSince(clock.monotonic() - 60_000)).toBe(true);
    expect(next.hasSteppedSince(clock.monotonic() - 59_999)).toBe(false);
  });

  it('knows of a step that the one before it has noticed', async () => {
    const clock = new ManualClock();
    const { notes } = notesOf(clock);
    const before = new ClockSteps(clock, undefined, notes);
    await clock.advance(HOUR_MS);
    clock.set(400 * 24 * HOUR_MS);
    before.look();
    await clock.advance(20_000);
    const steps = new ClockSteps(clock, undefined, notes);
    expect(steps.hasSteppedSince(clock.monotonic() - 24 * HOUR_MS)).toBe(true);
    expect(steps.hasSteppedSince(clock.monotonic() - 15_000)).toBe(false);
  });

  it('does not take what was slewed away in months for a step', async () => {
    const clock = new ManualClock();
    const { notes } = notesOf(clock);
    const before = new ClockSteps(clock, undefined, notes);
    for (let hour = 0; hour < 100; hour += 1) {
      await clock.advance(HOUR_MS);
      clock.set(900);
      before.look();
    }
    expect(new ClockSteps(clock, undefined, notes).hasSteppedSince(0)).toBe(false);
  });

  it('knows nothing where there is no note, and leaves one', async () => {
    const clock = new ManualClock();
    const { kept, notes } = notesOf(clock);
    expect(new ClockSteps(clock, undefined, notes).hasSteppedSince(0)).toBe(false);
    expect(kept.note).toEqual({ offsetMs: clock.now() - notes.uptime(), steppedAtMs: null });
  });
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
