import { expect } from 'vitest';
import { listedAs } from './fields';
import {
  accepted,
  conformance,
  done,
  empty,
  failed,
  gone,
  hidden,
  listed,
  NOT_YOURS,
  noSuch,
  type Row,
  refused,
} from './table';

const JOB = 'c0ffee00-0000-4000-8000-00000000a004';
const LIST = { command: 'listVolumes', listall: 'true' };
const ATTACH = { command: 'attachVolume', id: '$ra', virtualmachineid: '$vm' };
const DETACH = { command: 'detachVolume', id: '$ra' };
const FREE = { state: 'Ready', type: 'DATADISK' };
const EITHER = 'Please provide either a volume id, or a tuple(device id, instance id)';
const NOT_ATTACHED = failed(431, 'The specified volume is not attached to a VM.');
const NOT_FREE = failed(431, 'Please specify a volume that is not attached to any VM.');

const ATTACHED: readonly Row[] = [
  {
    what: 'attach',
    before: (conversation) => {
      conversation.addVolume('ra');
      conversation.addVm('second', 'plain');
    },
    ask: { ...ATTACH, customjobid: JOB },
    answer: accepted,
    job: { ...done, result: { volume: { state: 'Ready', deviceid: 1, vmname: 'appliance', jobstatus: 0 } } },
    after: { ra: { state: 'Ready', virtualmachineid: '$vm', deviceid: 1 } },
  },
  {
    what: 'attach same customjobid finished',
    ask: { ...ATTACH, customjobid: JOB },
    answer: hidden(9999),
  },
  {
    what: 'attach same customjobid finished admin',
    by: 'admin',
    ask: { ...ATTACH, customjobid: JOB },
    answer: refused(530, 9999, 'Entity already exists '),
  },
  {
    what: 'attached volume',
    ask: { ...LIST, id: '$ra' },
    answer: listedAs('attached volume', 'volume', 1, { state: 'Ready', deviceid: 1, vmstate: 'Running' }),
  },
  {
    what: 'attached volume admin',
    by: 'admin',
    ask: { ...LIST, id: '$ra' },
    answer: listedAs(
      'attached volume to root',
      'volume',
      1,
      { account: 'plain', hypervisor: 'Simulator' },
      'clusterid clustername podid podname',
    ),
  },
  { what: 'attach again', ask: ATTACH, answer: accepted, job: NOT_FREE },
  {
    what: 'attach to other vm while attached',
    ask: { ...ATTACH, virtualmachineid: '$second' },
    answer: accepted,
    job: NOT_FREE,
    after: { ra: { virtualmachineid: '$vm' } },
  },
  {
    what: 'delete attached',
    ask: { command: 'deleteVolume', id: '$ra' },
    answer: refused(431, 4350, 'Please specify a volume that is not attached to any VM.'),
  },
  {
    what: 'list by vm',
    ask: { ...LIST, virtualmachineid: '$vm' },
    answer: listed('volume', 2, { type: 'ROOT' }),
  },
];

const DETACHED: readonly Row[] = [
  {
    what: 'detach with id and vm',
    ask: { ...DETACH, virtualmachineid: '$vm' },
    answer: accepted,
    job: failed(431, EITHER),
  },
  { what: 'detach nothing', ask: { command: 'detachVolume' }, answer: accepted, job: failed(431, EITHER) },
  {
    what: 'detach',
    ask: DETACH,
    answer: accepted,
    job: { ...done, result: { volume: { state: 'Ready', jobstatus: 0 } } },
    after: { ra: FREE },
  },
  { what: 'detach again', ask: DETACH, answer: accepted, job: NOT_ATTACHED },
  { what: 'detached volume', ask: { ...LIST, id: '$ra' }, answer: listedAs('volume', 'volume', 1, FREE) },
  { what: 'detach never', ask: { ...DETACH, id: '$never' }, answer: noSuch('id') },
  {
    what: 'detach by vm+deviceid none',
    ask: { command: 'detachVolume', virtualmachineid: '$vm', deviceid: '5' },
    answer: accepted,
    job: failed(530, 'Index 0 out of bounds for length 0'),
  },
];

const device = (deviceid: string): Row => ({
  what: `attach deviceid ${deviceid}`,
  ask: { ...ATTACH, deviceid },
  answer: accepted,
  job: failed(530, 'deviceId should be 0,1,2,4-7'),
  after: { ra: FREE },
});

const DEVICES: readonly Row[] = [
  device('3'),
  device('99'),
  {
    what: 'attach deviceid 0 running',
    ask: { ...ATTACH, deviceid: '0' },
    answer: accepted,
    job: failed(431, 'Root volume detach can happen only when vm is in states: Stopped or Destroyed'),
  },
  device('-1'),
];

const STRANGERS: readonly Row[] = [
  {
    what: 'attach of other account volume',
    before: (conversation) => {
      conversation.addVm('othervm', 'other');
      conversation.addVm('adminvm', 'admin');
    },
    by: 'other',
    ask: { ...ATTACH, virtualmachineid: '$othervm' },
    answer: NOT_YOURS,
  },
  {
    what: 'attach to other account vm',
    ask: { ...ATTACH, virtualmachineid: '$othervm' },
    answer: NOT_YOURS,
  },
  {
    what: 'admin attaches plain volume to adminvm',
    by: 'admin',
    ask: { ...ATTACH, virtualmachineid: '$adminvm' },
    answer: accepted,
    job: failed(
      530,
      /^Entity VM instance \{"id":\d+,"instanceName":"i-2-\d+-VM","type":"User","uuid":"[0-9a-f-]{36}"\} and entity org\.apache\.cloudstack\.storage\.volume\.VolumeObject@[0-9a-f]+ belong to different accounts$/,
    ),
    after: { ra: FREE },
  },
  { what: 'detach by plain of volume on adminvm', ask: DETACH, answer: accepted, job: NOT_ATTACHED },
  { what: 'volume on adminvm as plain', ask: { ...LIST, id: '$ra' }, answer: listed('volume', 1, FREE) },
  { what: 'detach by admin', by: 'admin', ask: DETACH, answer: accepted, job: NOT_ATTACHED },
  { what: 'delete by other', by: 'other', ask: { command: 'deleteVolume', id: '$ra' }, answer: NOT_YOURS },
];

const DELETED: readonly Row[] = [
  {
    what: 'delete',
    ask: { command: 'deleteVolume', id: '$ra' },
    answer: ({ status, body }) => expect([status, body]).toEqual([200, { success: true }]),
    after: { ra: null },
  },
  { what: 'delete again', ask: { command: 'deleteVolume', id: '$ra' }, answer: gone('Volume') },
  { what: 'list deleted', ask: { ...LIST, id: '$ra' }, answer: empty },
  { what: 'list deleted admin', by: 'admin', ask: { ...LIST, id: '$ra' }, answer: empty },
  { what: 'delete never', ask: { command: 'deleteVolume', id: '$never' }, answer: noSuch('id') },
  { what: 'attach deleted', ask: ATTACH, answer: gone('Volume') },
  { what: 'detach deleted', ask: DETACH, answer: gone('Volume') },
  {
    what: 'delete allocated',
    before: (conversation) => conversation.addVolume('fresh'),
    ask: { command: 'deleteVolume', id: '$fresh' },
    answer: ({ status, body }) => expect([status, body]).toEqual([200, { success: true }]),
    after: { fresh: null },
  },
];

conformance('attach, detach, delete', [...ATTACHED, ...DETACHED, ...DEVICES, ...STRANGERS, ...DELETED]);
