import type { CloudVolume } from '~/server/cloudstack/cloud';
import type { Device, DeviceSnapshot } from '~/server/devices/device';
import { expectedSerial } from '~/server/devices/serial';
import type { ProbeResult } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';
import type { ExportRecord, Mapping } from '~/server/model/operation';
import type { Observation } from '~/server/sync/observation';

export const GIB = 1024 ** 3;
const BOOT = 'b0000000-0000-4000-8000-00000000000b';
export const APPLIANCE = 'aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa';
export const OTHER_VM = 'bbbbbbbb-2222-4222-8222-bbbbbbbbbbbb';
export const VOLUME = '0f3c9a51-7be2-4d60-9a44-c1d2e3f40516';
export const SECOND = '7d21b6e0-93fa-4c18-8b57-a9b8c7d6e5f4';

export function volume(fields: Partial<CloudVolume> = {}): CloudVolume {
  return {
    id: VOLUME,
    name: 'data',
    type: 'DATADISK',
    state: 'Ready',
    size: 5 * GIB,
    zoneId: null,
    zoneName: null,
    vmId: APPLIANCE,
    vmName: 'appliance',
    vmState: 'Running',
    deviceId: 1,
    created: null,
    attached: null,
    deleteProtection: false,
    owner: { projectId: null, account: null, domainId: null },
    ...fields,
  };
}

export function device(fields: Partial<Device> = {}): Device {
  const name = fields.name ?? 'vdb';
  return {
    name,
    path: `/dev/${name}`,
    size: 5 * GIB,
    serial: expectedSerial(VOLUME),
    serialState: 'read',
    diskseq: 7,
    dev: '253:16',
    controller: 'virtio4',
    root: false,
    ...fields,
  };
}

export const ROOT = device({ name: 'vda', serial: '00000000000040008000', diskseq: 1, root: true });

export function guest(devices: readonly Device[], bootId = BOOT): DeviceSnapshot {
  return { bootId, devices: [ROOT, ...devices], at: 0, scanned: true };
}

export function mapping(fields: Partial<Mapping> = {}): Mapping {
  const volumeId = fields.volumeId ?? VOLUME;
  return {
    id: `mapping-${volumeId}`,
    volumeId,
    vmId: APPLIANCE,
    devicePath: '/dev/vdb',
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: 5 * GIB,
    controller: 'virtio4',
    serial: expectedSerial(volumeId),
    diskseq: 7,
    bootId: BOOT,
    matchedBy: 'serial',
    cloudstackDeviceId: 1,
    lastSync: 0,
    createdAt: 0,
    updatedAt: 0,
    ...fields,
  };
}

/** The mapping of a volume on another VM. */
export function remote(vmId = OTHER_VM, volumeId = VOLUME): Mapping {
  const none = { controller: null, serial: null, diskseq: null, bootId: null, matchedBy: null };
  const devicePath = `remote-vm-${vmId}-${volumeId}`;
  return mapping({ volumeId, vmId, devicePath, linuxState: 'n/a', ...none });
}

export function record(fields: Partial<ExportRecord> = {}): ExportRecord {
  const volumeId = fields.volumeId ?? VOLUME;
  return {
    id: '1',
    volumeId,
    exportName: exportName(volumeId),
    devicePath: '/dev/vdb',
    port: 10809,
    status: 'active',
    metadata: { created_by: 'volume-daemon' },
    createdAt: 0,
    updatedAt: 0,
    ...fields,
  };
}

export function answers(size = 5 * GIB, { readOnly = false } = {}): ProbeResult {
  return { ok: true, size, readOnly, flush: true, fua: true, ms: 1 };
}

export const SILENT: ProbeResult = { ok: false, reason: 'timeout', message: 'no answer', ms: 3000 };

/** Nobody uses any disk. */
const unused = new Map('bcdefgh'.split('').map((letter) => [`/dev/vd${letter}`, []]));

/** VOLUME attached to this appliance as /dev/vdb, mapped, exported, and everything right. */
export function healthy(fields: Partial<Observation> = {}): Observation {
  return {
    applianceVmId: APPLIANCE,
    identityConflicts: [],
    volumes: [volume()],
    guest: guest([device()]),
    users: unused,
    mappings: [mapping()],
    exports: [record()],
    exportsEnabled: true,
    exportPorts: { writable: 10809, readOnly: 10810 },
    configured: [
      { name: exportName(VOLUME), volumeId: VOLUME, target: '/dev/vdb', plug: null, published: null },
    ],
    probes: new Map([[exportName(VOLUME), answers()]]),
    busy: new Set(),
    absent: new Map(),
    hidden: new Map(),
    otherAppliances: new Map(),
    ours: new Set(),
    unclaimed: new Map(),
    stuckBefore: new Map(),
    sizeToleranceBytes: 3 * GIB,
    unavailable: [],
    ...fields,
  };
}
