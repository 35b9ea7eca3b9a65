import { expect } from 'vitest';
import type { Answer, Conversation } from './conversation';
import { listedAs } from './fields';
import { accepted, conformance, done, empty, failed, gone, hidden, listed, type Row, refused } from './table';

const LIST = { command: 'listVolumes', listall: 'true' };
const attach = (name: string, vm = 'vm') => ({
  command: 'attachVolume',
  id: `$${name}`,
  virtualmachineid: `$${vm}`,
});
const detach = (name: string) => ({ command: 'detachVolume', id: `$${name}` });
const remove = (name: string) => ({ command: 'deleteVolume', id: `$${name}` });
const FREE = { state: 'Ready', type: 'DATADISK', destroyed: false };
const TRASH = { state: 'Destroy', destroyed: true };

const SUCCESS = ({ status, body }: Answer): void => expect([status, body]).toEqual([200, { success: true }]);

function agentFails({ model }: Conversation): void {
  model.faults.add({ command: 'deleteVolume', kind: 'agent-fails' });
}

/** A volume that lies on a storage: attached once and detached. */
const used = (name: string): readonly Row[] => [
  {
    what: `attach ${name}`,
    before: (conversation) => conversation.addVolume(name),
    ask: attach(name),
    answer: accepted,
    job: done,
  },
  { what: `detach ${name}`, ask: detach(name), answer: accepted, job: done, after: { [name]: FREE } },
];

const FAILED: readonly Row[] = [
  ...used('del1'),
  {
    what: 'delete agent fail',
    before: agentFails,
    ask: remove('del1'),
    answer: hidden(4250),
    after: { del1: TRASH },
  },
  { what: 'delete again', ask: remove('del1'), answer: SUCCESS, after: { del1: null } },
  ...used('del2'),
  { what: 'a slow one that fails', before: agentFails, ask: remove('del2'), held: true },
  {
    what: 'while deleting',
    ask: { ...LIST, id: '$del2' },
    answer: listed('volume', 1, { state: 'Expunging', destroyed: false }),
  },
  {
    what: 'delete slow alone',
    ask: remove('del2'),
    release: 'a slow one that fails',
    answer: hidden(4250),
    after: { del2: TRASH },
  },
];

const RIVALS: readonly Row[] = [
  ...used('del3'),
  {
    what: 'the first of two',
    before: (conversation) => {
      agentFails(conversation);
      agentFails(conversation);
    },
    ask: remove('del3'),
    held: true,
  },
  { what: 'the second of two', ask: remove('del3'), held: true },
  { what: 'delete slow with rival', ask: remove('del3'), release: 'the first of two', answer: hidden(4250) },
  {
    what: 'rival delete',
    ask: remove('del3'),
    release: 'the second of two',
    answer: hidden(4250),
    after: { del3: TRASH },
  },
  { what: 'delete of a volume in Destroy', ask: remove('del3'), answer: SUCCESS, after: { del3: null } },
  { what: 'attach a deleted', ask: attach('del3'), answer: gone('Volume') },
];

const DESTROYED: readonly Row[] = [
  ...used('del4'),
  {
    what: 'destroyVolume no expunge',
    ask: { command: 'destroyVolume', id: '$del4', expunge: 'false' },
    answer: accepted,
    job: { ...done, result: { volume: { ...TRASH, jobstatus: 0 } } },
    after: { del4: TRASH },
  },
  {
    what: 'full view after destroyVolume',
    ask: { ...LIST, id: '$del4' },
    answer: listedAs('volume', 'volume', 1, TRASH),
  },
  {
    what: 'list by name of destroyed',
    ask: { ...LIST, name: 'del4', zoneid: '$zone' },
    answer: listed('volume', 1, TRASH),
  },
  {
    what: 'attach destroyed',
    ask: attach('del4'),
    answer: accepted,
    job: failed(431, 'Please specify a volume that is not destroyed.'),
  },
  {
    what: 'detach destroyed',
    ask: detach('del4'),
    answer: accepted,
    job: failed(431, 'The specified volume is not attached to a VM.'),
  },
  { what: 'delete destroyed', ask: remove('del4'), answer: SUCCESS, after: { del4: null } },
];

/**
 * apache/cloudstack#14214: a detach that waited behind other work clears an attachment that came after it.
 */
const STRAGGLER: readonly Row[] = [
  {
    what: 'attach V',
    before: (conversation) => {
      conversation.addVm('testvm', 'plain');
      conversation.addVolume('V');
      conversation.addVolume('W');
    },
    ask: attach('V', 'testvm'),
    answer: accepted,
    job: done,
  },
  { what: 'detach V', ask: detach('V'), answer: accepted },
  { what: 'attach W slow', ask: attach('W', 'testvm'), answer: accepted },
  { what: 'detach V again (straggler)', ask: detach('V'), answer: accepted },
  {
    what: 'detach V (job)',
    ends: 'detach V',
    job: { ...done, result: { volume: FREE } },
    after: { V: FREE },
  },
  {
    what: 'attach V to appliance VM',
    ask: attach('V'),
    answer: accepted,
    job: { ...done, result: { volume: { vmname: 'appliance', deviceid: 1 } } },
    after: { V: { virtualmachineid: '$vm' } },
  },
  { what: 'attach W (job)', ends: 'attach W slow', job: { ...done, result: { volume: { deviceid: 1 } } } },
  {
    what: 'straggler detach (job)',
    ends: 'detach V again (straggler)',
    job: { ...done, result: { volume: FREE } },
  },
  {
    what: 'V after straggler',
    ask: { ...LIST, id: '$V' },
    answer: listedAs('volume', 'volume', 1, FREE),
  },
];

/** The management server is killed in the middle and started again. */
const KILLED: readonly Row[] = [
  ...used('ready'),
  {
    what: 'an attach of a volume on a storage',
    before: (conversation) => {
      conversation.addVm('testvm', 'plain');
      conversation.addVolume('allocated');
    },
    ask: attach('ready'),
    answer: accepted,
    after: { ready: { state: 'Attaching' } },
  },
  {
    what: 'a first attach',
    ask: attach('allocated', 'testvm'),
    answer: accepted,
    after: { allocated: { state: 'Creating' } },
  },
  {
    what: 'a delete',
    before: (conversation) => conversation.addVolume('going', 'plain', 'Ready'),
    ask: remove('going'),
    held: true,
  },
  {
    what: 'kill',
    before: ({ model }) => model.restart(),
    ask: { ...LIST, id: '$going' },
    answer: listed('volume', 1, { state: 'Expunging' }),
    after: {
      ready: FREE,
      allocated: { state: 'Allocated' },
      going: { state: 'Expunging', destroyed: false },
    },
  },
  {
    what: 'query cancelled job',
    before: ({ model, names }) => {
      const job = [...model.jobs.values()].findLast(({ command }) => command === 'AttachVolumeCmd');
      names.set('cancelled', job?.id ?? '');
    },
    ask: { command: 'queryAsyncJobResult', jobid: '$cancelled' },
    answer: ({ body }) => {
      expect(body).toMatchObject({
        jobstatus: 2,
        jobresultcode: 530,
        managementserverid: expect.any(Number),
      });
      expect(body).toHaveProperty('completed');
      for (const key of ['jobresult', 'jobresulttype']) expect(body).not.toHaveProperty(key);
    },
  },
  {
    what: 'resend cancelled job id',
    ask: { ...attach('ready'), customjobid: '$cancelled' },
    answer: hidden(9999),
  },
  {
    what: 'what its client hears',
    ask: remove('going'),
    release: 'a delete',
    answer: hidden(4250),
    after: { going: { state: 'Expunging' } },
  },
  { what: 'delete Expunging again', ask: remove('going'), answer: SUCCESS, after: { going: null } },
  { what: 'delete Expunging again as admin', by: 'admin', ask: remove('going'), answer: gone('Volume') },
];

/** What the recordings do not show, but the state table of the server says. */
const STATES: readonly Row[] = [
  ...['UploadError', 'UploadAbandoned', 'NotUploaded', 'Uploaded'].map(
    (state): Row => ({
      what: `delete in ${state}`,
      before: (conversation) => conversation.addVolume(state, 'plain', state),
      ask: remove(state),
      answer: SUCCESS,
      after: { [state]: null },
    }),
  ),
  ...['Migrating', 'Resizing', 'Copying', 'RevertSnapshotting', 'Restoring'].map(
    (state): Row => ({
      what: `delete in ${state}`,
      before: (conversation) => conversation.addVolume(state, 'plain', state),
      ask: remove(state),
      answer: hidden(4250),
      after: { [state]: { state } },
    }),
  ),
  ...['UploadOp', 'UploadInProgress'].map(
    (state): Row => ({
      what: `delete in ${state}`,
      before: (conversation) => conversation.addVolume(state, 'plain', state),
      ask: remove(state),
      answer: refused(431, 4350, 'Please specify a volume that is not uploading'),
      after: { [state]: { state } },
    }),
  ),
  { what: 'nothing else was made', ask: { ...LIST, name: 'nothing' }, answer: empty },
];

conformance('deletes that fail', [...FAILED, ...RIVALS, ...DESTROYED]);
conformance('a detach that comes late', STRAGGLER);
conformance('a management server that is killed', KILLED);
conformance('deleting in every state', STATES);
