import type { CloudVolume } from '../cloudstack/cloud';
import type { MappingEffect } from '../database/ledger';
import { verifyIdentity } from '../devices/identity';
import type { Device } from '../devices/model';
import { expectedSerial, serialNames } from '../devices/serial';
import { exportName, volumeIdOf } from '../exports/naming';
import { isWithdrawn } from '../exports/service';
import type { Mapping, NewMapping } from '../operations/model';
import type { Drift, DriftKind } from '../runtime/daemon';
import type { Observation } from './observation';

/**
 * One drift and what to do about it. `steps` empty = reported only. Steps are all safe: rows, links, export files; nothing is
 * ever attached, detached or deleted by sync (DESIGN section 1: nothing destructive because a timer fired).
 */
export interface Repair {
  readonly drift: Omit<Drift, 'action'>;
  readonly steps: readonly RepairStep[];
}

export type RepairStep =
  | { readonly kind: 'rows'; readonly effects: readonly MappingEffect[] }
  | { readonly kind: 'publish'; readonly volumeId: string; readonly device: Device }
  | { readonly kind: 'withdraw'; readonly exportName: string };

const TRANSITIONAL = new Set([
  'Creating',
  'Attaching',
  'Migrating',
  'Copying',
  'Resizing',
  'Snapshotting',
  'Uploading',
]);

/** Compares the views and names every drift. Pure; a second plan after its repairs is empty. */
export function plan(o: Observation): Repair[] {
  const repairs: Repair[] = [];
  const judged = new Set<string>();
  for (const mapping of o.mappings) {
    judged.add(mapping.volumeId);
    if (o.busy.has(mapping.volumeId)) continue;
    repairs.push(...(mapping.vmId === o.applianceVmId ? judgeLocal(o, mapping) : judgeRemote(o, mapping)));
  }
  for (const volume of o.volumes ?? []) {
    if (o.busy.has(volume.id)) continue;
    if (!judged.has(volume.id)) repairs.push(...judgeUnmapped(o, volume));
    repairs.push(...judgeState(o, volume));
  }
  repairs.push(...judgeOrphanExports(o));
  return repairs;
}

/** A mapping to a device of this guest. */
function judgeLocal(o: Observation, mapping: Mapping): Repair[] {
  const volume =
    o.volumes === null
      ? null
      : (o.volumes.find((candidate) => candidate.id === mapping.volumeId) ?? 'absent');
  if (volume !== null && (volume === 'absent' || volume.vmId !== o.applianceVmId))
    return [judgeGone(o, mapping, volume)];
  if (o.guest === null) return [];
  const device = deviceFor(o, mapping.volumeId, mapping);
  if (device === 'unknown') return [];
  if (device === null) return missingDevice(o, mapping);
  const fresh = newMapping(
    mapping.volumeId,
    o,
    device,
    volume === null ? null : volume,
    mapping.matchedBy ?? 'serial',
  );
  const moved =
    device.path !== mapping.devicePath || mapping.linuxState !== 'detected' || !sameIdentity(mapping, fresh);
  if (moved || device.size !== mapping.size)
    return [remap(o, mapping, device, fresh, moved ? 'letter-moved' : 'resized')];
  return judgeExport(o, mapping, device);
}

function remap(o: Observation, mapping: Mapping, device: Device, fresh: NewMapping, kind: DriftKind): Repair {
  const message =
    kind === 'resized'
      ? `${device.path} has ${device.size} bytes, the mapping says ${mapping.size}`
      : `the disk of the volume is ${device.path} (diskseq ${device.diskseq ?? '?'}), the mapping says ${mapping.devicePath} (diskseq ${mapping.diskseq ?? '?'})`;
  return repair(
    kind,
    mapping.volumeId,
    o.applianceVmId,
    device.path,
    message,
    'nothing to do: force-sync repairs it',
    [
      {
        kind: 'rows',
        effects: [
          { kind: 'put-mapping', mapping: fresh, displaces: others(o, mapping.volumeId, device.path) },
        ],
      },
      ...publishStep(o, mapping.volumeId, device),
    ],
  );
}

/** CloudStack says it is not attached here (any more). */
function judgeGone(o: Observation, mapping: Mapping, volume: CloudVolume | 'absent'): Repair {
  const device = o.guest === null ? null : deviceFor(o, mapping.volumeId, mapping);
  const where =
    volume === 'absent'
      ? 'does not exist'
      : volume.vmId === null
        ? 'is detached'
        : `is attached to VM ${volume.vmId}`;
  const rows: MappingEffect[] = [{ kind: 'delete-mapping', volumeId: mapping.volumeId, vmId: mapping.vmId }];
  if (volume !== 'absent' && volume.vmId !== null)
    rows.push({ kind: 'put-mapping', mapping: remoteMapping(volume, volume.vmId) });
  const steps: RepairStep[] = [
    { kind: 'withdraw', exportName: exportName(mapping.volumeId) },
    { kind: 'rows', effects: rows },
  ];
  if (device !== null && device !== 'unknown')
    return ghost(mapping.volumeId, o.applianceVmId, device, where, steps);
  return repair(
    'stale-mapping',
    mapping.volumeId,
    mapping.vmId,
    mapping.devicePath,
    `the volume ${where} in CloudStack, the mapping says it is here`,
    'nothing to do: force-sync repairs it',
    steps,
  );
}

function ghost(volumeId: string, vmId: string, device: Device, where: string, steps: RepairStep[]): Repair {
  return repair(
    'ghost-disk',
    volumeId,
    vmId,
    device.path,
    `the guest still has the disk (serial ${device.serial ?? '?'}), but the volume ${where} in CloudStack`,
    `make sure nobody writes to ${device.path}, then on the hypervisor: virsh detach-disk <instance> <target of serial ${device.serial ?? '?'}>, or stop and start this VM`,
    steps,
  );
}

/** CloudStack says attached here, the guest has no such disk. The row and the export must not promise one. */
function missingDevice(o: Observation, mapping: Mapping): Repair[] {
  const remedy = `detach and attach the volume again: POST /api/v1/volumes/${mapping.volumeId}/detach, then …/attach; or stop and start this VM`;
  const message = `CloudStack says attached, but this guest has no disk with serial ${mapping.serial ?? expectedSerial(mapping.volumeId)}`;
  const already = mapping.linuxState === 'missing';
  const steps: RepairStep[] = already
    ? []
    : [
        { kind: 'withdraw', exportName: exportName(mapping.volumeId) },
        {
          kind: 'rows',
          effects: [
            {
              kind: 'put-mapping',
              mapping: {
                ...strip(mapping),
                linuxState: 'missing',
                devicePath: `missing-${mapping.volumeId}`,
              },
            },
          ],
        },
      ];
  return [
    repair('phantom-attach', mapping.volumeId, o.applianceVmId, mapping.devicePath, message, remedy, steps),
  ];
}

/** A mapping of a volume on another VM: rows only. */
function judgeRemote(o: Observation, mapping: Mapping): Repair[] {
  if (o.volumes === null) return [];
  const volume = o.volumes.find((candidate) => candidate.id === mapping.volumeId);
  if (volume?.vmId === mapping.vmId) return [];
  if (volume && volume.vmId === o.applianceVmId) return judgeUnmapped(o, volume);
  const effects: MappingEffect[] = [
    { kind: 'delete-mapping', volumeId: mapping.volumeId, vmId: mapping.vmId },
  ];
  if (volume?.vmId) effects.push({ kind: 'put-mapping', mapping: remoteMapping(volume, volume.vmId) });
  const where =
    volume === undefined
      ? 'does not exist'
      : volume.vmId === null
        ? 'is detached'
        : `is attached to VM ${volume.vmId}`;
  return [
    repair(
      'stale-mapping',
      mapping.volumeId,
      mapping.vmId,
      mapping.devicePath,
      `the volume ${where} in CloudStack, the mapping says VM ${mapping.vmId}`,
      'nothing to do: force-sync repairs it',
      [{ kind: 'rows', effects }],
    ),
  ];
}

/** A volume without a mapping to this guest: attached here, or a ghost of a detached one. */
function judgeUnmapped(o: Observation, volume: CloudVolume): Repair[] {
  if (o.guest === null || volume.type === 'ROOT') return [];
  const device = deviceFor(o, volume.id, null);
  if (device === 'unknown') return [];
  if (volume.vmId !== o.applianceVmId) {
    if (device === null) return [];
    const where = volume.vmId === null ? 'is detached' : `is attached to VM ${volume.vmId}`;
    return [ghost(volume.id, o.applianceVmId, device, where, [])];
  }
  if (device === null) {
    return [
      repair(
        'phantom-attach',
        volume.id,
        o.applianceVmId,
        null,
        `CloudStack says attached here, but this guest has no disk with serial ${expectedSerial(volume.id)}`,
        `detach and attach the volume again: POST /api/v1/volumes/${volume.id}/detach, then …/attach; or stop and start this VM`,
        [],
      ),
    ];
  }
  const mapping = newMapping(volume.id, o, device, volume, 'serial');
  return [
    repair(
      'unmapped-volume',
      volume.id,
      o.applianceVmId,
      device.path,
      'the volume is attached here and has no mapping',
      'nothing to do: force-sync repairs it',
      [
        {
          kind: 'rows',
          effects: [{ kind: 'put-mapping', mapping, displaces: others(o, volume.id, device.path) }],
        },
        ...publishStep(o, volume.id, device),
      ],
    ),
  ];
}

function judgeState(o: Observation, volume: CloudVolume): Repair[] {
  if (!TRANSITIONAL.has(volume.state) || o.stuckBefore.get(volume.id) !== volume.state) return [];
  return [
    repair(
      'stuck-state',
      volume.id,
      volume.vmId,
      null,
      `CloudStack has kept the volume in state ${volume.state} since the last sync, and no operation of ours works on it`,
      'look at the job list of CloudStack; after a management server restart an administrator must reset the state of the volume',
      [],
    ),
  ];
}

/** Publishing again is idempotent, so a missing and an unhealthy export have the same repair. */
function judgeExport(o: Observation, mapping: Mapping, device: Device): Repair[] {
  if (!o.exportsEnabled || o.configured === null) return [];
  const record = o.exports.find((candidate) => candidate.volumeId === mapping.volumeId);
  if (record && isWithdrawn(record)) return [];
  const name = exportName(mapping.volumeId);
  const configured = o.configured.find((candidate) => candidate.name === name);
  const steps = publishStep(o, mapping.volumeId, device);
  const drift = (kind: DriftKind, message: string) => [
    repair(
      kind,
      mapping.volumeId,
      o.applianceVmId,
      device.path,
      message,
      'force-sync publishes it again; see docs/exports.md if it stays',
      steps,
    ),
  ];
  if (!record || !configured)
    return drift(
      'missing-export',
      record ? 'the export server has no such export' : 'the mapped volume has no export',
    );
  if (configured.target !== device.path)
    return drift(
      'unhealthy-export',
      `the export leads to ${configured.target ?? 'nothing'} instead of ${device.path}`,
    );
  const probe = o.probes.get(name);
  if (probe && !probe.ok) return drift('unhealthy-export', `the export does not answer: ${probe.message}`);
  if (probe?.ok && probe.size !== device.size)
    return drift(
      'unhealthy-export',
      `the export answers with ${probe.size} bytes, the device has ${device.size}`,
    );
  return record.status === 'active' ? [] : drift('unhealthy-export', `the export row says ${record.status}`);
}

/** Our export files whose volume has no mapping to this guest: they go, so that they fail closed. */
function judgeOrphanExports(o: Observation): Repair[] {
  const local = new Set(
    o.mappings.filter((mapping) => mapping.vmId === o.applianceVmId).map((mapping) => mapping.volumeId),
  );
  return (o.configured ?? [])
    .filter(({ volumeId }) => !local.has(volumeId) && !o.busy.has(volumeId))
    .map(({ name, target }) =>
      repair(
        'orphan-export',
        volumeIdOf(name),
        o.applianceVmId,
        target,
        `the export ${name} belongs to no mapping`,
        'nothing to do: force-sync withdraws it',
        [{ kind: 'withdraw', exportName: name }],
      ),
    );
}

/**
 * The disk of a volume in this guest: exactly one with its serial; else the mapping's own identity. `unknown` while a device
 * has not told its serial yet, or when two claim the same one: then nothing is judged.
 */
function deviceFor(o: Observation, volumeId: string, mapping: Mapping | null): Device | null | 'unknown' {
  const devices = o.guest?.devices ?? [];
  const matches = devices.filter((device) => serialNames(volumeId, device.serial));
  if (matches.length > 1) return 'unknown';
  if (matches[0]) return matches[0];
  const there =
    mapping && mapping.matchedBy === 'size'
      ? devices.find((device) => device.path === mapping.devicePath)
      : undefined;
  if (there && mapping && verifyIdentity(mapping, there, o.guest?.bootId ?? null).ok) return there;
  return devices.some((device) => device.serialState === 'pending' || device.serialState === 'unreadable')
    ? 'unknown'
    : null;
}

function sameIdentity(mapping: Mapping, fresh: NewMapping): boolean {
  return (
    mapping.serial === fresh.serial && mapping.diskseq === fresh.diskseq && mapping.bootId === fresh.bootId
  );
}

function others(o: Observation, volumeId: string, path: string): string[] {
  return o.mappings
    .filter(
      (mapping) =>
        mapping.devicePath === path && mapping.vmId === o.applianceVmId && mapping.volumeId !== volumeId,
    )
    .map((mapping) => mapping.volumeId);
}

function publishStep(o: Observation, volumeId: string, device: Device): RepairStep[] {
  const record = o.exports.find((candidate) => candidate.volumeId === volumeId);
  if (!o.exportsEnabled || (record && isWithdrawn(record))) return [];
  return [{ kind: 'publish', volumeId, device }];
}

function newMapping(
  volumeId: string,
  o: Observation,
  device: Device,
  volume: CloudVolume | null,
  matchedBy: 'serial' | 'size',
): NewMapping {
  return {
    volumeId,
    vmId: o.applianceVmId,
    devicePath: device.path,
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: device.size,
    controller: device.controller,
    serial: device.serial,
    diskseq: device.diskseq,
    bootId: o.guest?.bootId ?? null,
    matchedBy,
    cloudstackDeviceId:
      volume?.deviceId ??
      o.mappings.find((mapping) => mapping.volumeId === volumeId)?.cloudstackDeviceId ??
      null,
  };
}

function remoteMapping(volume: CloudVolume, vmId: string): NewMapping {
  return {
    volumeId: volume.id,
    vmId,
    devicePath: `remote-vm-${vmId}-${volume.id}`,
    cloudstackState: 'attached',
    linuxState: 'n/a',
    size: volume.size,
    controller: null,
    serial: null,
    diskseq: null,
    bootId: null,
    matchedBy: null,
    cloudstackDeviceId: volume.deviceId,
  };
}

function strip(mapping: Mapping): NewMapping {
  const { id: _id, lastSync: _lastSync, createdAt: _createdAt, updatedAt: _updatedAt, ...rest } = mapping;
  return rest;
}

function repair(
  kind: DriftKind,
  volumeId: string | null,
  vmId: string | null,
  devicePath: string | null,
  message: string,
  remedy: string,
  steps: RepairStep[],
): Repair {
  return { drift: { kind, volumeId, vmId, devicePath, message, remedy }, steps };
}
