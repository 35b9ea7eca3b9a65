import { expect, it } from 'vitest';
import type { SyncReport } from '~/server/sync/drift';
import { PeriodicSync } from '~/server/sync/periodic-sync';
import { syncReport } from '~/test/support/canned';
import { ManualClock } from '../devices/manual-clock';

const MINUTE_MS = 60_000;

function setUp(intervalMs: number) {
  const clock = new ManualClock();
  const sync = {
    lastJudgedMonotonic: null as number | null,
    runs: 0,
    failure: null as Error | null,
    judged: true,
    async run({ reason }: { reason: string }): Promise<SyncReport> {
      sync.runs += 1;
      if (sync.failure) throw sync.failure;
      if (sync.judged) sync.lastJudgedMonotonic = clock.monotonic();
      return { ...syncReport(false, reason), judged: sync.judged };
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

it.each(['fails', 'judges nothing'])(
  'one that %s is tried again soon, and ever less often up to the interval',
  async (how) => {
    const { clock, sync, periodic } = setUp(MINUTE_MS);
    if (how === 'fails') sync.failure = new Error('the database is away');
    else sync.judged = false;
    const triedAt: number[] = [];
    for (let passed = 0; passed < 300_000; passed += 5_000) {
      const before = sync.runs;
      await periodic.tick().catch(() => null);
      if (sync.runs > before) triedAt.push(passed / 1000);
      await clock.advance(5_000);
    }
    expect(triedAt).toEqual([0, 5, 15, 35, 75, 135, 195, 255]);
  },
);

it('one that judged nothing does not count as done, whoever asked for it; one that judges ends the retries', async () => {
  const { clock, sync, periodic } = setUp(MINUTE_MS);
  sync.judged = false;
  await sync.run({ reason: 'force-sync' });
  expect(await periodic.tick()).toMatchObject({ judged: false });
  sync.judged = true;
  await clock.advance(5_000);
  expect(await periodic.tick()).toMatchObject({ judged: true });
  await clock.advance(MINUTE_MS - 1);
  expect(await periodic.tick()).toBeNull();
  await clock.advance(1);
  expect(await periodic.tick()).not.toBeNull();
});

it.each([-400 * 24, -2, 25, 400 * 24])('a clock that is set by %d hours changes nothing', async (hours) => {
  const { clock, sync, periodic } = setUp(MINUTE_MS);
  await periodic.tick();
  clock.set(hours * 3_600_000);
  expect(await periodic.tick()).toBeNull();
  await clock.advance(MINUTE_MS);
  await periodic.tick();
  expect(sync.runs).toBe(2);
});

it('the next tick syncs when rows have to follow what has changed, once', async () => {
  const { clock, periodic } = setUp(MINUTE_MS);
  await periodic.tick();
  await clock.advance(5_000);
  periodic.hurry();
  expect(await periodic.tick()).not.toBeNull();
  await clock.advance(5_000);
  expect(await periodic.tick()).toBeNull();
});
