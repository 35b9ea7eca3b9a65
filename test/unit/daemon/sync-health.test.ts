import { describe, expect, it } from 'vitest';
import { syncHealth } from '~/server/daemon/health/sync-health';
import type { SyncReport } from '~/server/sync/drift';
import { NOW, syncReport } from '~/test/support/canned';

const MINUTE_MS = 60_000;
const unread: SyncReport = {
  ...syncReport(false, 'schedule'),
  judged: false,
  unavailable: ['cloudstack: away'],
};

function health(
  last: SyncReport | null,
  lastJudgedAt: number | null,
  nowMs: number,
  phase: 'ready' | 'standby' = 'ready',
  lastFailure: string | null = null,
) {
  // The wall clock is set meanwhile: it must not matter.
  const clock = { now: () => nowMs + 7_200_000, monotonic: () => nowMs - NOW, sleep: async () => undefined };
  const lastJudgedMonotonic = lastJudgedAt === null ? null : lastJudgedAt - NOW;
  return syncHealth({
    clock,
    phase,
    sync: { last, lastJudgedAt, lastJudgedMonotonic, lastFailure },
    startedAt: NOW,
    startedMonotonic: 0,
    reconcileIntervalMs: MINUTE_MS,
  });
}

describe('the health of the comparison', () => {
  it('is healthy after a sync that could look at everything', () => {
    expect(health(syncReport(false, 'start'), NOW, NOW + MINUTE_MS)).toMatchObject({
      status: 'healthy',
      details: { last_judged_at: '2025-08-19T20:30:00.000Z', not_judged_since: null },
    });
  });

  it('is degraded while the last sync could not look, with since when and why', () => {
    expect(health(unread, NOW, NOW + MINUTE_MS)).toEqual({
      status: 'degraded',
      message: 'not judged since 2025-08-19T20:30:00.000Z: cloudstack: away',
      details: {
        last_judged_at: '2025-08-19T20:30:00.000Z',
        not_judged_since: '2025-08-19T20:30:00.000Z',
      },
    });
  });

  it('is degraded at once when a sync has failed, the first one and a later one', () => {
    const why = 'Database error ER_TABLEACCESS_DENIED_ERROR';
    expect(health(null, null, NOW + 1, 'ready', why)).toMatchObject({
      status: 'degraded',
      message: `not judged since the start at 2025-08-19T20:30:00.000Z: ${why}`,
    });
    expect(health(syncReport(false, 'start'), NOW, NOW + 1, 'ready', why)).toMatchObject({
      status: 'degraded',
      message: `not judged since 2025-08-19T20:30:00.000Z: ${why}`,
    });
  });

  it('never judged: at once when a sync has tried, else after a grace', () => {
    expect(health(unread, null, NOW + 1)).toMatchObject({
      status: 'degraded',
      message: expect.stringContaining('since the start at'),
      details: { last_judged_at: null },
    });
    expect(health(null, null, NOW + MINUTE_MS)).toMatchObject({ status: 'unknown' });
    expect(health(null, null, NOW + 3 * MINUTE_MS)).toMatchObject({ status: 'degraded' });
  });

  it('is degraded when no sync comes to its end any more, as while the database is away', () => {
    expect(health(syncReport(false, 'schedule'), NOW, NOW + 4 * MINUTE_MS)).toMatchObject({
      status: 'healthy',
    });
    expect(health(syncReport(false, 'schedule'), NOW, NOW + 5 * MINUTE_MS)).toMatchObject({
      status: 'degraded',
      message: expect.stringContaining('no sync has come to its end'),
    });
  });

  it('in standby it is the business of the other daemon', () => {
    expect(health(null, null, NOW + 60 * MINUTE_MS, 'standby')).toMatchObject({ status: 'unknown' });
  });
});
