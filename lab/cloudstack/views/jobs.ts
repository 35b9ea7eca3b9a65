import type { CloudModel } from '../model';
import type { Job, JobResult } from '../records';
import { DOMAIN_ID } from '../state/accounts';
import { date, snapshotView, type View, vmSnapshotView, vmView, volumeView } from './objects';

/**
 * The answer to queryAsyncJobResult, and an item of listAsyncJobs. The management server is named as long as
 * the job is not ended by it: a job that a restart ended keeps the name.
 */
export function jobView(model: CloudModel, job: Job): View {
  const { result } = job;
  const { id, name, role, userId } = model.accounts.require(job.accountId);
  const named = job.instanceId !== '' || job.instanceType === 'VmSnapshot';
  return {
    accountid: id,
    account: name,
    domainid: DOMAIN_ID,
    domainpath: 'ROOT',
    userid: userId,
    cmd: className(job, role === 'root'),
    jobstatus: job.status,
    jobprocstatus: 0,
    jobresultcode: job.resultCode,
    jobresulttype: result === null ? undefined : 'object',
    jobresult: result === null ? undefined : resultView(model, job, result, role === 'root'),
    jobinstancetype: named ? job.instanceType : undefined,
    jobinstanceid: job.instanceId === '' ? undefined : job.instanceId,
    managementserverid: result === null ? 3281355014145 : undefined,
    created: date(job.created),
    completed: job.completed === null ? undefined : date(job.completed),
    jobid: job.id,
  };
}

/** The classes of volumes and VMs have a second one for root administrators. */
function className({ command, instanceType }: Job, root: boolean): string {
  const twice = (folder: string) =>
    root ? `admin.${folder}.${command}ByAdmin` : `user.${folder}.${command}`;
  const path = () => {
    if (command === 'CreateTagsCmd') return `user.tag.${command}`;
    switch (instanceType) {
      case 'Volume':
        return twice('volume');
      case 'VirtualMachine':
        return twice('vm');
      case 'Snapshot':
        return `user.snapshot.${command}`;
      case 'VmSnapshot':
        return `user.vmsnapshot.${command}`;
      default:
        return instanceType satisfies never;
    }
  };
  return `org.apache.cloudstack.api.command.${path()}`;
}

/**
 * A failed job has neither `cserrorcode` nor `uuidList`; an object inside a result still shows the job as
 * running.
 */
function resultView(model: CloudModel, job: Job, result: JobResult, full: boolean): View {
  const running = { jobid: job.id, jobstatus: 0 };
  switch (result.kind) {
    case 'volume':
      return { volume: { ...volumeView(model, result.volume, full), ...running } };
    case 'vm':
      return { virtualmachine: { ...vmView(model, result.vm, full), ...running } };
    case 'snapshot':
      return { snapshot: { ...snapshotView(model, result.snapshot), snapshottype: 'MANUAL' } };
    case 'vm-snapshot':
      return { vmsnapshot: vmSnapshotView(model, result.id, result.vm) };
    case 'success':
      return { success: true };
    case 'expunged':
      return { null: { securitygroup: [], nic: [], affinitygroup: [], deleteprotection: false, tags: [] } };
    case 'error':
      return { errorcode: result.code, errortext: result.text };
    default:
      return result satisfies never;
  }
}
