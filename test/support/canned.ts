import type { CloudSnapshot, CloudVolume } from '~/server/cloudstack/cloud';
import type { DaemonPhase, HealthReport, MetricsReport } from '~/server/daemon/daemon';
import {
  MetricsHistory,
  type MetricsHistoryReport,
  type SpanName,
} from '~/server/daemon/metrics/metrics-history';
import type { VolumeEvidence } from '~/server/daemon/volumes/volume-evidence';
import type { VolumeDescription } from '~/server/daemon/volumes/volume-queries';
import type { Device, DeviceEvent, DeviceSnapshot } from '~/server/devices/device';
import type { CloudReport, CorrelationReport, DatabaseReport } from '~/server/diagnostics/reports';
import { progressOf } from '~/server/exports/copy-progress';
import type { ExportActivity } from '~/server/exports/export-traffic';
import { absent, seen, unknown } from '~/server/model/evidence';
import type { ExportRecord, Mapping, Operation } from '~/server/model/operation';
import type { SyncReport } from '~/server/sync/drift';

/** The canned replies of the fake daemon. */
export const APPLIANCE = '8a3400e5-c92a-4bc4-8bff-4b6b23b80018';
export const OTHER_VM = '3a9c3c0e-6c8f-4a7e-9f0d-2b7a1c5d8e90';
export const VOLUME = '6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0';
export const REMOTE_VOLUME = '11d2c3b4-a594-4687-8978-a5b4c3d2e1f1';
export const NOBODY = '00000000-0000-4000-8000-000000000000';
export const NOW = Date.parse('2025-08-19T20:30:00.000Z');

export function mapping(volumeId: string, vmId: string): Mapping {
  const here = vmId === APPLIANCE;
  return {
    id: '42',
    volumeId,
    vmId,
    devicePath: here ? '/dev/vdb' : `remote-vm-${vmId}-${volumeId}`,
    cloudstackState: 'attached',
    linuxState: here ? 'detected' : 'n/a',
    size: 5368709120,
    controller: here ? 'virtio4' : null,
    serial: here ? volumeId.replaceAll('-', '').slice(0, 20) : null,
    diskseq: here ? 7 : null,
    bootId: null,
    matchedBy: here ? 'serial' : null,
    cloudstackDeviceId: 1,
    lastSync: NOW,
    createdAt: NOW,
    updatedAt: NOW,
  };
}

/** A client has written a quarter of 4 GiB, and goes on. */
export function exportActivity(): ExportActivity {
  const traffic = seen(
    {
      readBytes: 4096,
      writtenBytes: 1024 ** 3,
      readRate: 0,
      writeRate: 100 * 1024 ** 2,
      lastIoAgoMs: 500,
      observedForMs: 20_000,
    },
    NOW,
    'guest',
  );
  const record = { metadata: { expected_bytes: String(4 * 1024 ** 3) } };
  return { clients: seen(2, NOW, 'export-server'), traffic, progress: progressOf(record, null, traffic) };
}

export function exportRecord(volumeId: string): ExportRecord {
  return {
    id: '1',
    volumeId,
    exportName: `migration-vol-${volumeId}`,
    devicePath: '/dev/vdb',
    port: 10809,
    status: 'active',
    metadata: { created_by: 'volume-daemon' },
    createdAt: NOW,
    updatedAt: NOW,
  };
}

export function deviceEvent(sequence: number): DeviceEvent {
  return { sequence, type: 'added', device: DEVICE, at: NOW, monotonic: 0 };
}

const DEVICE: Device = {
  name: 'vdb',
  path: '/dev/vdb',
  size: 5368709120,
  serial: '6f1d2c3b4a5946879786',
  serialState: 'read',
  diskseq: 7,
  dev: '252:16',
  controller: 'virtio4',
};

export function snapshot(): DeviceSnapshot {
  return { bootId: null, devices: [DEVICE], at: NOW, scanned: true };
}

export function syncReport(dryRun: boolean, reason: string): SyncReport {
  return {
    startedAt: NOW,
    finishedAt: NOW,
    dryRun,
    reason,
    observed: { cloudVolumes: 2, devices: 1, mappings: 2, exports: 1 },
    judged: true,
    unavailable: [],
    skippedVolumes: 0,
    drifts: [
      {
        kind: 'letter-moved',
        volumeId: VOLUME,
        vmId: APPLIANCE,
        devicePath: '/dev/vdc',
        message: 'the disk of the volume is /dev/vdc',
        remedy: 'nothing to do',
        remedyBy: 'force-sync',
        action: dryRun ? 'planned' : 'repaired',
        notJudgedSince: null,
      },
    ],
  };
}

export function metricsHistory(span: SpanName): MetricsHistoryReport {
  const history = new MetricsHistory({ now: () => NOW, monotonic: () => 4_000, sleep: async () => {} });
  history.sample({ pending: 3, executing: 1 }, []);
  history.ended('completed', 1_500);
  return history.report(span);
}

export function healthReport(phase: DaemonPhase): HealthReport {
  const healthy = { status: 'healthy', message: 'answers' } as const;
  return {
    status: phase === 'ready' ? 'healthy' : 'degraded',
    at: NOW,
    phase,
    cloudstack: healthy,
    database: healthy,
    deviceMonitor: { ...healthy, details: { device_count: 1 } },
    exportServer: healthy,
    sync: healthy,
    access: healthy,
    appliance: { ...healthy, vmId: APPLIANCE, source: 'OMA_VM_ID', epoch: 3, owner: null },
    operations: {
      pending: 1,
      executing: 1,
      waiting: [
        {
          id: NOBODY,
          type: 'attach',
          step: 'attach-volume',
          reason: 'CloudStack is away',
          attempt: 2,
          nextAttemptAt: NOW,
        },
      ],
    },
    held: [],
    drifts: [],
    uptimeSeconds: 60,
    pollIntervalMs: 2000,
    settingsNotes: [],
  };
}

export const METRICS: MetricsReport = {
  at: NOW,
  totalOperations: 1547,
  pendingOperations: 3,
  activeMappings: 12,
  operationsByType: {
    create: 423,
    attach: 512,
    detach: 489,
    delete: 123,
    resize: 0,
    snapshot: 0,
    'delete-snapshot': 0,
    revert: 0,
    'snapshot-group': 0,
    recover: 0,
    cleanup: 0,
  },
  operationsByStatus: { pending: 3, executing: 0, completed: 1523, failed: 21, cancelled: 0 },
  averageResponseMs: 2340.52,
  errorRatePercent: 1.36,
  details: {
    cloudstackApiCalls: 10,
    cloudstackApiErrors: 1,
    deviceEventsProcessed: 5,
    uptimeSeconds: 60,
    epoch: 3,
  },
};

export function correlationReport(volume: CorrelationReport['volume']): CorrelationReport {
  const considered = [
    {
      path: '/dev/vdb',
      serial: DEVICE.serial,
      size: DEVICE.size,
      diskseq: 7,
      verdict: 'has the serial of the volume',
    },
  ];
  return {
    volume,
    attachedHere: true,
    expectedSerial: '6f1d2c3b4a5946879786',
    mapping: mapping(volume.id, APPLIANCE),
    mappingProblem: null,
    answer: { kind: 'found', device: DEVICE, matchedBy: 'serial', reason: 'serial', considered },
    submittedAt: NOW,
    events: [deviceEvent(1)],
    windowMs: 5000,
    toleranceBytes: 3221225472,
  };
}

export const CLOUD_REPORT: CloudReport = {
  ok: false,
  problems: ['the role of the key does not allow createVolume (needed for: create)'],
  configuration: 'production',
  endpoint: 'http://10.0.0.1:8080/client/api',
  version: '4.20.0.0',
  roundTripMs: 3.25,
  clockSkewMs: -120,
  clockSkewSource: 'expires',
  appliance: {
    vmId: APPLIANCE,
    verdict: 'confirmed',
    owner: { projectId: null, account: 'migration', domainId: 'd1' },
  },
  newVolumes: { owner: { projectId: null, account: 'migration', domainId: 'd1' }, from: 'appliance' },
  rights: [{ name: 'expunge VMs', purpose: 'cleanup with delete_vm', allowed: false }],
  commands: [
    { name: 'listVolumes', purpose: 'every operation', allowed: true },
    { name: 'createVolume', purpose: 'create', allowed: false },
    { name: 'attachVolume', purpose: 'attach', allowed: null },
  ],
};

export const DATABASE_REPORT: DatabaseReport = {
  ok: true,
  problems: [],
  database: 'oma_user:***@tcp(localhost:3306)/migratekit_oma',
  version: '10.11.6-MariaDB',
  roundTripMs: 0.8,
  clockSkewMs: 1,
  migrations: [{ id: '001-operations', appliedAt: NOW }],
  pool: { inUse: 1, waiting: 0 },
  owner: { owner: 'oma:8090 pid 1', epoch: 3, since: NOW },
};

export function cloudVolume(id: string, fields: Partial<CloudVolume> = {}): CloudVolume {
  return {
    id,
    name: 'my-volume',
    type: 'DATADISK',
    state: 'Ready',
    size: 5368709120,
    zoneId: null,
    zoneName: 'zone-1',
    vmId: APPLIANCE,
    vmName: 'oma',
    vmState: 'Running',
    deviceId: 1,
    created: null,
    attached: '2025-08-19T20:30:00Z',
    deleteProtection: false,
    owner: { projectId: null, account: 'admin', domainId: null },
    ...fields,
  };
}

/** What GET /volumes/{id} knows of VOLUME. */
export function volumeDescription(lastOperation: Operation | null): VolumeDescription {
  const volume = cloudVolume(VOLUME);
  const rows = { mapping: mapping(VOLUME, APPLIANCE), export: exportRecord(VOLUME) };
  return {
    volume,
    ...rows,
    device: { path: '/dev/vdb', size: 5368709120, controller: 'virtio4' },
    lastOperation,
    evidence: {
      volumeId: VOLUME,
      cloudstack: seen(volume, NOW, 'cloudstack'),
      guest: seen({ ...DEVICE, users: [] }, NOW, 'guest'),
      database: seen(rows, NOW, 'database'),
      exportServer: seen({ target: DEVICE.path, clients: 0 }, NOW, 'export-server'),
      lastOperation,
      unknownSince: {},
    },
  };
}

/** Nobody knows anything of it. */
export function noEvidence(volumeId: string): VolumeEvidence {
  return {
    volumeId,
    cloudstack: unknown('CloudStack does not show it to this key', NOW, 'cloudstack'),
    guest: absent('every disk of this guest has the serial of another', NOW, 'guest'),
    database: absent('there is no row of this volume', NOW, 'database'),
    exportServer: absent('it has no export of this name', NOW, 'export-server'),
    lastOperation: null,
    unknownSince: { cloudstack: NOW - 60_000 },
  };
}

export function cloudSnapshot(volumeId: string): CloudSnapshot {
  return {
    id: '9d0f3a5e-1c2b-4d3e-8f4a-5b6c7d8e9f01',
    name: 'before-failover-7b0c',
    volumeId,
    state: 'BackedUp',
    size: 1073741824,
    created: '2025-08-19T20:30:00.000Z',
    owner: { projectId: null, account: 'admin', domainId: null },
  };
}
