import type { CloudModel } from './model';
import { badId } from './model';
import { ApiError, type Job, type Vm, type Volume } from './records';

export type Params = ReadonlyMap<string, string>;

/** Answers by command name: parameters in, the content of the `…response` envelope out. Shapes and types as in the facts. */
export const COMMANDS: Readonly<Record<string, (model: CloudModel, params: Params) => unknown>> = {
  listCapabilities: () => ({
    capability: {
      cloudstackversion: '4.20.0.0',
      customdiskofferingminsize: 1,
      customdiskofferingmaxsize: 1024,
      securitygroupsenabled: false,
    },
  }),
  listZones: (model, params) =>
    page(
      params,
      'zone',
      model.zones.filter(byId(model.zones, params, 'listzones')).map((zone) => ({
        id: zone.id,
        name: zone.name,
        networktype: 'Advanced',
        securitygroupsenabled: false,
        allocationstate: 'Enabled',
      })),
    ),
  listDiskOfferings: (model, params) =>
    page(
      params,
      'diskoffering',
      model.offerings.filter(byId(model.offerings, params, 'listdiskofferings')).map((o) => ({
        id: o.id,
        name: o.name,
        displaytext: o.name,
        disksize: o.sizeGiB,
        iscustomized: o.customized,
        storagetype: 'shared',
        provisioningtype: 'thin',
        state: 'Active',
      })),
    ),
  listVirtualMachines: (model, params) =>
    page(
      params,
      'virtualmachine',
      model.vms.filter(byId(model.vms, params, 'listvirtualmachines')).map(vmView),
    ),
  listVolumes: (model, params) =>
    page(
      params,
      'volume',
      listVolumes(model, params).map((volume) => volumeView(model, volume)),
    ),
  createVolume: (model, params) => {
    const { volume, job } = model.createVolume({
      name: need(params, 'createvolume', 'name'),
      zoneId: need(params, 'createvolume', 'zoneid'),
      offeringId: need(params, 'createvolume', 'diskofferingid'),
      sizeGiB: params.has('size') ? long('createvolume', 'size', params.get('size') ?? '') : null,
      jobId: params.get('customjobid') ?? null,
      customId: params.get('customid') ?? null,
    });
    return { id: volume.id, jobid: job.id };
  },
  attachVolume: (model, params) => {
    const deviceId = params.get('deviceid');
    const job = model.attachVolume({
      id: need(params, 'attachvolume', 'id'),
      vmId: need(params, 'attachvolume', 'virtualmachineid'),
      deviceId: deviceId === undefined ? null : long('attachvolume', 'deviceid', deviceId),
      jobId: params.get('customjobid') ?? null,
    });
    return { jobid: job.id };
  },
  detachVolume: (model, params) => {
    if (params.has('id') === params.has('virtualmachineid'))
      throw new ApiError(431, 'Please provide either a volume id, or a tuple(device id, instance id)', 4350);
    return {
      jobid: model.detachVolume({
        id: need(params, 'detachvolume', 'id'),
        jobId: params.get('customjobid') ?? null,
      }).id,
    };
  },
  deleteVolume: async (model, params) => {
    await model.deleteVolume(need(params, 'deletevolume', 'id'));
    return { success: true };
  },
  stopVirtualMachine: (model, params) => ({
    jobid: model.stopVm(need(params, 'stopvirtualmachine', 'id'), params.get('customjobid') ?? null).id,
  }),
  destroyVirtualMachine: (model, params) => ({
    jobid: model.destroyVm(need(params, 'destroyvirtualmachine', 'id'), params.get('customjobid') ?? null).id,
  }),
  queryAsyncJobResult: (model, params) =>
    jobView(model, model.queryJob(need(params, 'queryasyncjobresult', 'jobid'))),
};

function listVolumes(model: CloudModel, params: Params): Volume[] {
  const id = params.get('id');
  const known = model.volumes.find((volume) => volume.id === id?.toLowerCase());
  if (id !== undefined && !known) throw badId('listvolumes', 'id', id);
  return model.volumes.filter(
    (volume) =>
      !volume.removed &&
      (id === undefined || volume === known) &&
      (params.get('name') === undefined || volume.name.toLowerCase() === params.get('name')?.toLowerCase()) &&
      (params.get('zoneid') === undefined || volume.zoneId === params.get('zoneid')) &&
      (params.get('virtualmachineid') === undefined || volume.vmId === params.get('virtualmachineid')),
  );
}

function byId(
  all: readonly { id: string }[],
  params: Params,
  command: string,
): (item: { id: string }) => boolean {
  const id = params.get('id');
  if (id === undefined) return () => true;
  if (!all.some((item) => item.id === id.toLowerCase())) throw badId(command, 'id', id);
  return (item) => item.id === id.toLowerCase();
}

const PAGE_CAP = 500;

/** An empty list is `{}`; a page past the end is a count without an array. */
function page(params: Params, key: string, items: unknown[]): unknown {
  const size = params.get('pagesize');
  const number = params.get('page');
  if (number === undefined && size !== undefined && size !== '-1')
    throw new ApiError(431, '"page" parameter is required when "pagesize" is specified');
  if (number !== undefined && size === undefined)
    throw new ApiError(431, '"pagesize" parameter is required when "page" is specified');
  if (items.length === 0) return {};
  const limit = size === '-1' ? items.length : size === undefined ? PAGE_CAP : Number(size);
  if (limit > PAGE_CAP && size !== '-1')
    throw new ApiError(431, `Page size can't exceed max allowed page size value: ${PAGE_CAP}`, 4350);
  const start = number === undefined ? 0 : (Number(number) - 1) * limit;
  const slice = items.slice(start, start + limit);
  return slice.length === 0 ? { count: items.length } : { count: items.length, [key]: slice };
}

function need(params: Params, command: string, name: string): string {
  const value = params.get(name);
  if (value === undefined || value === '')
    throw new ApiError(431, `Unable to execute API command ${command} due to missing parameter ${name}`);
  return value;
}

function long(command: string, name: string, value: string): number {
  if (!/^-?\d+$/.test(value))
    throw new ApiError(
      431,
      `Unable to execute API command ${command} due to invalid value. Invalid parameter ${name} value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`,
    );
  return Number(value);
}

/** `2024-11-04T09:00:00+0000`, as the server writes dates. */
export function date(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, '+0000');
}

function vmView(vm: Vm): unknown {
  return {
    id: vm.id,
    name: vm.name,
    displayname: vm.name,
    state: vm.state,
    zoneid: vm.zoneId,
    hypervisor: vm.hypervisor,
    account: 'admin',
    domain: 'ROOT',
  };
}

/** Null fields are left out, never null. */
export function volumeView(model: CloudModel, volume: Volume): Record<string, unknown> {
  const vm = model.vms.find(({ id }) => id === volume.vmId);
  const offering = model.offerings.find(({ id }) => id === volume.diskOfferingId);
  const zone = model.zones.find(({ id }) => id === volume.zoneId);
  return {
    id: volume.id,
    name: volume.name,
    zoneid: volume.zoneId,
    zonename: zone?.name,
    type: volume.type,
    deviceid: volume.deviceId ?? undefined,
    virtualmachineid: vm?.id,
    vmname: vm?.name,
    vmdisplayname: vm?.name,
    vmstate: vm?.state,
    provisioningtype: 'thin',
    size: volume.size,
    created: date(volume.created),
    state: volume.state,
    account: 'admin',
    domain: 'ROOT',
    storagetype: 'shared',
    hypervisor: volume.state === 'Allocated' ? 'None' : 'KVM',
    diskofferingid: offering?.id,
    diskofferingname: offering?.name,
    attached: volume.attached === null ? undefined : date(volume.attached),
    destroyed: false,
    isextractable: true,
    displayvolume: true,
    quiescevm: false,
    tags: [],
    ...(volume.jobId === null ? {} : { jobid: volume.jobId, jobstatus: 0 }),
  };
}

function jobView(model: CloudModel, job: Job): unknown {
  const volume = model.volumes.find(({ id }) => id === job.instanceId);
  const isVolume = volume !== undefined && job.result === volume;
  // The volume inside a result still shows the job as running, as real servers do.
  const result =
    isVolume && volume
      ? { volume: { ...volumeView(model, volume), jobid: job.id, jobstatus: 0 } }
      : job.result;
  return {
    accountid: '11111111-1111-4111-8111-111111111111',
    userid: '22222222-2222-4222-8222-222222222222',
    cmd: `org.apache.cloudstack.api.command.admin.volume.${job.command}ByAdmin`,
    jobstatus: job.status,
    jobprocstatus: 0,
    jobresultcode: job.resultCode,
    ...(result === undefined ? {} : { jobresulttype: 'object', jobresult: result }),
    jobinstancetype: 'Volume',
    jobinstanceid: job.instanceId,
    created: date(job.created),
    ...(job.completed === null ? {} : { completed: date(job.completed) }),
    jobid: job.id,
  };
}
