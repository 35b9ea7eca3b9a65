import type { CloudOwner, CloudVm, CloudVolume } from '~/server/cloudstack/cloud';
import { expectedSerial } from '~/server/devices/correlation';
import type { Device, Holder } from '~/server/devices/device';
import {
  type Absent,
  absent,
  type Evidence,
  type Seen,
  seen,
  type Unknown,
  unknown,
} from '~/server/model/evidence';
import type {
  Caller,
  JournalEntry,
  JournalState,
  JsonObject,
  Mapping,
  OperationOf,
  OperationType,
  RequestOf,
} from '~/server/model/operation';
import type { DiskUse, Facts, Guards, ReadGuards, Situation } from '~/server/operations/decision';
import { Journal } from '~/server/operations/journal';
import type { Policy } from '~/server/operations/policy';

export const VOLUME = '11111111-2222-4333-8444-555555555555';
export const APPLIANCE = 'aaaaaaaa-0000-4000-8000-000000000001';
export const OTHER_VM = 'bbbbbbbb-0000-4000-8000-000000000002';
export const ZONE = 'cccccccc-0000-4000-8000-000000000003';
export const OFFERING = 'dddddddd-0000-4000-8000-000000000004';
const GIB = 1024 ** 3;
const OURS: CloudOwner = { projectId: null, account: 'ours', domainId: null };

export const policy: Policy = {
  applianceVmId: APPLIANCE,
  attachRollback: 'detach',
  detachInUse: 'refuse',
  detachConnected: 'refuse',
  slots: 'refuse',
  volumeNames: 'warn',
  deleteMode: 'expunge',
  exportsEnabled: true,
  correlationTimeoutMs: 30_000,
  jobLostAfterMs: 30_000,
};

export type Step = [step: string, state: JournalState, data?: JsonObject];

function journalOf(steps: readonly Step[]): Journal {
  const entries = steps.map(
    ([step, state, data], index): JournalEntry => ({
      id: index + 1,
      operationId: 'op',
      sequence: index + 1,
      step,
      state,
      data: data ?? {},
      at: index,
    }),
  );
  return new Journal(entries);
}

interface Given {
  readonly steps?: readonly Step[];
  readonly facts?: Facts;
  readonly policy?: Partial<Policy>;
  readonly cancelRequested?: boolean;
  readonly cancelRequestedBy?: Caller;
  /** What `elapsed` answers, by stage; 0 = first time. */
  readonly elapsed?: Record<string, number>;
}

export function situation<T extends OperationType>(
  type: T,
  request: RequestOf[T],
  given: Given = {},
): Situation<T> {
  const operation: OperationOf<T> = {
    id: 'op',
    sequence: 1,
    applianceId: APPLIANCE,
    type,
    request,
    status: 'executing',
    volumeId: 'volume_id' in request ? request.volume_id : '',
    vmId: null,
    response: null,
    error: null,
    errorCode: null,
    attempt: 0,
    nextAttemptAt: null,
    waitReason: null,
    idempotencyKey: null,
    actor: null,
    requestId: null,
    traceparent: null,
    cancelRequestedBy: given.cancelRequestedBy ?? null,
    cancelRequested: given.cancelRequested ?? false,
    createdAt: 0,
    updatedAt: 0,
    completedAt: null,
    held: null,
  };
  return {
    operation,
    journal: journalOf(given.steps ?? []),
    facts: given.facts ?? {},
    policy: { ...policy, ...given.policy },
    elapsed: (stage) => given.elapsed?.[stage] ?? 0,
    doubted: (name) => given.elapsed?.[name] ?? 0,
  };
}

export function volume(fields: Partial<CloudVolume> = {}): CloudVolume {
  return {
    id: VOLUME,
    name: 'disk',
    type: 'DATADISK',
    state: 'Ready',
    size: 5 * GIB,
    zoneId: ZONE,
    zoneName: 'zone',
    vmId: null,
    vmName: null,
    vmState: null,
    deviceId: null,
    created: null,
    attached: null,
    deleteProtection: false,
    owner: OURS,
    ...fields,
  };
}

/** When the other VM was made, and the root disk that it came with. */
export const MADE = '2026-01-15T12:00:00.000Z';

function vm(fields: Partial<CloudVm> = {}): CloudVm {
  return {
    id: OTHER_VM,
    name: 'test',
    state: 'Stopped',
    hypervisor: 'KVM',
    created: MADE,
    owner: OURS,
    ...fields,
  };
}

/** CloudStack shows the volume. */
export function seenVolume(fields: Partial<CloudVolume> = {}): Seen<CloudVolume> {
  return seen(volume(fields), 0, 'cloudstack');
}

export function seenVm(fields: Partial<CloudVm> = {}): Seen<CloudVm> {
  return seen(vm(fields), 0, 'cloudstack');
}

/** CloudStack does not show it to this key. */
export function hidden(): Unknown {
  return unknown('the list is empty', 0, 'cloudstack');
}

/** CloudStack says that it was removed. */
export function gone(): Absent {
  return absent('this id names nothing', 0, 'cloudstack');
}

/** The row of the volume; without one null. */
export function rowOf(row: Mapping | null): Evidence<Mapping> {
  return row ? seen(row, 0, 'database') : absent('there is no row', 0, 'database');
}

/** Who uses the disk of the volume, where the disk is known. */
export function usedBy(...holders: readonly Holder[]): DiskUse {
  return { disk: 'found', holders };
}

export const MOUNT: Holder = { kind: 'mount', detail: '/mnt/data' };
export const CLIENT: Holder = { kind: 'nbd-client', detail: '10.0.0.7' };
export const LEAVING: Holder = { kind: 'nbd-client', detail: '10.0.0.8, which has left', leaving: true };

export function device(fields: Partial<Device> = {}): Device {
  return {
    name: 'vdb',
    path: '/dev/vdb',
    size: 5 * GIB,
    serial: expectedSerial(VOLUME),
    serialState: 'read',
    diskseq: 7,
    dev: '253:16',
    controller: 'virtio4',
    ...fields,
  };
}

export function mapping(fields: Partial<Mapping> = {}): Mapping {
  return {
    id: 'm',
    volumeId: VOLUME,
    vmId: APPLIANCE,
    devicePath: '/dev/vdb',
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: 5 * GIB,
    controller: 'virtio4',
    serial: expectedSerial(VOLUME),
    diskseq: 7,
    bootId: 'boot',
    matchedBy: 'serial',
    cloudstackDeviceId: 1,
    lastSync: 0,
    createdAt: 0,
    updatedAt: 0,
    ...fields,
  };
}

export const found = {
  kind: 'found' as const,
  device: device(),
  bootId: 'boot',
  matchedBy: 'serial' as const,
  displaces: [],
};
export const mapped: Step = [
  'map',
  'done',
  { device_path: '/dev/vdb', serial: expectedSerial(VOLUME), diskseq: 7, boot_id: 'boot', size: 5 * GIB },
];

/** What was read right before the send of job j1. */
export function guards(fields: Partial<Guards> = {}): ReadGuards {
  return {
    jobId: 'j1',
    readAtMs: 0,
    volume: null,
    vm: null,
    vmVolumes: null,
    snapshot: null,
    ownSnapshots: null,
    mapping: null,
    exported: null,
    ghost: null,
    openJobs: 0,
    use: null,
    neighbour: null,
    ...fields,
  };
}
