import { latencyKey } from './latency';
import type { CloudModel } from './model';
import { type Params, page, whole } from './paging';
import type { Vm, Volume } from './records';
import { missing } from './texts';
import { jobView, offeringView, vmView, volumeView, zoneView } from './views';
import { CUSTOM_MAX_GIB, CUSTOM_MIN_GIB } from './volumes';

/** `denied`: what the role of the caller lacks. */
type Command = (model: CloudModel, params: Params, denied?: readonly string[]) => unknown;

/**
 * Answers by command name: parameters in (names in lower case), the content of the `…response` envelope out. Shapes and types as
 * in the facts. Throws ApiError.
 */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  [
    'listCapabilities',
    () => ({
      capability: {
        cloudstackversion: '4.20.0.0',
        customdiskofferingminsize: CUSTOM_MIN_GIB,
        customdiskofferingmaxsize: CUSTOM_MAX_GIB,
        securitygroupsenabled: false,
      },
    }),
  ],
  ['listApis', listApis],
  ['listZones', listZones],
  ['listDiskOfferings', listDiskOfferings],
  ['listVirtualMachines', listVirtualMachines],
  ['listVolumes', listVolumes],
  ['createVolume', createVolume],
  ['attachVolume', attachVolume],
  ['detachVolume', detachVolume],
  [
    'deleteVolume',
    async (model, params) => {
      await model.deleteVolume(need('deleteVolume', params, 'id'));
      return { success: true };
    },
  ],
  [
    'startVirtualMachine',
    (model, params) => accepted(model.startVm(need('startVirtualMachine', params, 'id'), jobIdOf(params))),
  ],
  [
    'stopVirtualMachine',
    (model, params) => accepted(model.stopVm(need('stopVirtualMachine', params, 'id'), jobIdOf(params))),
  ],
  [
    'destroyVirtualMachine',
    (model, params) => {
      const id = need('destroyVirtualMachine', params, 'id');
      return accepted(model.destroyVm(id, params.get('expunge') === 'true', jobIdOf(params)));
    },
  ],
  [
    'queryAsyncJobResult',
    (model, params) => jobView(model, model.queryJob(need('queryAsyncJobResult', params, 'jobid'))),
  ],
  [
    'listAsyncJobs',
    (model, params) =>
      page(
        'listAsyncJobs',
        params,
        'asyncjobs',
        model.pendingJobs().map((job) => jobView(model, job)),
      ),
  ],
]);

function createVolume(model: CloudModel, params: Params): unknown {
  const { volume, job } = model.createVolume({
    name: need('createVolume', params, 'name'),
    zoneId: need('createVolume', params, 'zoneid'),
    offeringId: need('createVolume', params, 'diskofferingid'),
    sizeGiB: whole('createVolume', params, 'size'),
    jobId: jobIdOf(params),
    customId: params.get('customid') ?? null,
  });
  return { id: volume.id, jobid: job.id };
}

function attachVolume(model: CloudModel, params: Params): unknown {
  return accepted(
    model.attachVolume({
      id: need('attachVolume', params, 'id'),
      vmId: need('attachVolume', params, 'virtualmachineid'),
      deviceId: whole('attachVolume', params, 'deviceid'),
      jobId: jobIdOf(params),
    }),
  );
}

/** Either the volume, or the VM with the device id. Anything else is accepted, and the job fails. */
function detachVolume(model: CloudModel, params: Params): unknown {
  const jobId = jobIdOf(params);
  const id = params.get('id');
  const vmId = params.get('virtualmachineid');
  const deviceId = whole('detachVolume', params, 'deviceid');
  if (id !== undefined && vmId === undefined && deviceId === null)
    return accepted(model.detachVolume({ id, jobId }));
  if (id === undefined && vmId !== undefined && deviceId !== null)
    return accepted(model.detachVolume({ vmId, deviceId, jobId }));
  return accepted(model.detachVolume({ both: true, jobId }));
}

function listApis(_model: CloudModel, params: Params, denied: readonly string[] = []): unknown {
  const wanted = params.get('name')?.toLowerCase();
  const changes = (name: string) => latencyKey(name) !== 'read' && name !== 'deleteVolume';
  const api = [...COMMANDS.keys()]
    .filter((name) => !denied.includes(name) && (wanted === undefined || name.toLowerCase() === wanted))
    .map((name) => ({ name, isasync: changes(name), params: [], response: [] }));
  return api.length === 0 ? {} : { count: api.length, api };
}

function listZones(model: CloudModel, params: Params): unknown {
  const id = params.get('id');
  const wanted = id === undefined ? null : model.inventory.zone('listZones', 'id', id);
  const name = params.get('name')?.toLowerCase();
  const zones = model.zones.filter(
    (zone) =>
      (wanted === null || zone === wanted) &&
      (name === undefined || zone.name.toLowerCase() === name) &&
      (params.get('available') !== 'true' || zone.allocationState === 'Enabled'),
  );
  return page('listZones', params, 'zone', zones.map(zoneView));
}

function listDiskOfferings(model: CloudModel, params: Params): unknown {
  const id = params.get('id');
  const wanted = id === undefined ? null : model.inventory.offering('listDiskOfferings', 'id', id);
  const name = params.get('name')?.toLowerCase();
  const offerings = model.offerings.filter(
    (offering) =>
      (wanted === null || offering === wanted) &&
      (name === undefined || offering.name.toLowerCase() === name),
  );
  return page('listDiskOfferings', params, 'diskoffering', offerings.map(offeringView));
}

/** `name` finds parts of names here, unlike listVolumes. */
function listVirtualMachines(model: CloudModel, params: Params): unknown {
  const command = 'listVirtualMachines';
  const wanted = wantedIds(params, (name, id) => model.inventory.vm(command, name, id).id);
  const matches = (vm: Vm) =>
    !vm.removed &&
    (wanted === null || wanted.has(vm.id)) &&
    contains(vm.name, params.get('name')) &&
    contains(vm.name, params.get('keyword')) &&
    is(vm.state, params.get('state')) &&
    is(vm.zoneId, params.get('zoneid'));
  return page(command, params, 'virtualmachine', model.vms.filter(matches).map(vmView));
}

/** `name` is the whole name, whatever its case. */
function listVolumes(model: CloudModel, params: Params): unknown {
  const command = 'listVolumes';
  const wanted = wantedIds(params, (name, id) => model.inventory.volume(command, name, id).id);
  const zoneId = params.get('zoneid');
  if (zoneId !== undefined) model.inventory.zone(command, 'zoneid', zoneId);
  const vmId = params.get('virtualmachineid');
  if (vmId !== undefined) model.inventory.vm(command, 'virtualmachineid', vmId);
  const matches = (volume: Volume) =>
    !volume.removed &&
    (wanted === null || wanted.has(volume.id)) &&
    is(volume.name, params.get('name')) &&
    contains(volume.name, params.get('keyword')) &&
    is(volume.type, params.get('type')) &&
    is(volume.state, params.get('state')) &&
    is(volume.zoneId, zoneId) &&
    is(volume.vmId ?? '', vmId) &&
    is(volume.diskOfferingId ?? '', params.get('diskofferingid'));
  const found = model.volumes.filter(matches).map((volume) => volumeView(model, volume));
  return page(command, params, 'volume', found);
}

/** The ids asked for with `id` or `ids`; null when neither was. Ids that never were are 431. */
function wantedIds(
  params: Params,
  find: (parameter: string, id: string) => string,
): ReadonlySet<string> | null {
  const id = params.get('id');
  if (id !== undefined) return new Set([find('id', id)]);
  const ids = params.get('ids');
  return ids === undefined ? null : new Set(ids.split(',').map((one) => find('ids', one)));
}

function is(value: string, wanted: string | undefined): boolean {
  return wanted === undefined || value.toLowerCase() === wanted.toLowerCase();
}

function contains(value: string, wanted: string | undefined): boolean {
  return wanted === undefined || value.toLowerCase().includes(wanted.toLowerCase());
}

function accepted({ id }: { readonly id: string }): unknown {
  return { jobid: id };
}

function jobIdOf(params: Params): string | null {
  return params.get('customjobid') ?? null;
}

function need(command: string, params: Params, name: string): string {
  const value = params.get(name);
  if (value === undefined || value === '') throw missing(command, name);
  return value;
}
