import { expect } from 'vitest';
import { listedAs } from './fields';
import {
  accepted,
  conformance,
  created,
  done,
  empty,
  failed,
  listed,
  NOT_YOURS,
  noSuch,
  type Row,
  refused,
} from './table';

const VOLUMES = { command: 'listVolumes', listall: 'true' };
const VM = { command: 'listVirtualMachines', id: '$projvm', listall: 'true', details: 'min' };

const PROJECT: readonly Row[] = [
  {
    what: 'project vm by id, listall',
    before: (conversation) => {
      const project = conversation.model.accounts.addProject('proj', ['plain']);
      conversation.names.set('project', project.project?.id ?? '');
      conversation.addVm('projvm', 'proj');
      conversation.addVolume('projvol', 'proj');
    },
    ask: VM,
    answer: empty,
  },
  {
    what: 'project vm by id, listall admin',
    by: 'admin',
    ask: VM,
    answer: listed('virtualmachine', 1, { name: 'projvm', project: 'proj', projectid: expect.any(String) }),
  },
  {
    what: 'project vm projectid=-1',
    ask: { ...VM, projectid: '-1' },
    answer: (answer) => {
      listed('virtualmachine', 1, { project: 'proj', domain: 'ROOT' })(answer);
      expect(answer.items('virtualmachine')[0]).not.toHaveProperty('account');
    },
  },
  { what: 'project volume by id, listall', ask: { ...VOLUMES, id: '$projvol' }, answer: empty },
  {
    what: 'project volume by id, listall admin',
    by: 'admin',
    ask: { ...VOLUMES, id: '$projvol' },
    answer: listed('volume', 1, { project: 'proj' }),
  },
  {
    what: 'project volume projectid=-1',
    ask: { ...VOLUMES, id: '$projvol', projectid: '-1' },
    answer: listedAs('volume of a project', 'volume', 1, { project: 'proj', projectid: expect.any(String) }),
  },
  { what: 'project volumes by vm', ask: { ...VOLUMES, virtualmachineid: '$projvm' }, answer: empty },
  {
    what: 'project volumes paged all',
    ask: { ...VOLUMES, name: 'projvol', page: '1', pagesize: '500' },
    answer: empty,
  },
  {
    what: 'account volume to project vm',
    before: (conversation) => conversation.addVolume('own'),
    ask: { command: 'attachVolume', id: '$own', virtualmachineid: '$projvm' },
    answer: accepted,
    job: failed(530, /^Entity VM instance \{.*\} and entity .* belong to different accounts$/),
  },
  {
    what: 'project volume still there',
    ask: { command: 'listVolumes', id: '$projvol', projectid: '-1' },
    answer: listed('volume', 1, { state: 'Allocated' }),
  },
  {
    what: 'projectid=-1 shows what is in no project, too',
    ask: { ...VOLUMES, type: 'DATADISK', projectid: '-1' },
    answer: listed('volume', 2),
  },
  {
    what: 'the project alone',
    ask: { ...VOLUMES, type: 'DATADISK', projectid: '$project' },
    answer: listed('volume', 1, { name: 'projvol' }),
  },
  { what: 'a project that never was', ask: { ...VOLUMES, projectid: '$never' }, answer: noSuch('projectid') },
  {
    what: 'somebody who is no member',
    by: 'other',
    ask: { command: 'deleteVolume', id: '$projvol' },
    answer: NOT_YOURS,
  },
  {
    what: 'a volume made in the project',
    ask: {
      command: 'createVolume',
      name: 'made',
      zoneid: '$zone',
      diskofferingid: '$small',
      projectid: '$project',
    },
    answer: created,
    keep: 'made',
    job: done,
    after: { made: { project: 'proj' } },
  },
  {
    what: 'goes to the VM of the project',
    ask: { command: 'attachVolume', id: '$made', virtualmachineid: '$projvm' },
    answer: accepted,
    job: done,
    after: { made: { virtualmachineid: '$projvm' } },
  },
];

const PROTECTION: readonly Row[] = [
  {
    what: 'updateVolume deleteprotection',
    before: (conversation) => conversation.addVolume('protected'),
    ask: { command: 'updateVolume', id: '$protected', deleteprotection: 'true' },
    answer: refused(
      432,
      9999,
      /^The API \[updateVolume\] does not exist or is not available for the account Account \[\{"accountName":"plain",.*\}\]\.$/,
      'errorresponse',
    ),
  },
  {
    what: 'updateVolume deleteprotection (admin)',
    by: 'admin',
    ask: { command: 'updateVolume', id: '$protected', deleteprotection: 'true' },
    answer: accepted,
    job: { ...done, result: { volume: { deleteprotection: true } } },
  },
  {
    what: 'protected view',
    ask: { ...VOLUMES, id: '$protected' },
    answer: listedAs('volume', 'volume', 1, { deleteprotection: true }),
  },
  {
    what: 'delete protected raw',
    ask: { command: 'deleteVolume', id: '$protected' },
    answer: refused(
      431,
      4350,
      /^Volume \[id = [0-9a-f-]{36}, name = protected\] has delete protection enabled and cannot be deleted\.$/,
    ),
  },
  {
    what: 'unprotect',
    by: 'admin',
    ask: { command: 'updateVolume', id: '$protected', deleteprotection: 'false' },
    answer: accepted,
    job: { ...done, result: { volume: { deleteprotection: false } } },
  },
  {
    what: 'delete unprotected',
    ask: { command: 'deleteVolume', id: '$protected' },
    after: { protected: null },
  },
  {
    what: 'updateVolume customid',
    by: 'admin',
    before: (conversation) => {
      conversation.addVolume('renumbered', 'plain', 'Ready');
      conversation.names.set('new', 'c0ffee00-0000-4000-8000-00000000d017');
    },
    ask: { command: 'updateVolume', id: '$renumbered', customid: '$new' },
    answer: accepted,
    job: { ...done, result: { volume: { id: 'c0ffee00-0000-4000-8000-00000000d017', state: 'Ready' } } },
    after: { new: { name: 'renumbered' } },
  },
  { what: 'its old id', ask: { ...VOLUMES, id: '$renumbered' }, answer: noSuch('id') },
  {
    what: 'inactive offering',
    before: ({ model, names }) => {
      const { id } = model.inventory.addOffering('gone', 0);
      names.set('gone', id);
      model.conditions.add({ kind: 'hidden', id });
    },
    ask: { command: 'listDiskOfferings', id: '$gone', listall: 'true' },
    answer: empty,
  },
  {
    what: 'removed offering',
    ask: { command: 'listDiskOfferings', id: '$gone', listall: 'true' },
    answer: empty,
  },
];

conformance('projects', PROJECT);
conformance('protection, ids, offerings', PROTECTION);
