import { createHash, randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import { DaemonError, type ErrorCode } from '~/server/core/errors';
import type { OpenJob } from '~/server/model/ledger';
import type { NewOperation } from '~/server/model/ledger-writes';
import type {
  Caller,
  JsonObject,
  NewJournalEntry,
  NewMapping,
  OperationType,
  RequestOf,
  Step,
} from '~/server/model/operation';

export const APPLIANCE = '11111111-1111-4111-8111-111111111111';
export const OTHER_VM = '22222222-2222-4222-8222-222222222222';
export const A = 'aaaaaaaa-0000-4000-8000-000000000001';
export const B = 'bbbbbbbb-0000-4000-8000-000000000002';
export const ASKER: Caller = {
  actor: 'hub',
  requestId: 'r-1',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
};
export const T0 = Date.UTC(2026, 0, 15, 12, 0, 0, 123);

type Overrides<T extends OperationType> = Partial<
  Pick<NewOperation<T>, 'idempotencyKey' | 'at' | 'request' | 'caller'>
>;

function operation<T extends OperationType>(
  type: T,
  volumeId: string,
  vmId: string | null,
  request: RequestOf[T],
  overrides: Overrides<T>,
): NewOperation<T> {
  const body = overrides.request ?? request;
  return {
    id: randomUUID(),
    type,
    volumeId,
    vmId,
    idempotencyKey: null,
    at: T0,
    ...overrides,
    request: body,
    requestHash: hash(type, body),
  };
}

export const create = (name: string, overrides: Overrides<'create'> = {}) =>
  operation(
    'create',
    '',
    null,
    { name, size: 1024 ** 3, disk_offering_id: 'offering', zone_id: 'zone' },
    overrides,
  );
export const attach = (volumeId: string, vmId: string, overrides: Overrides<'attach'> = {}) =>
  operation('attach', volumeId, vmId, { volume_id: volumeId, vm_id: vmId }, overrides);
export const detach = (volumeId: string, overrides: Overrides<'detach'> = {}) =>
  operation('detach', volumeId, null, { volume_id: volumeId }, overrides);

export const remove = (volumeId: string, overrides: Overrides<'delete'> = {}) =>
  operation('delete', volumeId, null, { volume_id: volumeId }, overrides);

function hash(type: string, body: unknown): string {
  return createHash('sha256')
    .update(`${type} ${JSON.stringify(body)}`)
    .digest('hex');
}

export function mapping(volumeId: string, overrides: Partial<NewMapping> = {}): NewMapping {
  return {
    volumeId,
    vmId: APPLIANCE,
    devicePath: '/dev/vdb',
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: 5 * 1024 ** 4 + 512,
    controller: 'virtio4',
    serial: volumeId.replaceAll('-', '').slice(0, 20),
    diskseq: 17,
    bootId: 'b007b007-0000-4000-8000-000000000000',
    matchedBy: 'serial',
    cloudstackDeviceId: 1,
    ...overrides,
  };
}

export const note = (step: string, data: JsonObject = {}): NewJournalEntry => ({ step, state: 'note', data });
export const entry = (
  step: Step,
  state: Exclude<NewJournalEntry['state'], 'waiting' | 'note'>,
  data: JsonObject,
): NewJournalEntry => ({ step, state, data });
export const ended = () => ({ status: 'completed' as const, response: {}, error: null, errorCode: null });

export function errorCode(error: unknown): string {
  return error instanceof DaemonError ? error.code : String(error);
}

export async function refusal(promise: Promise<unknown>, code: ErrorCode): Promise<{ details?: unknown }> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  return error as { details?: unknown };
}

/** The job of a step `detach-volume`, as the ledger reports it while its end is not journaled. */
export const openJob = (operationId: string): OpenJob => ({
  operationId,
  step: 'detach-volume',
  jobId: 'job-1',
});
