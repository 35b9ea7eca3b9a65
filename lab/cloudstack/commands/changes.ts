import { destroyVolume } from '../actions/removal';
import {
  createSnapshot,
  createTags,
  createVmSnapshot,
  deleteSnapshot,
  deleteVmSnapshot,
  resizeVolume,
  revertSnapshot,
} from '../actions/snapshots';
import { updateVolume } from '../actions/volumes';
import type { CloudModel } from '../model';
import type { Tag } from '../records';
import { volumeView } from '../views/objects';
import { type Params, whole } from '../wire/paging';
import { type Caller, type Command, isTrue, need, optional } from './params';

/** What changes. */
export const CHANGES: readonly (readonly [name: string, run: Command])[] = [
  ['createVolume', createVolume],
  ['attachVolume', attachVolume],
  ['detachVolume', detachVolume],
  [
    'deleteVolume',
    async (model, params, { account }) => {
      await model.deleteVolume(need('deleteVolume', params, 'id'), account);
      return { success: true };
    },
  ],
  ['updateVolume', update],
  ['resizeVolume', resize],
  [
    'destroyVolume',
    (model, params, { account }) =>
      accepted(
        destroyVolume(
          model.parts,
          { ...idAndJob('destroyVolume', params), expunge: isTrue(params, 'expunge') },
          account,
        ),
      ),
  ],
  [
    'recoverVolume',
    (model, params, { account }) => {
      const volume = model.recoverVolume(need('recoverVolume', params, 'id'), account);
      return { volume: volumeView(model, volume, account.role === 'root') };
    },
  ],
  [
    'createSnapshot',
    (model, params, { account }) => {
      const volumeId = need('createSnapshot', params, 'volumeid');
      const asked = { volumeId, name: optional(params, 'name'), jobId: jobIdOf(params) };
      const { snapshot, job } = createSnapshot(model.parts, asked, account);
      return { id: snapshot.id, jobid: job.id };
    },
  ],
  [
    'revertSnapshot',
    (model, params, { account }) =>
      accepted(revertSnapshot(model.parts, idAndJob('revertSnapshot', params), account)),
  ],
  [
    'deleteSnapshot',
    (model, params, { account }) =>
      accepted(deleteSnapshot(model.parts, idAndJob('deleteSnapshot', params), account)),
  ],
  [
    'createVMSnapshot',
    (model, params, { account }) => {
      const id = need('createVMSnapshot', params, 'virtualmachineid');
      const made = createVmSnapshot(model.parts, { id, jobId: jobIdOf(params) }, account);
      return { id: made.id, jobid: made.job.id };
    },
  ],
  [
    'deleteVMSnapshot',
    (model, params, { account }) => {
      const id = need('deleteVMSnapshot', params, 'vmsnapshotid');
      return accepted(deleteVmSnapshot(model.parts, { id, jobId: jobIdOf(params) }, account));
    },
  ],
  ['createTags', tag],
  [
    'startVirtualMachine',
    (model, params, { account }) =>
      accepted(model.startVm(need('startVirtualMachine', params, 'id'), jobIdOf(params), account)),
  ],
  [
    'stopVirtualMachine',
    (model, params, { account }) => {
      const id = need('stopVirtualMachine', params, 'id');
      return accepted(model.stopVm(id, jobIdOf(params), account, isTrue(params, 'forced')));
    },
  ],
  [
    'destroyVirtualMachine',
    (model, params, { account }) => {
      const id = need('destroyVirtualMachine', params, 'id');
      return accepted(model.destroyVm(id, isTrue(params, 'expunge'), jobIdOf(params), account));
    },
  ],
];

function createVolume(model: CloudModel, params: Params, { account }: Caller): unknown {
  const { volume, job } = model.createVolume(
    {
      name: optional(params, 'name'),
      zoneId: optional(params, 'zoneid'),
      offeringId: optional(params, 'diskofferingid'),
      sizeGiB: whole('createVolume', params, 'size'),
      snapshotId: optional(params, 'snapshotid'),
      // The account counts together with its domain only; all of ours live in one.
      account: params.has('domainid') ? optional(params, 'account') : null,
      projectId: optional(params, 'projectid'),
      jobId: jobIdOf(params),
      customId: optional(params, 'customid'),
    },
    account,
  );
  return { id: volume.id, jobid: job.id };
}

function attachVolume(model: CloudModel, params: Params, { account }: Caller): unknown {
  const asked = {
    id: need('attachVolume', params, 'id'),
    vmId: need('attachVolume', params, 'virtualmachineid'),
    deviceId: whole('attachVolume', params, 'deviceid'),
    jobId: jobIdOf(params),
  };
  return accepted(model.attachVolume(asked, account));
}

function detachVolume(model: CloudModel, params: Params, { account }: Caller): unknown {
  const [id, vmId] = [params.get('id'), params.get('virtualmachineid')];
  const asked = {
    ...(id === undefined ? {} : { id }),
    ...(vmId === undefined ? {} : { vmId }),
    deviceId: whole('detachVolume', params, 'deviceid'),
    jobId: jobIdOf(params),
  };
  return accepted(model.detachVolume(asked, account));
}

function update(model: CloudModel, params: Params, { account }: Caller): unknown {
  const [name, customId] = [params.get('name'), params.get('customid')];
  const asked = {
    ...idAndJob('updateVolume', params),
    ...(name === undefined ? {} : { name }),
    ...(customId === undefined ? {} : { customId }),
    ...(params.has('deleteprotection') ? { deleteProtection: isTrue(params, 'deleteprotection') } : {}),
  };
  return accepted(updateVolume(model.parts, asked, account));
}

function resize(model: CloudModel, params: Params, { account }: Caller): unknown {
  const asked = {
    ...idAndJob('resizeVolume', params),
    sizeGiB: whole('resizeVolume', params, 'size') ?? 0,
    shrinkOk: isTrue(params, 'shrinkok'),
  };
  return accepted(resizeVolume(model.parts, asked, account));
}

function tag(model: CloudModel, params: Params, { account }: Caller): unknown {
  const volumeIds = need('createTags', params, 'resourceids').split(',');
  const tags: Tag[] = [];
  for (let index = 0; params.has(`tags[${index}].key`); index += 1)
    tags.push({
      key: params.get(`tags[${index}].key`) ?? '',
      value: params.get(`tags[${index}].value`) ?? '',
    });
  return accepted(createTags(model.parts, { volumeIds, tags, jobId: jobIdOf(params) }, account));
}

function accepted({ id }: { readonly id: string }): unknown {
  return { jobid: id };
}

function idAndJob(command: string, params: Params): { id: string; jobId: string | null } {
  return { id: need(command, params, 'id'), jobId: jobIdOf(params) };
}

function jobIdOf(params: Params): string | null {
  return optional(params, 'customjobid');
}
