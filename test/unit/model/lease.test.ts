import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Owner } from '~/server/model/lease';
import { isOlderThan, judgeLease, LeaseWatch } from '~/server/model/lease';

const { LEASE_MS, LEASE_HOLD_MS } = LIMITS;

function owner(leftMs: number | null, until = 1_000_000): Owner {
  const lease = leftMs === null ? null : { until, leftMs };
  return { owner: 'other', epoch: 4, renewals: 0, since: 0, instance: 'b/1/2', lease };
}

describe('who may take an appliance over', () => {
  it('anybody when nobody has ever owned it, or the owner has released it', () => {
    expect(judgeLease({ owner: null, unchangedMs: 0, hasEnded: false }).free).toBe(true);
    expect(judgeLease({ owner: owner(null), unchangedMs: 0, hasEnded: false }).free).toBe(true);
  });

  it('whoever has proof that the process of the owner has ended, at once', () => {
    expect(judgeLease({ owner: owner(LEASE_MS), unchangedMs: 0, hasEnded: true }).free).toBe(true);
  });

  it.each([
    ['renewed a moment ago', LEASE_MS - 5, 5, LEASE_MS - 5],
    [
      "ended by the database's clock, which was set forward, and renewed a moment ago",
      -86_400_000,
      5,
      LEASE_MS - 5,
    ],
    [
      'not renewed for as long as a lease, and not ended by the clock of the database',
      700,
      LEASE_MS + 1,
      700,
    ],
  ])('nobody while the lease is %s', (_, leftMs, unchangedMs, waitMs) => {
    expect(judgeLease({ owner: owner(leftMs), unchangedMs, hasEnded: false })).toEqual({
      free: false,
      waitMs,
    });
  });

  it.each([
    ['both clocks say that it has ended', 0],
    ['it has ended long ago', -86_400_000],
    ["the database's clock was set back, so that it would last for a year", 365 * 86_400_000],
  ])('anybody when it was not renewed for as long as a lease, and %s', (_, leftMs) => {
    expect(judgeLease({ owner: owner(leftMs), unchangedMs: LEASE_MS, hasEnded: false }).free).toBe(true);
  });

  it('never before the owner has stopped itself, whatever the clock of the database says', () => {
    // The owner sends a renewal at 0 and holds until LEASE_HOLD_MS; we see it `delay` later and look at `at`.
    const ms = fc.integer({ min: 0, max: 3 * LEASE_MS });
    const anyLeft = fc.integer({ min: -1e12, max: 1e12 });
    fc.assert(
      fc.property(ms, ms, anyLeft, (delay, later, leftMs) => {
        const watch = new LeaseWatch();
        watch.unchangedMs(owner(leftMs), delay);
        const at = delay + later;
        const unchangedMs = watch.unchangedMs(owner(leftMs), at);
        const verdict = judgeLease({ owner: owner(leftMs), unchangedMs, hasEnded: false });
        expect(verdict.free && at < LEASE_HOLD_MS).toBe(false);
      }),
    );
  });
});

describe('since when the row is what it is', () => {
  it('begins anew with every renewal, release and take-over', () => {
    const watch = new LeaseWatch();
    expect(watch.unchangedMs(owner(100, 1), 50)).toBe(0);
    expect(watch.unchangedMs(owner(90, 1), 60)).toBe(10);
    expect(watch.unchangedMs(owner(100, 2), 70)).toBe(0);
    expect(watch.unchangedMs(owner(null), 80)).toBe(0);
    expect(watch.unchangedMs({ ...owner(null), epoch: 5 }, 90)).toBe(0);
    expect(watch.unchangedMs({ ...owner(null), epoch: 5 }, 95)).toBe(5);
  });
});

it.each([
  ['the same', 4, 7, false],
  ['a renewal earlier', 4, 6, true],
  ['a renewal later', 4, 8, false],
  ['an epoch earlier, whatever its renewals', 3, 9, true],
  ['an epoch later, before its first renewal', 5, 0, false],
])(
  'the row is %s, epoch %i and renewal %i, against 4 and 7: from before what was written %o',
  (_what, epoch, renewals, older) => {
    expect(isOlderThan({ epoch, renewals }, { epoch: 4, renewals: 7 })).toBe(older);
  },
);
