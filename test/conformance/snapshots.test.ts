import { expect } from 'vitest';
import { listedAs } from './fields';
import {
  accepted,
  answered,
  conformance,
  created,
  done,
  empty,
  failed,
  listed,
  noSuch,
  type Row,
  refused,
} from './table';

const GIB = 1024 ** 3;
const LIST = { command: 'listVolumes', listall: 'true' };
const attach = (name: string) => ({ command: 'attachVolume', id: `$${name}`, virtualmachineid: '$vm' });
const detach = (name: string) => ({ command: 'detachVolume', id: `$${name}` });
const byId = (command: string, name: string, more: Record<string, string> = {}) => ({
  command,
  id: `$${name}`,
  ...more,
});
const NOT_READY = refused(
  431,
  4350,
  /^VolumeId: \d+ is not in Ready state but Allocated\. Cannot take snapshot\.$/,
);

const VM_SNAPSHOTS: readonly Row[] = [
  {
    what: 'createVMSnapshot',
    before: (conversation) => conversation.addVolume('snapv'),
    ask: { command: 'createVMSnapshot', virtualmachineid: '$vm', name: 's1' },
    answer: created,
    keep: 'vmsnapshot',
    job: { ...done, result: { vmsnapshot: { state: 'Ready', virtualmachinename: 'appliance' } } },
  },
  {
    what: 'attach to a vm with a vm snapshot',
    ask: attach('snapv'),
    answer: accepted,
    job: failed(
      431,
      /^Unable to attach volume to VM i-3-\d+-VM\/[0-9a-f-]{36}, please specify a VM that does not have VM snapshots$/,
    ),
  },
  {
    what: 'delete vm snapshot',
    ask: { command: 'deleteVMSnapshot', vmsnapshotid: '$vmsnapshot' },
    answer: accepted,
    job: { ...done, result: { success: true } },
  },
];

const SNAPSHOTS: readonly Row[] = [
  { what: 'attach', ask: attach('snapv'), answer: accepted, job: done },
  {
    what: 'createSnapshot',
    ask: { command: 'createSnapshot', volumeid: '$snapv' },
    answer: created,
    after: { snapv: { state: 'Snapshotting', virtualmachineid: '$vm' } },
  },
  {
    what: 'detach while snapshotting',
    ask: detach('snapv'),
    answer: accepted,
    job: { ...done, result: { volume: { type: 'DATADISK' } } },
  },
  {
    what: 'snapshot (job)',
    ends: 'createSnapshot',
    job: { ...done, result: { snapshot: { state: 'BackedUp' } } },
    after: { snapv: { state: 'Ready' } },
  },
  { what: 'attach again', ask: attach('snapv'), answer: accepted, job: done },
  {
    what: 'snapshot of an attached volume',
    ask: { command: 'createSnapshot', volumeid: '$snapv', name: 'before-failover' },
    answer: created,
    keep: 'snapshot',
    job: {
      ...done,
      result: {
        snapshot: { name: 'before-failover', state: 'BackedUp', snapshottype: 'MANUAL', virtualsize: GIB },
      },
    },
    after: { snapv: { state: 'Ready', virtualmachineid: '$vm' } },
  },
  {
    what: 'list snapshots',
    ask: { command: 'listSnapshots', volumeid: '$snapv', name: 'before-failover', listall: 'true' },
    answer: listedAs('snapshot', 'snapshot', 1, {
      name: 'before-failover',
      state: 'BackedUp',
      account: 'plain',
    }),
  },
  {
    what: 'revert while attached to a running vm',
    ask: byId('revertSnapshot', 'snapshot'),
    answer: accepted,
    job: failed(431, 'The VM the specified disk is attached to is not in the shutdown state.'),
  },
  {
    what: 'resize attached',
    ask: byId('resizeVolume', 'snapv', { size: '2' }),
    answer: accepted,
    after: { snapv: { state: 'Resizing', virtualmachineid: '$vm' } },
  },
  {
    what: 'resize attached (job)',
    ends: 'resize attached',
    job: { ...done, result: { volume: { size: 2 * GIB, state: 'Ready', deviceid: 1 } } },
    after: { snapv: { size: 2 * GIB, state: 'Ready' } },
  },
  { what: 'detach', ask: detach('snapv'), answer: accepted, job: done },
  {
    what: 'revert detached',
    ask: byId('revertSnapshot', 'snapshot'),
    answer: accepted,
    job: failed(
      530,
      /^Revert snapshot command failed for snapshot with id \d+, because this command is supported only for KVM hypervisor$/,
    ),
    after: { snapv: { state: 'Ready', size: 2 * GIB } },
  },
  {
    what: 'volume from snapshot',
    ask: { command: 'createVolume', name: 'from-snap', snapshotid: '$snapshot', zoneid: '$zone' },
    answer: created,
    keep: 'copy',
    job: { ...done, result: { volume: { state: 'Ready', size: GIB, diskofferingname: 'Custom' } } },
    after: { copy: { snapshotid: '$snapshot' } },
  },
  {
    what: 'shrink',
    ask: byId('resizeVolume', 'snapv', { size: '1' }),
    answer: accepted,
    job: failed(
      432,
      `Going from existing size of ${2 * GIB} to size of ${GIB} would shrink the volume.Need to sign off by supplying the shrinkok parameter with value of true.`,
    ),
  },
  {
    what: 'shrink with shrinkok',
    ask: byId('resizeVolume', 'snapv', { size: '1', shrinkok: 'true' }),
    answer: accepted,
    job: failed(
      530,
      /^Failed to resize volume operation of volume UUID: \[[0-9a-f-]{36}\] due to - Failed to resize$/,
    ),
    after: { snapv: { size: 2 * GIB, state: 'Ready' } },
  },
  {
    what: 'a resize that the agent fails',
    before: ({ model }) =>
      model.faults.add({ command: 'resizeVolume', kind: 'agent-fails', text: 'a class cannot be cast' }),
    ask: byId('resizeVolume', 'snapv', { size: '3' }),
    answer: accepted,
    job: failed(
      530,
      /^Failed to resize volume operation of volume UUID: \[.*\] due to - a class cannot be cast$/,
    ),
    after: { snapv: { size: 2 * GIB } },
  },
  {
    what: 'delete volume with snapshots',
    ask: byId('deleteVolume', 'snapv'),
    answer: answered('success'),
    after: { snapv: null },
  },
  {
    what: 'list snapshots of a deleted volume',
    ask: byId('listSnapshots', 'snapshot', { listall: 'true' }),
    answer: listed('snapshot', 1, { state: 'BackedUp' }),
  },
  {
    what: 'delete snapshot',
    ask: byId('deleteSnapshot', 'snapshot'),
    answer: accepted,
    job: { ...done, result: { success: true } },
  },
  {
    what: 'delete snapshot again',
    ask: byId('deleteSnapshot', 'snapshot'),
    answer: accepted,
    job: failed(431, /^Snapshot with id: \d+ is already destroyed$/),
  },
  {
    what: 'snapshot of a deleted volume',
    ask: { command: 'createSnapshot', volumeid: '$snapv' },
    answer: refused(431, 4350, /^Unable to find volume by id=\d+$/),
  },
  {
    what: 'snapshot of what never was',
    ask: { command: 'createSnapshot', volumeid: '$never' },
    answer: noSuch('volumeid'),
  },
];

const JOB = 'c0ffee00-0000-4000-8000-00000000a023';
const TAG = { 'tags[0].key': 'volume-daemon', 'tags[0].value': 'op-1' };

const ALLOCATED: readonly Row[] = [
  {
    what: 'snapshot of an allocated volume',
    before: (conversation) => conversation.addVolume('asyncsnap'),
    ask: { command: 'createSnapshot', volumeid: '$asyncsnap' },
    answer: NOT_READY,
  },
  ...['snapshot with customjobid', 'the same customjobid'].map(
    (what): Row => ({
      what,
      ask: { command: 'createSnapshot', volumeid: '$asyncsnap', customjobid: JOB },
      answer: NOT_READY,
    }),
  ),
  {
    what: 'tag a volume',
    ask: { command: 'createTags', resourceids: '$asyncsnap', resourcetype: 'Volume', ...TAG },
    answer: accepted,
    job: { ...done, result: { success: true } },
  },
  {
    what: 'list by tag',
    ask: { ...LIST, ...TAG },
    answer: listed('volume', 1, {
      name: 'asyncsnap',
      tags: [{ key: 'volume-daemon', value: 'op-1', resourcetype: 'Volume', account: 'plain' }].map((tag) =>
        expect.objectContaining(tag),
      ),
    }),
  },
  {
    what: 'rename',
    ask: byId('updateVolume', 'asyncsnap', { name: 'renamed' }),
    answer: refused(432, 9999, /^The API \[updateVolume\] does not exist/, 'errorresponse'),
  },
  {
    what: 'destroy',
    ask: byId('destroyVolume', 'asyncsnap', { expunge: 'false' }),
    answer: accepted,
    job: failed(431, 'The volume in Allocated/Uploaded state can only be expunged not destroyed/recovered'),
    after: { asyncsnap: { state: 'Allocated' } },
  },
  {
    what: 'recover',
    ask: byId('recoverVolume', 'asyncsnap'),
    answer: refused(431, 4350, 'Please specify a volume in Destroy state.'),
    after: { asyncsnap: { state: 'Allocated' } },
  },
  {
    what: 'destroy with expunge',
    ask: byId('destroyVolume', 'asyncsnap', { expunge: 'true' }),
    answer: accepted,
    job: { ...done, result: { volume: { state: 'Destroy', destroyed: true } } },
    after: { asyncsnap: null },
  },
];

const TRASH: readonly Row[] = [
  {
    what: 'into the trash',
    before: (conversation) => conversation.addVolume('kept', 'plain', 'Ready'),
    ask: byId('destroyVolume', 'kept', { expunge: 'false' }),
    answer: accepted,
    job: done,
    after: { kept: { state: 'Destroy', destroyed: true } },
  },
  {
    what: 'and back',
    ask: byId('recoverVolume', 'kept'),
    answer: answered('volume'),
    after: { kept: { state: 'Ready', destroyed: false } },
  },
  { what: 'as if nothing had been', ask: attach('kept'), answer: accepted, job: done },
  {
    what: 'not while it is attached',
    ask: byId('destroyVolume', 'kept', { expunge: 'false' }),
    answer: accepted,
    job: failed(431, 'Please specify a volume that is not attached to any VM.'),
  },
  {
    what: 'no snapshot is left',
    ask: { command: 'listSnapshots', name: 'before-failover', listall: 'true' },
    answer: empty,
  },
];

conformance('snapshots and sizes', [...VM_SNAPSHOTS, ...SNAPSHOTS]);
conformance('tags and the trash', [...ALLOCATED, ...TRASH]);
