import { expect } from 'vitest';
import { listedAs } from './fields';
import { conformance, created, done, empty, hidden, listed, noSuch, type Row, refused } from './table';

const GIB = 1024 ** 3;
const CREATE = { command: 'createVolume', name: 'x', zoneid: '$zone' };
const SMALL = { ...CREATE, diskofferingid: '$small' };
const CUSTOM = { ...CREATE, diskofferingid: '$custom' };
const LIST = { command: 'listVolumes', listall: 'true', zoneid: '$zone', page: '1', pagesize: '500' };
const JOB = 'c0ffee00-0000-4000-8000-00000000a001';
const NO_UUID = (id: string) => refused(431, 4350, `UUID: ${id} doesn't follow the UUID format`);
const HTML = '<b>&"\'\u00e9\u6f22\ud83d\ude00';

const REFUSED: readonly Row[] = [
  { what: 'create bad zone', ask: { ...SMALL, zoneid: '$never' }, answer: noSuch('zoneid') },
  {
    what: 'create bad offering',
    ask: { ...CREATE, diskofferingid: '$never' },
    answer: noSuch('diskofferingid'),
  },
  {
    what: 'create no size on custom',
    ask: CUSTOM,
    answer: refused(431, 4350, 'This disk offering requires a custom size specified'),
  },
  {
    what: 'create size on fixed',
    ask: { ...SMALL, size: '5' },
    answer: refused(431, 4350, 'This disk offering does not allow custom size'),
  },
  ...['0', '-1'].map((size) => ({
    what: `create size ${size}`,
    ask: { ...CUSTOM, size },
    answer: refused(431, 4350, 'Disk size must be larger than 0'),
  })),
  {
    what: 'create size 1.5',
    ask: { ...CUSTOM, size: '1.5' },
    answer: refused(
      431,
      9999,
      'Unable to execute API command createvolume due to invalid value 1.5 for parameter size',
    ),
  },
  ...['1025', '99999999'].map((size) => ({
    what: `create size ${size}`,
    ask: { ...CUSTOM, size },
    answer: refused(431, 4350, `Volume size: ${size} GB is out of allowed range. Min: 1. Max: 1024`),
  })),
  {
    what: 'create name 256',
    ask: { ...SMALL, name: 'n'.repeat(256) },
    answer: refused(
      431,
      9999,
      'Unable to execute API command createvolume due to invalid value. Value greater than max allowed length 255 for param: volumeName',
    ),
  },
  {
    what: 'create customid user',
    ask: { ...SMALL, customid: '$never' },
    answer: refused(
      531,
      4365,
      'Please check your permissions, you are not allowed to create/update custom id',
    ),
  },
  {
    what: 'create without zone',
    ask: { command: 'createVolume', name: 'x', diskofferingid: '$small' },
    answer: refused(431, 4350, 'Unable to find zone by id null'),
  },
  {
    what: 'create without offering',
    ask: CREATE,
    answer: refused(
      431,
      4350,
      'At least one of disk Offering ID or snapshot ID must be passed whilst creating volume',
    ),
  },
  { what: 'none of these has left a volume', ask: { ...LIST, name: 'x' }, answer: empty },
];

const NAMES: readonly Row[] = [
  {
    what: 'create no name',
    ask: { command: 'createVolume', zoneid: '$zone', diskofferingid: '$small' },
    answer: created,
    keep: 'nameless',
    after: { nameless: { name: expect.stringMatching(/^[0-9a-f-]{36}$/), size: 5 * GIB } },
  },
  { what: 'create name 255', ask: { ...SMALL, name: 'n'.repeat(255) }, answer: created },
  { what: 'create name spaces', ask: { ...SMALL, name: '  padded  ' }, answer: created },
  { what: 'create name html', ask: { ...SMALL, name: HTML }, answer: created },
  { what: 'create name empty', ask: { ...SMALL, name: '' }, answer: created },
  { what: 'list by name padded', ask: { ...LIST, name: '  padded  ' }, answer: listed('volume', 1) },
  { what: 'without its leading spaces', ask: { ...LIST, name: 'padded' }, answer: empty },
  { what: 'list by name unicode', ask: { ...LIST, name: HTML }, answer: listed('volume', 1, { name: HTML }) },
  {
    what: 'the accent does not count',
    ask: { ...LIST, name: HTML.replace('é', 'E') },
    answer: listed('volume', 1),
  },
];

const JOB_IDS: readonly Row[] = [
  {
    what: 'create bad customjobid',
    ask: { ...SMALL, name: 'badjobid', customjobid: 'zzz' },
    answer: NO_UUID('zzz'),
  },
  {
    what: 'create customjobid',
    ask: { ...CUSTOM, name: 'v1', size: '2', customjobid: JOB },
    answer: (answer) => {
      created(answer);
      expect(answer.body.jobid).toBe(JOB);
    },
    keep: 'v1',
    job: {
      ...done,
      result: {
        volume: { name: 'v1', state: 'Allocated', size: 2 * GIB, account: 'plain', jobid: JOB, jobstatus: 0 },
      },
    },
    after: { v1: { state: 'Allocated', type: 'DATADISK' } },
  },
  {
    what: 'create same customjobid',
    ask: { ...CUSTOM, name: 'v1-again', size: '2', customjobid: JOB },
    answer: hidden(9999),
  },
  {
    what: 'create same customjobid UPPER',
    ask: { ...CUSTOM, name: 'v1-again2', size: '2', customjobid: JOB.toUpperCase() },
    answer: NO_UUID(JOB.toUpperCase()),
  },
  { what: 'create same name', ask: { ...CUSTOM, name: 'v1', size: '2' }, answer: created, job: done },
  {
    what: 'leaked by taken job id',
    ask: { command: 'listVolumes', listall: 'true', keyword: 'v1', page: '1', pagesize: '100' },
    answer: (answer) => {
      listedAs('volume', 'volume', 4, { state: 'Allocated' })(answer);
      const names = answer.items('volume').map(({ name }) => name);
      expect(names.sort()).toEqual(['v1', 'v1', 'v1-again', 'v1-again2']);
    },
  },
  { what: 'list by name exact', ask: { ...LIST, name: 'v1' }, answer: listed('volume', 2) },
  { what: 'list by name case', ask: { ...LIST, name: 'V1' }, answer: listed('volume', 2) },
  { what: 'list by name prefix', ask: { ...LIST, name: 'v' }, answer: empty },
  { what: 'list by name wildcard', ask: { ...LIST, name: 'v_' }, answer: empty },
  { what: 'list by name trailing space', ask: { ...LIST, name: 'v1 ' }, answer: listed('volume', 2) },
  {
    what: 'query job of other account',
    by: 'other',
    ask: { command: 'queryAsyncJobResult', jobid: JOB },
    answer: refused(
      531,
      4365,
      /^Account Account \[\{"accountName":"other","id":4,"uuid":"[0-9a-f-]{36}"\}\] is not authorized to see job id=\d+$/,
    ),
  },
  ...(['admin', 'plain'] as const).map(
    (by): Row => ({
      what: by === 'admin' ? 'query job as admin' : 'query job upper',
      by,
      ask: { command: 'queryAsyncJobResult', jobid: by === 'admin' ? JOB : JOB.toUpperCase() },
      answer: ({ status, body }) => {
        expect(status).toBe(200);
        expect(body).toMatchObject({
          account: 'plain',
          cmd: 'org.apache.cloudstack.api.command.user.volume.CreateVolumeCmd',
          jobstatus: 1,
          jobid: JOB,
        });
      },
    }),
  ),
];

/** What a root administrator may do more. */
const AS_ROOT: readonly Row[] = [
  {
    what: 'admin creates for the owner',
    by: 'admin',
    ask: { ...CUSTOM, name: 'for-owner', size: '1', account: 'plain', domainid: '$domain' },
    answer: created,
    keep: 'owned',
    job: { ...done, result: { volume: { account: 'plain', state: 'Allocated' } } },
  },
  {
    what: 'admin attaches it',
    by: 'admin',
    ask: { command: 'attachVolume', id: '$owned', virtualmachineid: '$vm' },
    job: { ...done, result: { volume: { account: 'plain', vmname: 'appliance' } } },
  },
  {
    what: 'owner sees it',
    ask: { command: 'listVolumes', id: '$owned', listall: 'true' },
    answer: listed('volume', 1, { name: 'for-owner', account: 'plain', state: 'Ready' }),
  },
  { what: 'admin detaches', by: 'admin', ask: { command: 'detachVolume', id: '$owned' }, job: done },
  {
    what: 'admin deletes',
    by: 'admin',
    ask: { command: 'deleteVolume', id: '$owned' },
    after: { owned: null },
  },
  {
    what: 'admin with customid',
    by: 'admin',
    ask: { ...CUSTOM, size: '1', customid: 'c0ffee00-0000-4000-8000-00000000c003' },
    answer: ({ body }) => expect(body.id).toBe('c0ffee00-0000-4000-8000-00000000c003'),
    keep: 'cid',
    job: done,
  },
  {
    what: 'the same customid',
    by: 'admin',
    ask: { ...CUSTOM, size: '1', customid: '$cid' },
    answer: refused(431, 4350, /^UUID: [0-9a-f-]{36} already exists so can't create\/update with custom id$/),
  },
  {
    what: 'list by customid',
    by: 'admin',
    ask: { command: 'listVolumes', id: '$cid', listall: 'true' },
    answer: listed('volume', 1, { account: 'admin', hypervisor: 'None' }),
  },
  { what: 'delete it', by: 'admin', ask: { command: 'deleteVolume', id: '$cid' }, after: { cid: null } },
  {
    what: 'customid of a deleted volume',
    by: 'admin',
    ask: { ...CUSTOM, size: '1', customid: '$cid' },
    answer: refused(530, 9999, 'Entity already exists '),
  },
  {
    what: 'a volume of its own, without an owner named',
    by: 'admin',
    ask: { ...CUSTOM, size: '1' },
    keep: 'own',
    job: done,
    after: { own: { account: 'admin' } },
  },
];

conformance('createVolume is refused', REFUSED);
conformance('names of volumes', NAMES);
conformance('job ids of the caller', JOB_IDS);
conformance('createVolume by a root administrator', AS_ROOT);
