import type { CloudModel } from './model';
import type { DiskOffering, Job, JobResult, Vm, Volume, Zone } from './records';

/** Objects as the API shows them. A field that is `undefined` is left out: the server never writes null. */
type View = Record<string, unknown>;

const DOMAIN = {
  account: 'admin',
  domain: 'ROOT',
  domainid: '33333333-3333-4333-8333-333333333333',
} as const;

/** `2024-11-04T09:00:00+0000`, as the server writes dates. */
function date(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, '+0000');
}

export function zoneView(zone: Zone): View {
  return {
    id: zone.id,
    name: zone.name,
    networktype: 'Advanced',
    securitygroupsenabled: false,
    allocationstate: zone.allocationState,
    localstorageenabled: false,
    tags: [],
    type: 'Core',
    hasannotations: false,
  };
}

export function offeringView(offering: DiskOffering): View {
  return {
    id: offering.id,
    name: offering.name,
    displaytext: offering.name,
    disksize: offering.sizeGiB,
    iscustomized: offering.customized,
    iscustomizediops: false,
    storagetype: 'shared',
    provisioningtype: 'thin',
    displayoffering: true,
    encrypt: false,
    disksizestrictness: false,
    state: 'Active',
  };
}

export function vmView(vm: Vm): View {
  return {
    id: vm.id,
    name: vm.name,
    displayname: vm.name,
    state: vm.state,
    zoneid: vm.zoneId,
    hypervisor: vm.hypervisor,
    instancename: `i-2-${vm.internalId}-VM`,
    rootdeviceid: 0,
    haenable: false,
    ...DOMAIN,
  };
}

export function volumeView(model: CloudModel, volume: Volume): View {
  const vm = model.vms.find(({ id }) => id === volume.vmId);
  const shown = volume.state === 'Destroy' ? undefined : vm;
  const offering = model.offerings.find(({ id }) => id === volume.diskOfferingId);
  const zone = model.zones.find(({ id }) => id === volume.zoneId);
  const made = volume.state !== 'Allocated' && volume.state !== 'Creating';
  return {
    id: volume.id,
    name: volume.name,
    zoneid: volume.zoneId,
    zonename: zone?.name,
    type: volume.type,
    deviceid: volume.deviceId ?? undefined,
    virtualmachineid: shown?.id,
    vmname: shown?.name,
    vmdisplayname: shown?.name,
    vmstate: shown?.state,
    provisioningtype: 'thin',
    size: volume.size,
    created: date(volume.created),
    state: volume.state,
    ...DOMAIN,
    storagetype: 'shared',
    hypervisor: made ? (vm?.hypervisor ?? 'KVM') : 'None',
    diskofferingid: offering?.id,
    diskofferingname: offering?.name,
    diskofferingdisplaytext: offering?.name,
    storage: made ? 'primary-1' : undefined,
    path: made ? volume.id : undefined,
    attached: volume.attached === null ? undefined : date(volume.attached),
    destroyed: ['Destroy', 'Expunging', 'Expunged'].includes(volume.state),
    isextractable: true,
    displayvolume: true,
    quiescevm: false,
    supportsstoragesnapshot: false,
    deleteprotection: volume.deleteProtection,
    tags: [],
    hasannotations: false,
    jobid: volume.jobId ?? undefined,
    jobstatus: volume.jobId === null ? undefined : 0,
  };
}

/** The answer to queryAsyncJobResult, and an item of listAsyncJobs. */
export function jobView(model: CloudModel, job: Job): View {
  const { result } = job;
  return {
    accountid: '11111111-1111-4111-8111-111111111111',
    ...DOMAIN,
    domainpath: 'ROOT',
    userid: '22222222-2222-4222-8222-222222222222',
    cmd: `org.apache.cloudstack.api.command.admin.${job.instanceType === 'Volume' ? 'volume' : 'vm'}.${job.command}ByAdmin`,
    jobstatus: job.status,
    jobprocstatus: 0,
    jobresultcode: job.resultCode,
    jobresulttype: result === null ? undefined : 'object',
    jobresult: result === null ? undefined : resultView(model, job, result),
    jobinstancetype: job.instanceType,
    jobinstanceid: job.instanceId === '' ? undefined : job.instanceId,
    created: date(job.created),
    completed: job.completed === null ? undefined : date(job.completed),
    jobid: job.id,
  };
}

/** A failed job has neither `cserrorcode` nor `uuidList`; a volume inside a result still shows the job as running. */
function resultView(model: CloudModel, job: Job, result: JobResult): View {
  switch (result.kind) {
    case 'volume':
      return { volume: { ...volumeView(model, result.volume), jobid: job.id, jobstatus: 0 } };
    case 'vm':
      return { virtualmachine: { ...vmView(result.vm), jobid: job.id, jobstatus: 0 } };
    case 'error':
      return { errorcode: result.code, errortext: result.text };
    default:
      return result satisfies never;
  }
}
