import type { CloudSnapshot } from '~/server/cloudstack/cloud';
import { seen } from '~/server/model/evidence';
import type { Mutation } from '~/server/operations/action';
import type { DiskUse, Intent } from '~/server/operations/decision';
import { APPLIANCE, MADE, OFFERING, OTHER_VM, seenVolume, VOLUME, volume, ZONE } from './situations';

/** Every mutation there is, and what an intent names, for the tests of what may leave. */
export const attach = (vmId = APPLIANCE, deviceId: number | null = null): Mutation => ({
  ...{ name: 'attachVolume', volumeId: VOLUME },
  ...{ vmId, deviceId },
});
export const create: Mutation = {
  name: 'createVolume',
  volumeName: 'data',
  zoneId: ZONE,
  diskOfferingId: OFFERING,
  sizeGiB: 1,
  owner: null,
};
export const detach: Mutation = { name: 'detachVolume', volumeId: VOLUME };
export const remove: Mutation = { name: 'deleteVolume', volumeId: VOLUME };
export const trash: Mutation = { name: 'destroyVolume', volumeId: VOLUME, expunge: false };
export const recover: Mutation = { name: 'recoverVolume', volumeId: VOLUME };
export const resize = (sizeGiB = 6): Mutation => ({ name: 'resizeVolume', volumeId: VOLUME, sizeGiB });
const SNAPSHOT = 'eeeeeeee-0000-4000-8000-000000000005';
export const snapshot: Mutation = { name: 'createSnapshot', volumeId: VOLUME, snapshotName: 'data-op' };
export const deleteSnapshot: Mutation = { name: 'deleteSnapshot', volumeId: VOLUME, snapshotId: SNAPSHOT };
export const revert: Mutation = { name: 'revertSnapshot', volumeId: VOLUME, snapshotId: SNAPSHOT };
/** A whole snapshot of the volume. */
export const taken = (fields: Partial<CloudSnapshot> = {}): CloudSnapshot => ({
  id: SNAPSHOT,
  name: 'data-op',
  volumeId: VOLUME,
  state: 'BackedUp',
  size: 1024 ** 3,
  created: null,
  owner: { projectId: null, account: 'ours', domainId: null },
  ...fields,
});
export const seenSnapshot = (fields: Partial<CloudSnapshot> = {}) => seen(taken(fields), 0, 'cloudstack');
export const stop = (vmId = OTHER_VM): Mutation => ({ name: 'stopVirtualMachine', vmId });
export const destroy = (vmId = OTHER_VM): Mutation => ({
  name: 'destroyVirtualMachine',
  vmId,
  expunge: true,
});

const NOBODY = { users: false, clients: false };
export const ATTACHED_AT = '2026-01-01T00:00:00.000Z';
export const LATER = '2026-01-01T00:00:05.000Z';

export function intent(fields: Partial<Intent> = {}): Intent {
  const only = { stillOnly: false, missingOnly: false };
  return { vmId: OTHER_VM, plug: null, ignored: NOBODY, ...only, sentBefore: false, ...fields };
}

export const plug = { deviceId: 1, attached: ATTACHED_AT };
/** As the intent of a detach from the appliance names it. */
export const fromHere = intent({ vmId: APPLIANCE, plug });
export const here = seenVolume({ vmId: APPLIANCE, ...plug });
export const there = seenVolume({ vmId: OTHER_VM, ...plug });
export const free = seenVolume();
const ROOT = volume({ id: 'root', type: 'ROOT', vmId: OTHER_VM, created: MADE });
export const disks = (...more: ReturnType<typeof volume>[]) => seen([ROOT, ...more], 0, 'cloudstack');
export const unclear = (...holders: DiskUse['holders']): DiskUse => ({ disk: 'unclear', holders });
