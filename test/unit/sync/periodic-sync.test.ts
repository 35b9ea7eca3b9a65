import { expect, it } from 'vitest';
import type { SyncReport } from '~/server/sync/drift';
import { PeriodicSync } from '~/server/sync/periodic-sync';
import { syncReport } from '~/test/support/canned';
import { ManualClock } from '../devices/manual-clock';

const MINUTE_MS = 60_000;

function setUp(intervalMs: number) {
  const clock = new ManualClock();
  const sync = {
    last: null as SyncReport | null,
    runs: 0,
    failure: null as Error | null,
    async run({ reason }: { reason: string }): Promise<SyncReport> {
      sync.runs += 1;
      if (sync.failure) throw sync.failure;
      sync.last = { ...syncReport(false, reason), finishedAt: clock.now() };
      return sync.last;
    },
  };
  return { clock, sync, periodic: new PeriodicSync(sync, intervalMs, clock) };
}

/** Ticks every 5 seconds, as the task does, and counts the syncs. */
async function runsWithin(ms: number, intervalMs: number): Promise<number> {
  const { clock, sync, periodic } = setUp(intervalMs);
  for (let passed = 0; passed < ms; passed += 5_000) {
    await periodic.tick();
    await clock.advance(5_000);
  }
  return sync.runs;
}

it('RECONCILE_INTERVAL decides how many syncs there are', async () => {
  expect(await runsWithin(10 * MINUTE_MS, MINUTE_MS)).toBe(10);
  expect(await runsWithin(10 * MINUTE_MS, 5 * MINUTE_MS)).toBe(2);
  expect(await runsWithin(MINUTE_MS, 5_000)).toBe(12);
});

it('the interval begins anew with a sync that somebody has asked for', async () => {
  const { clock, sync, periodic } = setUp(MINUTE_MS);
  await sync.run({ reason: 'force-sync' });
  await clock.advance(MINUTE_MS - 1);
  expect(await periodic.tick()).toBeNull();
  await clock.advance(1);
  expect(await periodic.tick()).toMatchObject({ reason: 'schedule' });
});

it('a sync that fails is tried again after the interval, not at the next tick', async () => {
  const { clock, sync, periodic } = setUp(MINUTE_MS);
  sync.failure = new Error('CloudStack is away');
  await expect(periodic.tick()).rejects.toThrow('away');
  await clock.advance(5_000);
  expect(await periodic.tick()).toBeNull();
  await clock.advance(MINUTE_MS);
  await expect(periodic.tick()).rejects.toThrow('away');
  expect(sync.runs).toBe(2);
});

it('a wall clock that is set back does not hold up the next sync', async () => {
  const { clock, sync, periodic } = setUp(MINUTE_MS);
  sync.last = { ...syncReport(false, 'start'), finishedAt: clock.now() + 60 * MINUTE_MS };
  expect(await periodic.tick()).not.toBeNull();
});
