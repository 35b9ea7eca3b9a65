import type { OperationType } from '~/server/model/operation';
import type { Ask, Rig } from '../rig';

const GIB = 1024 ** 3;

/** One operation about to be asked for: what it concerns, and the request. */
export interface Subject {
  /** Empty for a create, which has none yet. */
  readonly volumeId: string;
  readonly name: string;
  /** Of the snapshot that the request names, where it names no volume. */
  readonly snapshotId?: string;
  /** The VM that is not the appliance, when the operation concerns one. */
  readonly vmId: string | null;
  readonly ask: Ask;
}

export interface Scenario {
  readonly name: string;
  readonly type: OperationType;
  prepare(rig: Rig, disks: Disks): Promise<Subject>;
}

/** Disks that the guest treats badly. */
export interface Disks {
  /** Never shown by the guest. */
  readonly unseen: Set<string>;
  /** Never let go by the guest. */
  readonly stuck: Set<string>;
}

/** Every type of operation, and the undo paths that a test can reach within its time. */
export const SCENARIOS: readonly Scenario[] = [
  { name: 'create', type: 'create', prepare: async (rig) => create(rig) },
  { name: 'attach', type: 'attach', prepare: async (rig) => attachTo(detached(rig), rig.appliance, null) },
  { name: 'attach elsewhere', type: 'attach', prepare: async (rig) => attachElsewhere(rig) },
  { name: 'attach root', type: 'attach', prepare: attachRoot },
  {
    name: 'detach',
    type: 'detach',
    prepare: async (rig) => detach(await attached(rig, rig.appliance), null),
  },
  { name: 'detach elsewhere', type: 'detach', prepare: detachElsewhere },
  { name: 'delete', type: 'delete', prepare: async (rig) => remove(detached(rig)) },
  {
    name: 'delete of attached',
    type: 'delete',
    prepare: async (rig) => remove(await attached(rig, rig.appliance)),
  },
  { name: 'recover', type: 'recover', prepare: async (rig) => recover(rig) },
  { name: 'resize', type: 'resize', prepare: async (rig) => resize(detached(rig)) },
  {
    name: 'resize of attached',
    type: 'resize',
    prepare: async (rig) => resize(await attached(rig, rig.appliance)),
  },
  { name: 'snapshot', type: 'snapshot', prepare: async (rig) => snapshot(ready(rig)) },
  {
    name: 'delete of a snapshot',
    type: 'delete-snapshot',
    prepare: async (rig) => removeSnapshot(await snapshotted(rig)),
  },
  { name: 'snapshots of a group', type: 'snapshot-group', prepare: snapshotGroup },
  { name: 'revert', type: 'revert', prepare: async (rig) => revert(await snapshotted(rig)) },
  { name: 'cleanup of a test failover', type: 'cleanup', prepare: cleanUp },
  { name: 'attach, undone: no device appears', type: 'attach', prepare: attachUnseen },
  { name: 'detach, undone: the guest keeps the disk', type: 'detach', prepare: detachStuck },
];

interface Known {
  readonly volumeId: string;
  readonly name: string;
}

let counter = 0;

function newName(): string {
  counter += 1;
  return `crash-${counter}`;
}

function create(rig: Rig): Subject {
  const name = newName();
  const { zoneId, diskOfferingId } = rig.lab.cloud;
  const body = { name, size: GIB, zone_id: zoneId, disk_offering_id: diskOfferingId };
  return { volumeId: '', name, vmId: null, ask: { method: 'POST', path: '/api/v1/volumes', body } };
}

/** A volume that somebody has made in CloudStack. */
function detached(rig: Rig): Known {
  const name = newName();
  const { volume } = rig.model.createVolume({
    name,
    zoneId: rig.lab.cloud.zoneId,
    offeringId: rig.lab.cloud.diskOfferingId,
    sizeGiB: 1,
    jobId: null,
    customId: null,
  });
  return { volumeId: volume.id, name };
}

async function attached(rig: Rig, vmId: string): Promise<Known> {
  const known = detached(rig);
  const ended = await rig.follow(attachTo(known, vmId, null).ask);
  if (ended.status !== 'completed') throw new Error(`the attach of the preparation failed: ${ended.error}`);
  return known;
}

function attachTo(known: Known, target: string, vmId: string | null): Subject {
  const path = `/api/v1/volumes/${known.volumeId}/attach`;
  return { ...known, vmId, ask: { method: 'POST', path, body: { vm_id: target } } };
}

function detach(known: Known, vmId: string | null): Subject {
  return { ...known, vmId, ask: { method: 'POST', path: `/api/v1/volumes/${known.volumeId}/detach` } };
}

function remove(known: Known): Subject {
  return { ...known, vmId: null, ask: { method: 'DELETE', path: `/api/v1/volumes/${known.volumeId}` } };
}

/** Of a volume that was deleted with DELETE_MODE=trash. */
function recover(rig: Rig): Subject {
  const known = detached(rig);
  const volume = rig.model.volumes.find(({ id }) => id === known.volumeId);
  if (volume) volume.state = 'Destroy';
  const path = `/api/v1/volumes/${known.volumeId}/recover`;
  return { ...known, vmId: null, ask: { method: 'POST', path } };
}

function resize(known: Known): Subject {
  const path = `/api/v1/volumes/${known.volumeId}/resize`;
  return { ...known, vmId: null, ask: { method: 'POST', path, body: { size: 3 * GIB } } };
}

/** A volume that has storage, so that there is something to take a snapshot of. */
function ready(rig: Rig): Known {
  const known = detached(rig);
  const volume = rig.model.volumes.find(({ id }) => id === known.volumeId);
  if (volume) Object.assign(volume, { state: 'Ready', hypervisor: 'KVM' });
  return known;
}

function snapshot(known: Known): Subject {
  const path = `/api/v1/volumes/${known.volumeId}/snapshots`;
  return { ...known, vmId: null, ask: { method: 'POST', path, body: { name: 'before' } } };
}

async function snapshotted(rig: Rig): Promise<Known & { readonly snapshotId: string }> {
  const known = ready(rig);
  const ended = await rig.follow(snapshot(known).ask);
  const snapshotId = ended.response?.snapshot_id;
  if (typeof snapshotId !== 'string')
    throw new Error(`the snapshot of the preparation failed: ${ended.error}`);
  return { ...known, snapshotId };
}

async function snapshotGroup(rig: Rig): Promise<Subject> {
  const vm = rig.model.addVm({ name: newName() });
  const known = await attached(rig, vm.id);
  const body = { vm_id: vm.id, volume_ids: [known.volumeId], name: 'before' };
  return { ...known, vmId: null, ask: { method: 'POST', path: '/api/v1/snapshots/group', body } };
}

function removeSnapshot({ snapshotId, ...known }: Known & { readonly snapshotId: string }): Subject {
  const path = `/api/v1/snapshots/${snapshotId}`;
  return { ...known, snapshotId, vmId: null, ask: { method: 'DELETE', path } };
}

function revert({ snapshotId, ...known }: Known & { readonly snapshotId: string }): Subject {
  const path = `/api/v1/volumes/${known.volumeId}/revert`;
  return { ...known, vmId: null, ask: { method: 'POST', path, body: { snapshot_id: snapshotId } } };
}

function attachElsewhere(rig: Rig): Subject {
  const vm = rig.model.addVm({ name: newName() });
  return attachTo(detached(rig), vm.id, vm.id);
}

async function detachElsewhere(rig: Rig): Promise<Subject> {
  const vm = rig.model.addVm({ name: newName() });
  return detach(await attached(rig, vm.id), vm.id);
}

/**
 * A stopped VM whose root disk was taken away, as a failover leaves it before the migrated disk takes its
 * place.
 */
async function attachRoot(rig: Rig): Promise<Subject> {
  const vm = rig.model.addVm({ name: newName(), state: 'Stopped' });
  const root = rig.model.volumes.find((volume) => volume.vmId === vm.id);
  if (root) Object.assign(root, { vmId: null, deviceId: null, attached: null, type: 'DATADISK' });
  const known = detached(rig);
  const path = `/api/v1/volumes/${known.volumeId}/attach-root`;
  return { ...known, vmId: vm.id, ask: { method: 'POST', path, body: { vm_id: vm.id } } };
}

/** The test VM runs: the whole way of stopping, detaching, attaching and deleting. */
async function cleanUp(rig: Rig): Promise<Subject> {
  const vm = rig.model.addVm({ name: newName() });
  const known = await attached(rig, vm.id);
  // The VM's own root disk would keep it: cleanup deletes a VM only when no disk is left on it.
  const root = rig.model.volumes.find((volume) => volume.vmId === vm.id && volume.id !== known.volumeId);
  if (root) Object.assign(root, { vmId: null, deviceId: null, attached: null });
  const body = {
    volume_id: known.volumeId,
    test_vm_id: vm.id,
    oma_vm_id: rig.appliance,
    delete_vm: true,
    force_clean: true,
  };
  return { ...known, vmId: vm.id, ask: { method: 'POST', path: '/api/v1/cleanup/test-failover', body } };
}

async function attachUnseen(rig: Rig, disks: Disks): Promise<Subject> {
  const known = detached(rig);
  disks.unseen.add(known.volumeId);
  return attachTo(known, rig.appliance, null);
}

async function detachStuck(rig: Rig, disks: Disks): Promise<Subject> {
  const known = await attached(rig, rig.appliance);
  disks.stuck.add(known.volumeId);
  return detach(known, null);
}
