import { describe, expect, it } from 'vitest';
import { cloudCheckReply, databaseCheckReply } from '~/server/http/response/diagnostic-replies';
import { mappingReply, operationReply, volumeReply } from '~/server/http/response/replies';
import { syncReply } from '~/server/http/response/service-replies';
import { volumeEvidenceReply } from '~/server/http/response/volume-evidence-reply';
import { operationSchema } from '~/server/http/schemas/operations';
import { mappingSchema, volumeEvidenceSchema, volumeSchema } from '~/server/http/schemas/volumes';
import {
  APPLIANCE,
  CLOUD_REPORT,
  DATABASE_REPORT,
  mapping,
  noEvidence,
  OTHER_VM,
  syncReport,
  VOLUME,
  volumeDescription,
} from '~/test/support/canned';
import { FakeDaemon } from '~/test/support/fake-daemon';

describe('an operation', () => {
  it('omits absent values, because the Go client expects a string or nothing', async () => {
    const operation = await new FakeDaemon().operations.request('detach', { volume_id: VOLUME });
    const reply = operationReply(operation);
    expect(operationSchema.strict().parse(reply)).toEqual(reply);
    expect(Object.keys(reply)).toEqual(
      expect.not.arrayContaining([
        'vm_id',
        'response',
        'error',
        'error_code',
        'completed_at',
        'wait_reason',
        'next_attempt_at',
      ]),
    );
    expect(reply.created_at).toBe('2025-08-19T20:30:00.000Z');
  });

  it('shows why it waits and how it ended', async () => {
    const operation = await new FakeDaemon().operations.request('attach', {
      volume_id: VOLUME,
      vm_id: APPLIANCE,
    });
    const reply = operationReply({
      ...operation,
      status: 'failed',
      error: 'CloudStack API error 431: already attached',
      errorCode: 'CLOUDSTACK_REJECTED',
      waitReason: 'CloudStack is away',
      nextAttemptAt: 0,
      completedAt: 1000,
    });
    expect(reply).toMatchObject({
      vm_id: APPLIANCE,
      error: 'CloudStack API error 431: already attached',
      error_code: 'CLOUDSTACK_REJECTED',
      wait_reason: 'CloudStack is away',
      next_attempt_at: '1970-01-01T00:00:00.000Z',
      completed_at: '1970-01-01T00:00:01.000Z',
    });
  });
});

describe('a mapping', () => {
  it('has the volume under both names, for old and new callers', () => {
    const reply = mappingReply(mapping(VOLUME, APPLIANCE));
    expect(mappingSchema.strict().parse(reply)).toEqual(reply);
    expect(reply).toMatchObject({
      volume_id: VOLUME,
      volume_uuid: VOLUME,
      device_path: '/dev/vdb',
      operation_mode: 'oma',
    });
  });

  it('on another VM has no device to correlate', () => {
    expect(mappingReply(mapping(VOLUME, OTHER_VM))).toMatchObject({
      operation_mode: 'failover',
      requires_device_correlation: false,
      linux_state: 'n/a',
    });
  });

  it('does not show the device path when the disk there is no longer that of the volume', () => {
    const reply = mappingReply({ ...mapping(VOLUME, APPLIANCE), linuxState: 'missing' });
    expect(reply.device_path).toBe(`missing-${VOLUME}`);
    expect(reply.linux_state).toBe('missing');
  });
});

it('a volume that is not attached has null for what is absent', async () => {
  const described = await new FakeDaemon().volumes.describe(VOLUME);
  const reply = volumeReply({
    ...described,
    volume: { ...described.volume, vmId: null, attached: null, deviceId: null },
    mapping: null,
    device: null,
    export: null,
    lastOperation: null,
  });
  expect(volumeSchema.strict().parse(reply)).toEqual(reply);
  expect(reply).toMatchObject({
    vm_id: null,
    device_path: null,
    linux_data: null,
    last_operation: null,
    export: null,
  });
});

it('the message of a sync names what was found and what could not be checked', () => {
  expect(syncReply({ ...syncReport(false, 'x'), unavailable: ['cloudstack'] }, 0).message).toBe(
    'Synchronization completed: 1 drift(s): 1 repaired; not judged: cloudstack',
  );
  expect(syncReply({ ...syncReport(true, 'x'), drifts: [] }, 0).message).toBe(
    'Dry run of the synchronization completed: no drift',
  );
  expect(syncReply({ ...syncReport(true, 'x'), drifts: [], skippedVolumes: 2 }, 0).message).toBe(
    'Dry run of the synchronization completed: no drift; 2 volume(s) left alone',
  );
  const report = syncReport(false, 'x');
  const drifts = report.drifts.map((drift) => ({ ...drift, action: 'reported' as const, notJudgedSince: 0 }));
  expect(syncReply({ ...report, drifts, skippedVolumes: 1 }, 0).message).toBe(
    'Synchronization completed: 1 drift(s): 1 reported, 1 of them known from before and not judged now; 1 volume(s) left alone',
  );
});

it('a sync that could not look never says "no drift"', () => {
  const unread = { ...syncReport(false, 'x'), judged: false, unavailable: ['cloudstack: away'] };
  const [drift] = unread.drifts;
  const kept = drift ? [{ ...drift, action: 'reported' as const, notJudgedSince: 0 }] : [];
  const reply = syncReply({ ...unread, drifts: kept }, 0);
  expect(reply).toMatchObject({
    message: 'Synchronization could not look; not judged: cloudstack: away; 1 drift(s) are known from before',
    report: { judged: false, drifts: [{ not_judged_since: '1970-01-01T00:00:00.000Z' }] },
  });
  expect(syncReply({ ...unread, drifts: [] }, 0).message).not.toContain('no drift');
  expect(syncReply({ ...unread, judged: true, drifts: [] }, 0).message).toBe(
    'Synchronization completed: no drift in what could be read; not judged: cloudstack: away',
  );
});

it('the evidence of a volume says of each witness what it says, and what is not known since when', () => {
  const reply = volumeEvidenceReply(noEvidence(VOLUME));
  expect(volumeEvidenceSchema.strict().parse(reply)).toEqual(reply);
  expect(reply.cloudstack).toEqual({
    kind: 'unknown',
    value: null,
    proof: null,
    why: 'CloudStack does not show it to this key',
    unknown_since: '2025-08-19T20:29:00.000Z',
    remedy: expect.stringContaining('volumectl check cloudstack'),
    at: '2025-08-19T20:30:00.000Z',
    by: 'cloudstack',
  });
  expect(reply.database).toMatchObject({
    kind: 'absent',
    proof: 'there is no row of this volume',
    remedy: null,
  });
  const known = volumeEvidenceReply(volumeDescription(null).evidence);
  expect(known).toMatchObject({
    cloudstack: { kind: 'seen', value: { state: 'Ready', state_means: 'is ready', vm_name: 'oma' } },
    guest: { value: { device_path: '/dev/vdb' } },
    database: { value: { vm_id: APPLIANCE, linux_state: 'detected', export_status: 'active' } },
    export_server: { value: { target: '/dev/vdb', clients: 0 }, unknown_since: null },
  });
});

it('a check that was not answered has no times: an unknown one is not 0', () => {
  const unanswered = { roundTripMs: null, clockSkewMs: null };
  for (const reply of [
    cloudCheckReply({ ...CLOUD_REPORT, ...unanswered, clockSkewSource: null }),
    databaseCheckReply({ ...DATABASE_REPORT, ...unanswered }),
  ])
    expect(reply).toMatchObject({ round_trip_ms: null, clock_skew_ms: null });
});
