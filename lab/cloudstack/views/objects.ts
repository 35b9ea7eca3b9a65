import { instanceName } from '../actions/attach';
import type { CloudModel } from '../model';
import type { DiskOffering, Snapshot, Vm, Volume, Zone } from '../records';
import { DOMAIN_ID } from '../state/accounts';

/** Objects as the API shows them. A field that is `undefined` is left out: the server never writes null. */
export type View = Record<string, unknown>;

const DOMAIN = { domainid: DOMAIN_ID, domain: 'ROOT', domainpath: '/' } as const;

/** `2024-11-04T09:00:00+0000`, as the server writes dates. */
export function date(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, '+0000');
}

/** What belongs to a project names the project instead of an account. */
function ownerView(model: CloudModel, accountId: string): View {
  const { name, project } = model.accounts.require(accountId);
  return { ...(project ? { projectid: project.id, project: name } : { account: name }), ...DOMAIN };
}

export function zoneView(zone: Zone): View {
  return {
    id: zone.id,
    name: zone.name,
    networktype: 'Advanced',
    securitygroupsenabled: false,
    allocationstate: zone.allocationState,
    zonetoken: `6a8a87e6-ab37-3360-89ae-${String(zone.internalId).padStart(12, '0')}`,
    dhcpprovider: 'VirtualRouter',
    localstorageenabled: false,
    tags: [],
    allowuserspecifyvrmtu: false,
    routerprivateinterfacemaxmtu: 1500,
    routerpublicinterfacemaxmtu: 1500,
    type: 'Core',
    isnsxenabled: false,
    ismultiarch: false,
    asnrange: '',
    hasannotations: false,
  };
}

export function offeringView(offering: DiskOffering): View {
  return {
    id: offering.id,
    name: offering.name,
    state: 'Active',
    displaytext: offering.name,
    disksize: offering.sizeGiB,
    created: '2024-11-04T09:00:00+0000',
    iscustomized: offering.customized,
    storagetype: 'shared',
    provisioningtype: 'thin',
    displayoffering: true,
    disksizestrictness: false,
    encrypt: false,
    hasannotations: false,
  };
}

/** `full`: to a root administrator, who sees the host too. */
export function vmView(model: CloudModel, vm: Vm, full: boolean): View {
  const owner = model.accounts.require(vm.accountId);
  return {
    id: vm.id,
    name: vm.name,
    displayname: vm.name,
    ...ownerView(model, vm.accountId),
    userid: owner.userId,
    username: owner.name,
    created: date(vm.created),
    lastupdated: date(vm.created),
    state: vm.state,
    haenable: false,
    zoneid: vm.zoneId,
    zonename: zoneName(model, vm.zoneId),
    ...(full
      ? { hostid: '44444444-4444-4444-8444-444444444444', hostname: 'host-1', displayvm: true }
      : { readonlydetails: 'dataDiskController, rootDiskController' }),
    instancename: full ? instanceName(model, vm) : undefined,
    hostcontrolstate: 'Enabled',
    guestosid: '55555555-5555-4555-8555-555555555555',
    securitygroup: [],
    nic: [],
    hypervisor: vm.hypervisor,
    details: {},
    affinitygroup: [],
    isdynamicallyscalable: false,
    deleteprotection: false,
    ostypeid: '55555555-5555-4555-8555-555555555555',
    osdisplayname: 'Debian GNU/Linux 12 (64-bit)',
    pooltype: 'NetworkFilesystem',
    receivedbytes: 0,
    sentbytes: 0,
    tags: [],
    hasannotations: false,
  };
}

/** `full`: to a root administrator, who sees the storage too. */
export function volumeView(model: CloudModel, volume: Volume, full: boolean): View {
  const vm = model.vms.find(({ id }) => id === volume.vmId);
  const offering = model.offerings.find(({ id }) => id === volume.diskOfferingId);
  const disk = volume.type === 'DATADISK';
  return {
    id: volume.id,
    name: volume.name,
    zoneid: volume.zoneId,
    zonename: zoneName(model, volume.zoneId),
    type: volume.type,
    deviceid: volume.deviceId ?? undefined,
    ...(vm && volume.state !== 'Destroy' ? holderView(vm) : {}),
    ...(disk ? {} : TEMPLATE),
    provisioningtype: 'thin',
    size: volume.size,
    created: date(volume.created),
    state: volume.state,
    ...ownerView(model, volume.accountId),
    diskofferingid: offering?.id,
    diskofferingname: offering?.name,
    diskofferingdisplaytext: offering?.name,
    snapshotid: volume.snapshotId ?? undefined,
    attached: volume.attached === null ? undefined : date(volume.attached),
    destroyed: volume.state === 'Destroy',
    isextractable: disk,
    quiescevm: false,
    supportsstoragesnapshot: false,
    deleteprotection: volume.deleteProtection,
    ...(full ? storageView(volume) : {}),
    tags: volume.tags.map((tag) => tagView(model, volume, tag)),
    hasannotations: false,
    jobid: volume.jobId ?? undefined,
    jobstatus: volume.jobId === null ? undefined : 0,
  };
}

const TEMPLATE = {
  templateid: '66666666-6666-4666-8666-666666666666',
  templatename: 'Debian 12',
  templatedisplaytext: 'Debian 12',
  serviceofferingid: '1',
  serviceofferingname: 'Small Instance',
  serviceofferingdisplaytext: 'Small Instance',
} as const;

function holderView(vm: Vm): View {
  const running = vm.state === 'Running';
  return {
    virtualmachineid: vm.id,
    vmname: vm.name,
    vmdisplayname: vm.name,
    vmstate: vm.state,
    vmtype: 'User',
    ...(running ? { diskkbsread: 0, diskkbswrite: 0, diskioread: 0, diskiowrite: 0 } : {}),
  };
}

/** Nothing lies on a storage before the first attach. */
function storageView({ id, hypervisor, state }: Volume): View {
  const made = hypervisor !== null && state !== 'Allocated' && state !== 'Creating';
  return {
    storagetype: 'shared',
    hypervisor: made ? hypervisor : 'None',
    displayvolume: true,
    ...(made ? { storage: 'primary-1', storageid: '77777777-7777-4777-8777-777777777777', path: id } : {}),
  };
}

function tagView(model: CloudModel, volume: Volume, { key, value }: { key: string; value: string }): View {
  const { domainpath, ...owner } = ownerView(model, volume.accountId);
  return { key, value, resourcetype: 'Volume', resourceid: volume.id, ...owner };
}

export function snapshotView(model: CloudModel, snapshot: Snapshot): View {
  const volume = model.volumes.find(({ id }) => id === snapshot.volumeId);
  return {
    id: snapshot.id,
    ...ownerView(model, snapshot.accountId),
    volumeid: snapshot.volumeId,
    volumename: volume?.name,
    volumetype: volume?.type,
    volumestate: volume?.state,
    created: date(snapshot.created),
    name: snapshot.name,
    intervaltype: 'MANUAL',
    state: snapshot.state,
    physicalsize: 0,
    zoneid: volume?.zoneId,
    zonename: volume && zoneName(model, volume.zoneId),
    revertable: volume?.hypervisor === 'KVM',
    virtualsize: snapshot.size,
    tags: [],
    hasannotations: false,
  };
}

export function vmSnapshotView(model: CloudModel, id: string, vm: Vm): View {
  return {
    id,
    name: `${instanceName(model, vm)}_VS_1`,
    state: 'Ready',
    zoneid: vm.zoneId,
    zonename: zoneName(model, vm.zoneId),
    virtualmachineid: vm.id,
    virtualmachinename: vm.name,
    current: true,
    type: 'Disk',
    ...ownerView(model, vm.accountId),
    hypervisor: vm.hypervisor,
    tags: [],
    hasannotations: false,
  };
}

function zoneName(model: CloudModel, zoneId: string): string | undefined {
  return model.zones.find(({ id }) => id === zoneId)?.name;
}
