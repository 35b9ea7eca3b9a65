import { describe, expect, it } from 'vitest';
import type { Clock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { Ownership } from '~/server/daemon/ownership';
import type { LastWritten, Owner } from '~/server/model/lease';
import type { EngineParts } from '~/server/operations/parts';
import { Rig } from '../operations/rig';

const OTHER: Owner = {
  owner: 'other:8090 pid 1',
  instance: '',
  epoch: 4,
  renewals: 7,
  since: 0,
  lease: { until: 4_000, leftMs: 4_000 },
};

/**
 * Looks until the answers have come to an end; null is a database that is away. Resolves with its
 * warnings, and with what a change would have been refused with, and whom health would have shown as the
 * owner, after each look.
 */
async function lookAround(answers: (Owner | null)[], written: LastWritten | null = null) {
  const told: string[] = [];
  const refusals: DaemonError[] = [];
  const shown: (string | null)[] = [];
  await new Promise<void>((resolve) => {
    const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: async () => {} };
    const unused = async (): Promise<never> => {
      throw new Error('is not called');
    };
    const ownership = new Ownership(
      {
        ledger: {
          readOwner: async () => {
            const answer = answers.shift();
            if (answer) return answer;
            if (answer === undefined) {
              void ownership.stop();
              resolve();
            }
            throw new DaemonError('DATABASE_UNAVAILABLE', `connect ECONNREFUSED, try ${answers.length}`);
          },
          takeOver: unused,
          renewLease: unused,
          releaseLease: unused,
        },
        engineParts: {} as EngineParts,
        clock,
        logger: { ...silentLogger, warn: (message) => void told.push(message) },
        owner: 'this:8090 pid 2',
        instances: { mine: '', hasEnded: () => false },
        lastWritten: { load: async () => written, save: async () => {} },
      },
      () => {
        refusals.push(ownership.refusal);
        shown.push(ownership.shownOwner);
      },
    );
    refusals.push(ownership.refusal);
    ownership.start('appliance');
  });
  return { told, refusals, shown };
}

describe('a daemon that cannot find out who owns the appliance', () => {
  it('says so once until it can, however often it looks: a database may be away for days', async () => {
    const { told } = await lookAround([null, null, null, OTHER, null, null]);
    const once = 'The ownership of the appliance could not be settled';
    expect(told).toEqual([once, once]);
  });

  it('refuses changes because the database is away: only an owner that the last look has shown is named as one', async () => {
    const { refusals } = await lookAround([null, OTHER, null]);
    expect(refusals.slice(0, 4).map(({ code }) => code)).toEqual([
      'STARTING',
      'DATABASE_UNAVAILABLE',
      'STANDBY',
      'DATABASE_UNAVAILABLE',
    ]);
    expect(refusals[1]?.message).toContain('connect ECONNREFUSED');
    expect(refusals[2]).toMatchObject({ details: { owner: OTHER.owner } });
    expect(refusals[3]?.message).not.toContain(OTHER.owner);
  });

  it('health shows the other owner only where the last look has shown it', async () => {
    const { shown } = await lookAround([null, OTHER, null, OTHER]);
    expect(shown.slice(0, 4)).toEqual([null, OTHER.owner, null, OTHER.owner]);
  });
});

describe('a database that is older than what was written to it', () => {
  const released: Owner = { ...OTHER, lease: null };

  it('is not taken by a daemon that stood by either: it has seen a later row', async () => {
    const { refusals } = await lookAround([{ ...OTHER, renewals: 8 }, released, null]);
    expect(refusals.map(({ code }) => code).slice(1, 3)).toEqual(['STANDBY', 'DATABASE_UNAVAILABLE']);
    expect(refusals[2]?.message).toContain('database is older than');
  });

  it('says so in the log once, also where the database was away before: that was another trouble', async () => {
    const { told } = await lookAround([null, null, released, released, null], { epoch: 5, renewals: 0 });
    const once = 'The ownership of the appliance could not be settled';
    expect(told).toEqual([once, once]);
  });

  it.each([
    ['a renewal less', { epoch: 4, renewals: 8 }],
    ['an epoch less', { epoch: 5, renewals: 0 }],
  ])('by %s: the appliance is not taken, and the reason says what to do', async (_, written) => {
    const { refusals } = await lookAround([released, null], written);
    expect(refusals[1]).toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/database is older than .* runbook/),
    });
  });

  it.each([
    ['nothing is known', null],
    ['it is as it was left', { epoch: 4, renewals: 7 }],
    ['another process has owned it since', { epoch: 3, renewals: 90 }],
  ])('is told from others: %s, and it is taken', async (_, written) => {
    const { refusals } = await lookAround([released, null], written);
    expect(refusals[1]?.message).toContain('is not called');
  });
});

it('what began under a lease is told when that has passed, whoever has noticed by then', async () => {
  const rig = await Rig.start();
  const { ownership } = rig.domain;
  const isStill = ownership.watchTenure();
  expect(isStill()).toBe(true);
  const away = async () => {
    throw new DaemonError('DATABASE_UNAVAILABLE', 'away');
  };
  Object.assign(rig.ledger, { readOwner: away, renewLease: away });
  await rig.pass(LIMITS.LEASE_HOLD_MS);
  expect([isStill(), ownership.engine]).toEqual([false, null]);
});

it('a process that stood still for longer than its lease owns nothing, before any timer has told it', async () => {
  const rig = await Rig.start();
  const { ownership } = rig.domain;
  const isStill = ownership.watchTenure();
  const woken = rig.clock.monotonic() + LIMITS.LEASE_HOLD_MS;
  Object.assign(rig.clock, { monotonic: () => woken });
  expect([isStill(), ownership.engine, ownership.watchTenure()()]).toEqual([false, null, false]);
});

it('a daemon that stops gives its lease to the next one', async () => {
  const rig = await Rig.start();
  const { ownership } = rig.domain;
  const before = ownership.engine?.epoch ?? expect.unreachable();
  await ownership.stop();
  expect(await rig.ledger.readOwner(before.applianceId)).toMatchObject({ epoch: before.number, lease: null });
  expect(ownership.engine).toBeNull();
});

it('an owner whose lease could not be renewed says why at once, not that it is taking over', async () => {
  const rig = await Rig.start();
  const { ownership } = rig.domain;
  Object.assign(rig.ledger, {
    readOwner: () => new Promise(() => {}),
    renewLease: async () => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'another session holds a lock');
    },
  });
  await rig.pass(LIMITS.LEASE_HOLD_MS);
  expect(ownership.refusal).toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringContaining('another session holds a lock'),
  });
});

it('an owner whose appliance another one has taken gives up its own epoch, and takes a later one', async () => {
  const rig = await Rig.start();
  const { ownership } = rig.domain;
  const theirs = await rig.ledger.takeOver(rig.here, 'another, which has ended by now');
  await rig.pass(LIMITS.LEASE_HOLD_MS);
  expect(ownership.engine?.epoch.number).toBeGreaterThan(theirs.number);
});
