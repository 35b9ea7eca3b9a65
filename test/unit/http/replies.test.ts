import { describe, expect, it } from 'vitest';
import { mappingReply, operationReply, volumeReply } from '~/server/http/response/replies';
import { syncReply } from '~/server/http/response/service-replies';
import { operationSchema } from '~/server/http/schemas/operations';
import { mappingSchema, volumeSchema } from '~/server/http/schemas/volumes';
import { APPLIANCE, mapping, OTHER_VM, syncReport, VOLUME } from '~/test/support/canned';
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
});
