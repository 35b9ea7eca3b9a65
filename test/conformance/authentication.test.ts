import { expect } from 'vitest';
import { listedAs } from './fields';
import {
  answered,
  conformance,
  created,
  empty,
  listed,
  noSuch,
  type Row,
  refused,
  unauthorized,
} from './table';

const ZONES = { command: 'listZones' };
const PLAIN = 'Account [{"accountName":"plain","id":3,"uuid":"11111113-1111-4111-8111-111111111111"}]';
const lacking = (command: string) =>
  refused(
    432,
    9999,
    `The API [${command}] does not exist or is not available for the account ${PLAIN}.`,
    'errorresponse',
  );

const WHO: readonly Row[] = [
  {
    what: 'good v3',
    ask: { command: 'listCapabilities' },
    answer: (answer) => {
      answered('capability')(answer);
      expect(answer.body.capability).toMatchObject({
        cloudstackversion: expect.stringMatching(/^4\.20\.0\.0/),
        customdiskofferingminsize: 1,
        customdiskofferingmaxsize: 1024,
        allowuserviewdestroyedvm: false,
        allowuserexpungerecovervm: false,
        allowuserexpungerecovervolume: true,
      });
    },
  },
  { what: 'good v3 GET', ask: ZONES, sent: 'GET', answer: listedAs('zone', 'zone', 1) },
  {
    what: 'GET change command',
    ask: { command: 'createVolume', name: 'get-made', zoneid: '$zone', diskofferingid: '$small' },
    sent: 'GET',
    answer: created,
  },
  {
    what: 'no response=json',
    by: 'admin',
    ask: ZONES,
    sent: 'xml',
    answer: ({ status, text }) => {
      expect(status).toBe(200);
      expect(text).toMatch(
        /^<\?xml version="1\.0" encoding="UTF-8"\?><listzonesresponse cloud-stack-version="4\.20/,
      );
    },
  },
  { what: 'wrong signature', ask: ZONES, sent: 'bad-signature', answer: unauthorized() },
  { what: 'unknown key', ask: ZONES, sent: 'unknown-key', answer: unauthorized() },
  { what: 'expired 1s', ask: ZONES, sent: 'expired', answer: unauthorized() },
  { what: 'expires in 2 days', ask: ZONES, sent: 'far-expiry', answer: listed('zone', 1) },
  { what: 'no expires/version', ask: ZONES, sent: 'version-1', answer: listed('zone', 1) },
  { what: 'v3 without expires', ask: ZONES, sent: 'no-expiry', answer: unauthorized() },
  { what: 'unknown command', ask: { command: 'frobnicate' }, answer: unauthorized('errorresponse') },
  { what: 'command not allowed for role', ask: { command: 'listHosts' }, answer: lacking('listHosts') },
  {
    what: 'command not allowed for role 2',
    ask: { command: 'configureSimulator', name: 'AttachCommand', value: 'wait:1' },
    answer: lacking('configureSimulator'),
  },
  { what: 'wrong case', ask: { command: 'listzones' }, answer: unauthorized('errorresponse') },
  { what: 'missing command', ask: { command: '' }, answer: unauthorized('errorresponse') },
  {
    what: 'control char',
    ask: { command: 'createVolume', name: 'a\u0007b', zoneid: '$zone', diskofferingid: '$small' },
    answer: refused(
      431,
      9999,
      'Received value containing illegal ASCII non-printable characters for parameter name',
    ),
  },
  { what: 'unknown parameter', ask: { ...ZONES, frob: 'x' }, answer: listed('zone', 1) },
  { what: 'gzip', ask: ZONES, answer: listed('zone', 1) },
  {
    what: 'a user that is disabled',
    before: ({ model }) => model.conditions.add({ kind: 'user-disabled', id: 'plain' }),
    ask: ZONES,
    answer: unauthorized(),
  },
  { what: 'the others go on', by: 'other', ask: ZONES, answer: listed('zone', 1) },
  {
    what: 'the database of the server is away',
    before: ({ model }) => {
      model.conditions.clear();
      model.conditions.add({ kind: 'database-away', delayMs: 30_000 });
    },
    ask: ZONES,
    answer: unauthorized(),
  },
  {
    what: 'and back',
    before: ({ model }) => model.conditions.clear(),
    ask: ZONES,
    answer: listed('zone', 1),
  },
];

const VOLUMES = { command: 'listVolumes', listall: 'true' };
const VMS = { command: 'listVirtualMachines', listall: 'true', details: 'min' };

const LOOKUPS: readonly Row[] = [
  { what: 'volume never', ask: { ...VOLUMES, id: '$never' }, answer: noSuch('id') },
  { what: 'volume malformed', ask: { ...VOLUMES, id: 'zzz' }, answer: noSuch('id', 'zzz') },
  {
    what: 'volume internal id',
    before: ({ model, names }) => {
      names.set('number', String(model.volumes[0]?.internalId));
    },
    ask: { ...VOLUMES, id: '$number' },
    answer: listed('volume', 1, { type: 'ROOT', vmname: 'appliance' }),
  },
  {
    what: 'volume upper case',
    ask: { ...VOLUMES, id: 'C0FFEE00-0000-4000-8000-00000000B002' },
    answer: noSuch('id', 'C0FFEE00-0000-4000-8000-00000000B002'),
  },
  { what: 'vm never', ask: { ...VMS, id: '$never' }, answer: noSuch('id') },
  { what: 'zone never', ask: { ...ZONES, id: '$never' }, answer: noSuch('id') },
  { what: 'offering never', ask: { command: 'listDiskOfferings', id: '$never' }, answer: noSuch('id') },
  { what: 'job never', ask: { command: 'queryAsyncJobResult', jobid: '$never' }, answer: noSuch('jobid') },
  {
    what: 'job malformed',
    ask: { command: 'queryAsyncJobResult', jobid: 'zzz' },
    answer: noSuch('jobid', 'zzz'),
  },
  { what: 'empty volumes', ask: { ...VOLUMES, type: 'DATADISK', name: 'nothing-there' }, answer: empty },
  {
    what: 'page past end',
    ask: { ...VOLUMES, page: '9', pagesize: '500' },
    answer: (answer) => {
      answered('count')(answer);
      expect(answer.body).toEqual({ count: 1 });
    },
  },
  {
    what: 'pagesize 501',
    ask: { ...VOLUMES, page: '1', pagesize: '501' },
    answer: refused(431, 4350, "Page size can't exceed max allowed page size value: 500"),
  },
  {
    what: 'pagesize alone',
    ask: { ...VOLUMES, pagesize: '10' },
    answer: refused(431, 9999, '"page" parameter is required when "pagesize" is specified'),
  },
  {
    what: 'page alone',
    ask: { ...VOLUMES, page: '1' },
    answer: refused(431, 9999, '"pagesize" parameter is required when "page" is specified'),
  },
  { what: 'page 0', ask: { ...VOLUMES, page: '0', pagesize: '10' }, answer: listed('volume', 1) },
  {
    what: 'zones paged',
    ask: { ...ZONES, listall: 'true', page: '1', pagesize: '500', available: 'true' },
    answer: listedAs('zone', 'zone', 1, { allocationstate: 'Enabled' }),
  },
  {
    what: 'zones paged admin',
    by: 'admin',
    ask: { ...ZONES, listall: 'true', page: '1', pagesize: '500', available: 'true' },
    answer: listed('zone', 1),
  },
  {
    what: 'offerings paged',
    ask: { command: 'listDiskOfferings', listall: 'true', page: '1', pagesize: '500' },
    answer: listedAs('offering', 'diskoffering', 2, { name: 'Custom', iscustomized: true, disksize: 0 }),
  },
  {
    what: 'volume of other account',
    before: (conversation) => conversation.addVolume('theirs', 'other'),
    ask: { ...VOLUMES, id: '$theirs' },
    answer: empty,
  },
  {
    what: 'vm of other account',
    before: (conversation) => conversation.addVm('theirvm', 'other'),
    ask: { ...VMS, id: '$theirvm' },
    answer: empty,
  },
  {
    what: 'volumes on vm of other account',
    ask: { ...VOLUMES, virtualmachineid: '$theirvm' },
    answer: empty,
  },
  {
    what: 'volumes on vm never',
    ask: { ...VOLUMES, virtualmachineid: '$never' },
    answer: noSuch('virtualmachineid'),
  },
  {
    what: 'root volume',
    ask: { ...VOLUMES, virtualmachineid: '$vm' },
    answer: listedAs('root disk', 'volume', 1, {
      type: 'ROOT',
      deviceid: 0,
      state: 'Ready',
      account: 'plain',
    }),
  },
  {
    what: 'root volume admin',
    by: 'admin',
    ask: { ...VOLUMES, virtualmachineid: '$vm' },
    answer: listedAs(
      'root disk to root',
      'volume',
      1,
      { hypervisor: 'Simulator' },
      'clusterid clustername podid podname',
    ),
  },
  {
    what: 'vm',
    ask: { ...VMS, id: '$vm' },
    answer: listedAs('vm', 'virtualmachine', 1, { state: 'Running', account: 'plain' }, 'bootmode boottype'),
  },
  {
    what: 'vm admin',
    by: 'admin',
    ask: { ...VMS, id: '$vm' },
    answer: listedAs(
      'vm to root',
      'virtualmachine',
      1,
      { instancename: expect.stringMatching(/^i-3-\d+-VM$/) },
      'bootmode boottype',
    ),
  },
];

conformance('who may ask', WHO);
conformance('lookups and lists', LOOKUPS);
