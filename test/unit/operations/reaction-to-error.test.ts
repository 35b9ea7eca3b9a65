import { describe, expect, it } from 'vitest';
import { CloudError, type CloudErrorKind } from '~/server/cloudstack/cloud';
import { DaemonError, type ErrorCode } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import type { Action } from '~/server/operations/action';
import { reactionToError } from '~/server/operations/execute/reaction-to-error';

const FOREVER_MS = 365 * 24 * 3_600_000;

const cloudError = (kind: CloudErrorKind, retryAfterMs: number | null = null) =>
  new CloudError('no', { kind, outcome: 'not-started', retryAfterMs });

const reaction = (
  error: unknown,
  elapsedMs: number,
  { kind = 'send', accepted = false, begun = accepted }: Partial<Parameters<typeof reactionToError>[1]> = {},
) => reactionToError(error, { kind, accepted, begun, elapsedMs: () => elapsedMs });

describe('what a run does about an error', () => {
  it.each<[CloudErrorKind, Action['do'], boolean, number]>([
    ['authentication', 'send', false, LIMITS.AUTH_RETRY_DEADLINE_MS],
    ['authentication', 'send', true, FOREVER_MS],
    ['network', 'send', false, LIMITS.RESOURCE_RETRY_DEADLINE_MS],
    ['network', 'read-volume', false, FOREVER_MS],
    ['network', 'await-job', true, FOREVER_MS],
    ['permission', 'await-job', true, FOREVER_MS],
    ['unsupported', 'await-job', true, FOREVER_MS],
    ['internal', 'await-job', true, FOREVER_MS],
    ['resource', 'await-job', true, LIMITS.JOB_DEADLINE_MS],
  ])('%s at %s, accepted %s: %d ms of patience', (kind, call, accepted, patience) => {
    const error = cloudError(kind);
    expect(reaction(error, patience, { kind: call, accepted })).toMatchObject({ do: 'retry' });
    if (patience !== FOREVER_MS)
      expect(reaction(error, patience + 1, { kind: call, accepted })).toMatchObject({ do: 'give-up' });
  });

  it('waits as long as CloudStack says', () => {
    expect(reaction(cloudError('network', 7_000), 0)).toMatchObject({ do: 'retry', retryAfterMs: 7_000 });
  });

  it('a refusal ends at once, but never what CloudStack has accepted', () => {
    const refused = cloudError('parameter');
    expect(reaction(refused, 0)).toMatchObject({ do: 'give-up', code: 'CLOUDSTACK_REJECTED' });
    expect(reaction(refused, LIMITS.JOB_DEADLINE_MS, { kind: 'await-job' })).toMatchObject({ do: 'retry' });
  });

  it('one refused read is no end for what may have been sent; it has its time', () => {
    const refused = cloudError('parameter');
    const read = { kind: 'read-volume', begun: true } as const;
    expect(reaction(refused, 0, { kind: 'read-volume' })).toMatchObject({ do: 'give-up' });
    expect(reaction(refused, LIMITS.RESOURCE_RETRY_DEADLINE_MS, read)).toMatchObject({ do: 'retry' });
    expect(reaction(refused, LIMITS.RESOURCE_RETRY_DEADLINE_MS + 1, read)).toMatchObject({ do: 'give-up' });
    expect(reaction(refused, 0, { kind: 'send', begun: true })).toMatchObject({ do: 'give-up' });
  });

  it.each<[ErrorCode, number]>([
    ['DATABASE_UNAVAILABLE', FOREVER_MS],
    ['DEVICES_UNREADABLE', FOREVER_MS],
    ['EXPORT_CONFIG_FAILED', LIMITS.EXPORT_DEADLINE_MS],
    ['EXPORT_SERVER_UNHEALTHY', LIMITS.EXPORT_DEADLINE_MS],
  ])('%s: %d ms of patience', (code, patience) => {
    const error = new DaemonError(code, 'no');
    expect(reaction(error, patience)).toMatchObject({ do: 'retry' });
    if (patience !== FOREVER_MS) expect(reaction(error, patience + 1)).toMatchObject({ do: 'give-up', code });
  });

  it('everything else is thrown again', () => {
    const lost = new DaemonError('LEASE_LOST', 'no');
    expect(() => reaction(lost, 0)).toThrow(lost);
    const bug = new TypeError('no');
    expect(() => reaction(bug, 0)).toThrow(bug);
  });
});
