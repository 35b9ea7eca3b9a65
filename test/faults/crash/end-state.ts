import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationReply } from '~/lab/client';
import { expectedSerial } from '~/server/devices/correlation';
import { exportName } from '~/server/model/export-name';
import type { Rig } from '../rig';
import type { Subject } from './scenarios';

/**
 * Everything that an operation leaves behind, without the names that differ from run to run: two runs can be
 * compared.
 */
export interface EndState {
  readonly operation: unknown;
  /** What really happened in CloudStack, how often. */
  readonly effects: Readonly<Record<string, number>>;
  readonly cloud: unknown;
  readonly guestHasDisk: boolean;
  readonly mapping: unknown;
  readonly export: unknown;
  readonly files: unknown;
  readonly journal: unknown;
}

/** `effectsBefore`: how many effects CloudStack had had when the operation was asked for. */
export async function endState(
  rig: Rig,
  subject: Subject,
  ended: OperationReply,
  effectsBefore: number,
): Promise<EndState> {
  const volumeId = subject.volumeId || ended.volume_id;
  const same = (value: unknown) => withoutNames(value, rig, subject, volumeId);
  const { status, error, response } = ended;
  const [mapping] = await rig.rows('SELECT * FROM device_mappings WHERE volume_id = ?', [volumeId]);
  const [record] = await rig.rows('SELECT * FROM nbd_exports WHERE volume_id = ?', [volumeId]);
  const journal = await rig.rows(
    "SELECT state, COUNT(*) AS n FROM volume_operation_steps WHERE operation_id = ? AND step = 'operation' GROUP BY state ORDER BY state",
    [ended.id],
  );
  return {
    operation: same({ status, error, response }),
    effects: effectsOf(rig, subject, volumeId, effectsBefore),
    cloud: same(cloudView(rig, subject, volumeId)),
    guestHasDisk: rig.lab.guest.devicePath(volumeId) !== null,
    mapping: mapping ? same(mappingView(rig, volumeId, mapping)) : null,
    export: record
      ? same({ name: record.export_name, status: record.status, path: record.device_path })
      : null,
    files: await filesOf(rig, volumeId),
    journal: journal.map(({ state, n }) => `${state} ${n}`),
  };
}

function effectsOf(rig: Rig, subject: Subject, volumeId: string, since: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind, volumeId: about, vmId } of rig.model.effects.slice(since)) {
    if (about !== volumeId && (about !== '' || vmId !== subject.vmId)) continue;
    const where = vmId === null ? '' : vmId === rig.appliance ? ' appliance' : ' other VM';
    counts[kind + where] = (counts[kind + where] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort());
}

function cloudView(rig: Rig, subject: Subject, volumeId: string) {
  const volumes = rig.model.volumes.filter(({ name }) => name === subject.name);
  const volume = volumes.find(({ id }) => id === volumeId);
  const vm = rig.model.vms.find(({ id }) => id === subject.vmId);
  return {
    volumesOfThatName: volumes.length,
    // The first attach makes an allocated volume ready; from then on the two words mean the same here.
    state: volume?.state,
    vmId: volume?.vmId ?? null,
    removed: volume?.removed,
    vm: vm ? { state: vm.state, removed: vm.removed } : null,
  };
}

function mappingView(rig: Rig, volumeId: string, row: Record<string, unknown>) {
  const here = rig.lab.guest.devicePath(volumeId);
  return {
    vm: row.vm_id,
    path: row.device_path,
    isWhereTheGuestHasIt: here === null ? null : row.device_path === here,
    hasItsSerial: row.serial === expectedSerial(volumeId),
    cloudstack: row.cloudstack_state,
    linux: row.linux_state,
    size: Number(row.size),
    matchedBy: row.matched_by,
  };
}

/** The export's link: is there one for this volume, does it lead to its disk, and is nothing left over? */
async function filesOf(rig: Rig, volumeId: string) {
  const name = exportName(volumeId);
  const folder = join(rig.lab.dir, 'run', 'exports');
  const mentioning = (await readdir(folder).catch(() => [])).filter((entry) => entry.includes(name));
  const link = join(folder, name);
  const target = (await lstat(link).catch(() => null)) ? await readlink(link) : null;
  const device = rig.lab.guest.devicePath(volumeId);
  return {
    entries: mentioning.length,
    link: target === null ? 'none' : target === device ? 'right' : 'WRONG',
  };
}

/** Ids, letters and times become words. */
function withoutNames(value: unknown, rig: Rig, subject: Subject, volumeId: string): unknown {
  let text = JSON.stringify(value ?? null);
  const names: [string | null, string][] = [
    [volumeId, 'VOLUME'],
    [subject.vmId, 'VM'],
    [rig.appliance, 'APPLIANCE'],
    [subject.name, 'NAME'],
  ];
  for (const [name, word] of names) if (name) text = text.replaceAll(name, word);
  text = text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replace(/"[^"]*\/dev\/vd[a-z]+"/g, '"DEVICE"')
    .replace(/crash-\d+/g, 'NAME');
  return JSON.parse(text);
}
