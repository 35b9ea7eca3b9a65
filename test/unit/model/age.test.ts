import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { type AcceptedAt, hasKeyExpired, whyClocksDiffer } from '~/server/model/age';

const NOW = Date.UTC(2026, 0, 15);
const TTL_MS = LIMITS.IDEMPOTENCY_TTL_MS;
const APART_MS = LIMITS.CLOCKS_AGREE_MS;
const HOUR_MS = 3_600_000;

it.each([
  ['agree', 0, null],
  ['are nearly apart', APART_MS, null],
  ['are nearly apart the other way', -APART_MS, null],
  ['differ', APART_MS + 1, 'do not agree'],
  ['differ the other way', -APART_MS - 1, 'do not agree'],
])('the clocks of database and machine %s', (_what, apartMs, why) => {
  expect(whyClocksDiffer(NOW + apartMs, NOW)).toEqual(why === null ? null : expect.stringContaining(why));
});

describe('an Idempotency-Key is forgotten only when its age is certain', () => {
  const old: AcceptedAt = { localMs: NOW - TTL_MS, databaseMs: NOW - TTL_MS };
  it.each<
    [
      what: string,
      accepted: AcceptedAt,
      databaseNowMs: number,
      atMs: number,
      clockStepped: boolean,
      ends: boolean,
    ]
  >([
    ['it is old by all clocks', old, NOW, NOW, false, true],
    ['it is one moment too young', old, NOW - 1, NOW, false, false],
    ['it is too young by the clock of this machine now', old, NOW, NOW - 1, false, false],
    [
      'it was accepted later by the clock of the machine',
      { ...old, localMs: NOW - TTL_MS + 1 },
      NOW,
      NOW,
      false,
      false,
    ],
    [
      'it was accepted later by the clock of the database',
      { ...old, databaseMs: NOW - HOUR_MS },
      NOW,
      NOW,
      false,
      false,
    ],
    ['the database does not say when', { ...old, databaseMs: null }, NOW, NOW, false, true],
    ['the clock of the machine was set', old, NOW, NOW, true, false],
    ['the clock of the machine is ahead', old, NOW + HOUR_MS, NOW + HOUR_MS + APART_MS + 1, false, false],
    ['the clock of the database is ahead', old, NOW + HOUR_MS + APART_MS + 1, NOW + HOUR_MS, false, false],
    ['both are far ahead of then, and agree', old, NOW + HOUR_MS, NOW + HOUR_MS, false, true],
  ])('%s', (_what, accepted, databaseNowMs, at, clockStepped, ends) => {
    expect(hasKeyExpired(accepted, databaseNowMs, { at, clockStepped })).toBe(ends);
  });
});
