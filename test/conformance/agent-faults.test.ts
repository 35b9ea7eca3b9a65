import { expect } from 'vitest';
import type { FaultKind } from '~/lab/cloudstack/faults';
import type { Conversation } from './conversation';
import { listedAs } from './fields';
import {
  accepted,
  answered,
  conformance,
  done,
  empty,
  failed,
  gone,
  hidden,
  listed,
  type Row,
  refused,
} from './table';

const JOB = 'c0ffee00-0000-4000-8000-00000000a006';
const LIST = { command: 'listVolumes', listall: 'true' };
const attach = (name: string) => ({ command: 'attachVolume', id: `$${name}`, virtualmachineid: '$vm' });
const detach = (name: string) => ({ command: 'detachVolume', id: `$${name}` });
const remove = (name: string) => ({ command: 'deleteVolume', id: `$${name}` });
const TAKEN = refused(431, 4350, `UUID: ${JOB} already exists so can't create/update with custom id`);
const FREE = { state: 'Ready', type: 'DATADISK' };

function breaks(command: string, kind: FaultKind = 'agent-fails', text?: string) {
  return ({ model }: Conversation): void =>
    model.faults.add({ command, kind, ...(text === undefined ? {} : { text }) });
}

const PENDING: readonly Row[] = [
  {
    what: 'attach slow',
    before: (conversation) => conversation.addVolume('fa', 'plain', 'Ready'),
    ask: { ...attach('fa'), customjobid: JOB },
    answer: accepted,
  },
  {
    what: 'resend same customjobid while pending',
    ask: { ...attach('fa'), customjobid: JOB },
    answer: TAKEN,
  },
  {
    what: 'resend same customjobid while pending admin',
    by: 'admin',
    ask: { ...attach('fa'), customjobid: JOB },
    answer: TAKEN,
  },
  {
    what: 'create with customjobid of pending',
    ask: {
      command: 'createVolume',
      name: 'leak-pending',
      zoneid: '$zone',
      diskofferingid: '$custom',
      size: '1',
      customjobid: JOB,
    },
    answer: TAKEN,
  },
  { what: 'and it has left a row', ask: { ...LIST, name: 'leak-pending' }, answer: listed('volume', 1) },
  {
    what: 'volume while attaching',
    ask: { ...LIST, id: '$fa' },
    answer: listedAs('volume of a running job', 'volume', 1, {
      state: 'Attaching',
      jobid: JOB,
      jobstatus: 0,
    }),
  },
  {
    what: 'job while attaching',
    ask: { command: 'queryAsyncJobResult', jobid: JOB },
    answer: (answer) => {
      expect(answer.body).toMatchObject({
        jobstatus: 0,
        jobresultcode: 0,
        managementserverid: expect.any(Number),
      });
      for (const key of ['jobresult', 'jobresulttype', 'completed'])
        expect(answer.body).not.toHaveProperty(key);
    },
  },
  {
    what: 'delete while attaching',
    ask: remove('fa'),
    answer: hidden(4250),
    after: { fa: { state: 'Attaching' } },
  },
  {
    what: 'list by vm while attaching',
    ask: { ...LIST, virtualmachineid: '$vm' },
    answer: listed('volume', 1, { type: 'ROOT' }),
  },
  {
    what: 'listAsyncJobs',
    ask: { command: 'listAsyncJobs', listall: 'true' },
    answer: listedAs('pending job', 'asyncjobs', 1, {
      cmd: 'org.apache.cloudstack.api.command.user.volume.AttachVolumeCmd',
      jobid: JOB,
    }),
  },
  { what: 'attach slow (job)', ends: 'attach slow', job: { ...done, result: { volume: { deviceid: 1 } } } },
  { what: 'detach', ask: detach('fa'), answer: accepted, job: done, after: { fa: FREE } },
];

const AGENT: readonly Row[] = [
  {
    what: 'attach agent fail',
    before: breaks('attachVolume'),
    ask: attach('fa'),
    answer: accepted,
    job: failed(530, 'Failed to attach volume fa to VM appliance due to: Simulated failure'),
  },
  {
    what: 'volume after failed attach',
    ask: { ...LIST, id: '$fa' },
    answer: listedAs('volume', 'volume', 1, FREE),
  },
  {
    what: 'attach agent fault',
    before: breaks('attachVolume', 'agent-fails', 'a class cannot be cast to another'),
    ask: attach('fa'),
    answer: accepted,
    job: failed(530, 'Failed to attach volume fa to VM appliance due to: a class cannot be cast to another'),
  },
  {
    what: 'volume after faulted attach',
    ask: { ...LIST, id: '$fa' },
    answer: listedAs('volume', 'volume', 1, FREE),
  },
  { what: 'attach ok', ask: attach('fa'), answer: accepted, job: done },
  {
    what: 'detach agent fail',
    before: breaks('detachVolume'),
    ask: detach('fa'),
    answer: accepted,
    job: failed(530, 'Failed to detach volume fa from VM appliance; Simulated failure'),
  },
  {
    what: 'volume after failed detach',
    ask: { ...LIST, id: '$fa' },
    answer: listedAs('attached volume', 'volume', 1, { state: 'Ready', deviceid: 1 }),
  },
  {
    what: 'detach agent fault',
    before: breaks('detachVolume', 'agent-fails', 'java.lang.Exception: Simulated fault'),
    ask: detach('fa'),
    answer: accepted,
    job: failed(530, 'Failed to detach volume fa from VM appliance; java.lang.Exception: Simulated fault'),
  },
  {
    what: 'volume after faulted detach',
    ask: { ...LIST, id: '$fa' },
    answer: listed('volume', 1, { state: 'Ready', deviceid: 1 }),
  },
];

const QUEUE: readonly Row[] = [
  { what: 'detach slow', ask: detach('fa'), answer: accepted },
  {
    what: 'volume while detaching',
    ask: { ...LIST, id: '$fa' },
    answer: listed('volume', 1, { state: 'Ready', deviceid: 1, jobstatus: 0 }),
  },
  { what: 'detach while detaching', ask: detach('fa'), answer: accepted },
  {
    what: 'attach other while detaching',
    before: (conversation) => conversation.addVolume('fb', 'plain', 'Ready'),
    ask: attach('fb'),
    answer: accepted,
  },
  { what: 'detach slow (job)', ends: 'detach slow', job: done },
  { what: 'detach while detaching (job)', ends: 'detach while detaching', job: done, after: { fa: FREE } },
  {
    what: 'attach other while detaching (job)',
    ends: 'attach other while detaching',
    job: { ...done, result: { volume: { deviceid: 1 } } },
  },
  { what: 'detach b', ask: detach('fb'), answer: accepted, job: done },
];

const FIRST_ATTACH: readonly Row[] = [
  {
    what: 'attach with create fail',
    before: (conversation) => {
      conversation.addVolume('fc');
      breaks('attachVolume')(conversation);
    },
    ask: attach('fc'),
    answer: accepted,
    job: failed(
      530,
      /^Failed to create volume \[\{"name":"fc","uuid":"[0-9a-f-]{36}"\}\] due to \[Simulated failure\]\.$/,
    ),
  },
  {
    what: 'volume after create fail',
    ask: { ...LIST, id: '$fc' },
    answer: listedAs('volume', 'volume', 1, { state: 'Allocated' }),
  },
  {
    what: 'attach with create slow',
    before: (conversation) => conversation.addVolume('fd'),
    ask: attach('fd'),
    answer: accepted,
  },
  {
    what: 'volume while creating',
    ask: { ...LIST, id: '$fd' },
    answer: listedAs('volume of a running job', 'volume', 1, { state: 'Creating', jobstatus: 0 }),
  },
  {
    what: 'delete while creating',
    before: ({ model }) => {
      // The delete is quicker than the disk that is being made.
      model.latencies.remove = { accept: 0, job: 10 };
    },
    ask: remove('fd'),
    answer: answered('success'),
  },
  {
    what: 'attach with create slow (job)',
    ends: 'attach with create slow',
    job: failed(
      530,
      'InvocationTargetException when invoking RPC callback for command: createVolumeCallback',
    ),
  },
  { what: 'detach d', ask: detach('fd'), answer: gone('Volume') },
  { what: 'delete agent fail', ask: remove('fd'), answer: gone('Volume') },
  { what: 'volume after delete fail', ask: { ...LIST, id: '$fd' }, answer: empty },
  { what: 'volume after delete fail admin', by: 'admin', ask: { ...LIST, id: '$fd' }, answer: empty },
  { what: 'delete again after fail', ask: remove('fd'), answer: gone('Volume') },
  { what: 'volume after second delete', ask: { ...LIST, id: '$fd' }, answer: empty },
];

const RIVALS: readonly Row[] = [
  {
    what: 'attach e',
    before: (conversation) => conversation.addVolume('fe'),
    ask: attach('fe'),
    answer: accepted,
    job: done,
  },
  { what: 'detach e', ask: detach('fe'), answer: accepted, job: done },
  {
    what: 'two deletes, and an agent that fails both',
    before: (conversation) => {
      for (const _ of ['first', 'second']) breaks('deleteVolume')(conversation);
    },
    ask: remove('fe'),
    held: true,
  },
  {
    what: 'volume while deleting',
    ask: { ...LIST, id: '$fe' },
    answer: listedAs('volume', 'volume', 1, { state: 'Expunging', destroyed: false }),
  },
  {
    what: 'volume while deleting admin',
    by: 'admin',
    ask: { ...LIST, id: '$fe' },
    answer: listed('volume', 1, { state: 'Expunging', destroyed: false }),
  },
  { what: 'the second', ask: remove('fe'), held: true },
  {
    what: 'delete slow',
    ask: remove('fe'),
    release: 'two deletes, and an agent that fails both',
    answer: hidden(4250),
  },
  { what: 'delete while deleting', ask: remove('fe'), release: 'the second', answer: hidden(4250) },
  {
    what: 'volume after slow delete',
    ask: { ...LIST, id: '$fe' },
    answer: listedAs('volume', 'volume', 1, { state: 'Destroy', destroyed: true }),
  },
];

/** What fails now and may work later. */
const passing = (kind: FaultKind, code: number, text: string | RegExp, command = 'attachVolume'): Row => ({
  what: `${kind}: ${code}`,
  before: breaks(command, kind),
  ask: command === 'attachVolume' ? attach('fc') : detach('fc'),
  answer: accepted,
  job: failed(code, text),
});

const TRANSIENT: readonly Row[] = [
  passing(
    'no-storage',
    530,
    /^Unable to find suitable primary storage when creating volume \[\{"name":"fc","uuid":"[0-9a-f-]{36}"\}\]\.$/,
  ),
  passing(
    'no-endpoint',
    530,
    /^Failed to create volume \[\{"name":"fc".*\}\] due to \[No remote endpoint to send command, unable to find a valid endpoint/,
  ),
  passing('vm-busy', 431, 'Please specify a VM that is either running or stopped.'),
  { what: 'and then it works', ask: attach('fc'), answer: accepted, job: done },
  passing(
    'not-scheduled',
    530,
    'Unable to schedule async job for command com.cloud.vm.VmWorkDetachVolume, unexpected exception.',
    'detachVolume',
  ),
];

conformance('agents that are slow or fail', [
  ...PENDING,
  ...AGENT,
  ...QUEUE,
  ...FIRST_ATTACH,
  ...RIVALS,
  ...TRANSIENT,
]);
