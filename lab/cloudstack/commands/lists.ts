import { maxDataDisks } from '../actions/disks';
import { CUSTOM_MAX_GIB, CUSTOM_MIN_GIB } from '../actions/volumes';
import { latencyKey } from '../latency';
import type { CloudModel } from '../model';
import type { Snapshot, Vm, Volume } from '../records';
import { namesMatch } from '../state/names';
import { jobView } from '../views/jobs';
import { offeringView, snapshotView, vmView, volumeView, zoneView } from '../views/objects';
import { type Params, page } from '../wire/paging';
import { type Caller, type Command, contains, is, isDenied, need, scopeOf } from './params';

/** What reads. */
export const LISTS: readonly (readonly [name: string, run: Command])[] = [
  ['listCapabilities', listCapabilities],
  ['listZones', listZones],
  ['listDiskOfferings', listDiskOfferings],
  ['listVirtualMachines', listVirtualMachines],
  ['listVolumes', listVolumes],
  ['listHypervisorCapabilities', listHypervisorCapabilities],
  ['listSnapshots', listSnapshots],
  [
    'queryAsyncJobResult',
    (model, params, { account }) =>
      jobView(model, model.queryJob(need('queryAsyncJobResult', params, 'jobid'), account)),
  ],
  [
    'listAsyncJobs',
    (model, params, { account }) => {
      const jobs = model
        .pendingJobs()
        .filter(({ accountId }) => account.role === 'root' || accountId === account.id);
      return paged(
        model,
        'listAsyncJobs',
        params,
        'asyncjobs',
        jobs.map((job) => jobView(model, job)),
      );
    },
  ],
];

function paged(model: CloudModel, command: string, params: Params, key: string, items: readonly unknown[]) {
  return page(command, params, key, items, model.parts.settings.pageSize);
}

function listCapabilities(model: CloudModel, _params: Params, { account }: Caller): unknown {
  const { userMayExpungeVm, userMayExpungeVolume } = model.parts.settings;
  const root = account.role === 'root';
  return {
    capability: {
      securitygroupsenabled: false,
      dynamicrolesenabled: true,
      cloudstackversion: '4.20.0.0',
      customdiskofferingminsize: CUSTOM_MIN_GIB,
      customdiskofferingmaxsize: CUSTOM_MAX_GIB,
      kvmsnapshotenabled: false,
      allowuserviewdestroyedvm: root,
      allowuserexpungerecovervm: root || userMayExpungeVm,
      allowuserexpungerecovervolume: root || userMayExpungeVolume,
      defaultuipagesize: 20,
    },
  };
}

/** The real one has an entry for each version of a hypervisor. */
function listHypervisorCapabilities(model: CloudModel, params: Params): unknown {
  const hypervisor = params.get('hypervisor') ?? 'KVM';
  const one = {
    id: '00000000-0000-4000-8000-00000000cafe',
    hypervisorversion: 'default',
    hypervisor,
    maxguestslimit: 50,
    maxdatavolumeslimit: maxDataDisks(hypervisor),
    storagemotionenabled: true,
  };
  return paged(model, 'listHypervisorCapabilities', params, 'hypervisorCapabilities', [one]);
}

/** The commands that the caller's role has. `commands` is all that are simulated. */
export function listApis(commands: Iterable<string>, params: Params, caller: Caller): unknown {
  const wanted = params.get('name')?.toLowerCase();
  const changes = (name: string) => latencyKey(name) !== 'read' && name !== 'deleteVolume';
  const api = [...commands]
    .filter((name) => !isDenied(name, caller) && (wanted === undefined || name.toLowerCase() === wanted))
    .map((name) => ({ name, isasync: changes(name), params: [], response: [] }));
  return api.length === 0 ? {} : { count: api.length, api };
}

function listZones(model: CloudModel, params: Params): unknown {
  const id = params.get('id');
  const wanted = id === undefined ? null : model.inventory.zone('listZones', 'id', id);
  const zones = model.zones.filter(
    (zone) =>
      (wanted === null || zone === wanted) &&
      is(zone.name, params.get('name')) &&
      (params.get('available') !== 'true' || zone.allocationState === 'Enabled'),
  );
  return paged(model, 'listZones', params, 'zone', zones.map(zoneView));
}

function listDiskOfferings(model: CloudModel, params: Params): unknown {
  const id = params.get('id');
  const wanted = id === undefined ? null : model.inventory.offering('listDiskOfferings', 'id', id);
  const offerings = model.offerings.filter(
    (offering) =>
      !model.conditions.hides(offering.id) &&
      (wanted === null || offering === wanted) &&
      is(offering.name, params.get('name')),
  );
  return paged(model, 'listDiskOfferings', params, 'diskoffering', offerings.map(offeringView));
}

/** `name` finds parts of names here, unlike listVolumes. */
function listVirtualMachines(model: CloudModel, params: Params, { account }: Caller): unknown {
  const command = 'listVirtualMachines';
  const wanted = wantedIds(params, (name, id) => model.inventory.vm(command, name, id).id);
  const matches = (vm: Vm) =>
    (wanted === null || wanted.has(vm.id)) &&
    contains(vm.name, params.get('name')) &&
    contains(vm.name, params.get('keyword')) &&
    is(vm.state, params.get('state')) &&
    is(vm.zoneId, params.get('zoneid'));
  const found = model.shownVms(account, scopeOf(command, params)).filter(matches);
  const views = found.map((vm) => vmView(model, vm, account.role === 'root'));
  return paged(model, command, params, 'virtualmachine', views);
}

/** `name` is the whole name, as the database compares it. */
function listVolumes(model: CloudModel, params: Params, { account }: Caller): unknown {
  const command = 'listVolumes';
  const wanted = wantedIds(params, (name, id) => model.inventory.volume(command, name, id).id);
  const zoneId = params.get('zoneid');
  if (zoneId !== undefined) model.inventory.zone(command, 'zoneid', zoneId);
  const vmId = params.get('virtualmachineid');
  if (vmId !== undefined) model.inventory.vm(command, 'virtualmachineid', vmId);
  const name = params.get('name');
  const matches = (volume: Volume) =>
    (wanted === null || wanted.has(volume.id)) &&
    (name === undefined || namesMatch(volume.name, name)) &&
    contains(volume.name, params.get('keyword')) &&
    is(volume.type, params.get('type')) &&
    is(volume.state, params.get('state')) &&
    is(volume.zoneId, zoneId) &&
    is(volume.vmId ?? '', vmId) &&
    is(volume.diskOfferingId ?? '', params.get('diskofferingid')) &&
    hasTag(volume, params.get('tags[0].key'), params.get('tags[0].value'));
  const found = model.shownVolumes(account, scopeOf(command, params)).filter(matches);
  const views = found.map((volume) => volumeView(model, volume, account.role === 'root'));
  return paged(model, command, params, 'volume', views);
}

function hasTag(volume: Volume, key: string | undefined, value: string | undefined): boolean {
  return key === undefined || volume.tags.some((tag) => tag.key === key && tag.value === value);
}

function listSnapshots(model: CloudModel, params: Params, { account }: Caller): unknown {
  const command = 'listSnapshots';
  const wanted = wantedIds(params, (name, id) => model.inventory.snapshot(command, name, id).id);
  const scope = scopeOf(command, params);
  const matches = (snapshot: Snapshot) =>
    snapshot.state !== 'Destroyed' &&
    model.access.sees(account, snapshot, scope) &&
    (wanted === null || wanted.has(snapshot.id)) &&
    is(snapshot.volumeId, params.get('volumeid')) &&
    is(snapshot.name, params.get('name'));
  const found = model.inventory.snapshots.filter(matches);
  return paged(
    model,
    command,
    params,
    'snapshot',
    found.map((one) => snapshotView(model, one)),
  );
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
