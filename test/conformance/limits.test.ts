import { expect } from 'vitest';
import type { Conversation } from './conversation';
import {
  accepted,
  conformance,
  created,
  done,
  empty,
  failed,
  gone,
  listed,
  type Row,
  refused,
} from './table';

const GIB = 1024 ** 3;
const LIST = { command: 'listVolumes', listall: 'true' };
const VM = { command: 'listVirtualMachines', listall: 'true', details: 'min' };
const attach = (name: string, vm = 'vm', more: Record<string, string> = {}) => ({
  command: 'attachVolume',
  id: `$${name}`,
  virtualmachineid: `$${vm}`,
  ...more,
});
const detach = (name: string) => ({ command: 'detachVolume', id: `\${${name}}` });
/** Of an attach or detach that succeeds. */
const shown = (fields: Record<string, unknown>) => ({ ...done, result: { volume: fields } });

/** The hypervisor of the recordings takes six data disks; device 3 is nobody's. */
const DEVICE_IDS = [1, 2, 4, 5, 6, 7];

const FULL: readonly Row[] = [
  ...DEVICE_IDS.map(
    (deviceid, index): Row => ({
      what: `fill ${index}`,
      before: (conversation) => conversation.addVolume(`full${index}`),
      ask: attach(`full${index}`),
      answer: accepted,
      job: shown({ deviceid, state: 'Ready', vmname: 'appliance' }),
    }),
  ),
  {
    what: 'fill 6',
    before: (conversation) => conversation.addVolume('full6'),
    ask: attach('full6'),
    answer: accepted,
    job: failed(
      431,
      'The specified VM already has the maximum number of data disks (6) attached. Please specify another VM.',
    ),
    after: { full6: { state: 'Allocated' } },
  },
  { what: 'list by vm full', ask: { ...LIST, virtualmachineid: '$vm' }, answer: listed('volume', 7) },
  {
    what: 'primary storage quota',
    ask: { command: 'createVolume', name: 'q', zoneid: '$zone', diskofferingid: '$custom', size: '50' },
    answer: refused(
      535,
      4370,
      "Maximum amount of resources of Type = 'primary_storage', tag = 'null' for Account Name = plain in Domain Id = 1 is exceeded: Account Resource Limit = (8.00 GB) 8589934592, Current Account Resource Amount = (7.00 GB) 7516192768, Current Account Resource Reservation = (0 bytes) 0, Requested Resource Amount = (50.00 GB) 53687091200.",
    ),
  },
];

const CREATE = { command: 'createVolume', name: 'zd', zoneid: '$zone', diskofferingid: '$custom', size: '1' };

function setZone({ model }: Conversation, state: 'Enabled' | 'Disabled'): void {
  model.inventory.firstZone().allocationState = state;
}

const ZONE: readonly Row[] = [
  {
    what: 'create zone disabled',
    before: (conversation) => setZone(conversation, 'Disabled'),
    ask: CREATE,
    answer: refused(531, 4365, /^Cannot perform this operation, Zone is currently disabled: \d+$/),
  },
  { what: 'create zone disabled admin', by: 'admin', ask: CREATE, answer: created },
  {
    what: 'listZones available zone disabled',
    ask: { command: 'listZones', available: 'true', listall: 'true', page: '1', pagesize: '500' },
    answer: empty,
  },
  {
    what: 'listZones id zone disabled',
    ask: { command: 'listZones', id: '$zone', listall: 'true' },
    answer: listed('zone', 1, { allocationstate: 'Disabled' }),
  },
  { what: 'room for it', ask: detach('full0'), job: done },
  {
    what: 'attach zone disabled',
    ask: attach('full0'),
    answer: accepted,
    job: shown({ deviceid: 1, state: 'Ready' }),
  },
  { what: 'detach zone disabled', ask: detach('full0'), answer: accepted, job: shown({ state: 'Ready' }) },
];

const ROOT_DISK: readonly Row[] = [
  {
    what: 'stop first',
    before: (conversation) => setZone(conversation, 'Enabled'),
    ask: { command: 'stopVirtualMachine', id: '$vm', forced: 'true' },
    answer: accepted,
    job: { ...done, result: { virtualmachine: { state: 'Stopped' } } },
  },
  { what: 'room again', ask: detach('full1'), job: done },
  {
    what: 'attach to stopped',
    ask: attach('full1'),
    answer: accepted,
    job: shown({ deviceid: 1, state: 'Ready' }),
  },
  { what: 'detach from stopped', ask: detach('full1'), answer: accepted, job: shown({ state: 'Ready' }) },
  {
    what: 'attach root while root there',
    ask: attach('full1', 'vm', { deviceid: '0' }),
    answer: accepted,
    job: failed(431, 'Vm already has root volume attached to it'),
  },
  {
    what: 'detach root',
    ask: detach('root'),
    answer: accepted,
    job: shown({ type: 'DATADISK', state: 'Ready' }),
  },
  {
    what: 'root detached',
    ask: { ...LIST, id: '$root' },
    answer: listed('volume', 1, { type: 'DATADISK', state: 'Ready' }),
  },
  {
    what: 'attach data as root',
    ask: attach('full1', 'vm', { deviceid: '0' }),
    answer: accepted,
    job: shown({ type: 'ROOT', deviceid: 0 }),
  },
  {
    what: 'start with data root',
    ask: { command: 'startVirtualMachine', id: '$vm' },
    answer: accepted,
    job: { ...done, result: { virtualmachine: { state: 'Running' } } },
  },
  {
    what: 'detach root running',
    ask: detach('full1'),
    answer: accepted,
    job: failed(431, 'Root volume detach can happen only when vm is in states: Stopped or Destroyed'),
  },
  ...['stop', 'stop stopped'].map(
    (what): Row => ({
      what,
      ask: { command: 'stopVirtualMachine', id: '$vm', forced: 'true' },
      answer: accepted,
      job: { ...done, result: { virtualmachine: { state: 'Stopped' } } },
      after: { vm: { state: 'Stopped' } },
    }),
  ),
  { what: 'detach data root', ask: detach('full1'), answer: accepted, job: shown({ type: 'DATADISK' }) },
  { what: 'data after', ask: { ...LIST, id: '$full1' }, answer: listed('volume', 1, { type: 'DATADISK' }) },
  {
    what: 'attach root back',
    ask: attach('root', 'vm', { deviceid: '0' }),
    answer: accepted,
    job: shown({ type: 'ROOT', deviceid: 0 }),
  },
  {
    what: 'attach old data no device id',
    ask: attach('full1'),
    answer: accepted,
    job: shown({ type: 'DATADISK', deviceid: 1 }),
  },
  { what: 'detach', ask: detach('full1'), answer: accepted, job: done, after: { full1: { state: 'Ready' } } },
];

const destroy = (expunge: string) => ({ command: 'destroyVirtualMachine', id: '$todie', expunge });

const DESTROYED: readonly Row[] = [
  {
    what: 'attach todie',
    before: (conversation) => {
      conversation.addVm('todie', 'plain');
      conversation.addVolume('data', 'plain', 'Ready');
    },
    ask: attach('data', 'todie'),
    answer: accepted,
    job: shown({ deviceid: 1, vmname: 'todie' }),
  },
  {
    what: 'destroy expunge plain',
    ask: destroy('true'),
    answer: accepted,
    job: failed(530, 'Account does not have permission for expunging.'),
    after: { todie: { state: 'Running' }, data: { virtualmachineid: '$todie' } },
  },
  {
    what: 'destroy plain',
    ask: destroy('false'),
    answer: accepted,
    job: { ...done, result: { virtualmachine: { state: 'Destroyed', jobstatus: 0 } } },
  },
  { what: 'vm destroyed', ask: { ...VM, id: '$todie' }, answer: empty },
  {
    what: 'vm destroyed admin',
    by: 'admin',
    ask: { ...VM, id: '$todie' },
    answer: listed('virtualmachine', 1, { state: 'Destroyed', account: 'plain' }),
  },
  {
    what: 'data of destroyed',
    ask: { ...LIST, id: '$data' },
    answer: (answer) => {
      listed('volume', 1, { state: 'Ready' })(answer);
      expect(answer.items('volume')[0]).not.toHaveProperty('virtualmachineid');
    },
  },
  {
    what: 'detach data of destroyed',
    ask: detach('data'),
    answer: accepted,
    job: failed(431, 'The specified volume is not attached to a VM.'),
  },
  {
    what: 'attach to destroyed',
    ask: attach('full6', 'todie'),
    answer: accepted,
    job: failed(431, 'Please specify a VM that is either running or stopped.'),
  },
  {
    what: 'stop destroyed',
    ask: { command: 'stopVirtualMachine', id: '$todie', forced: 'true' },
    answer: accepted,
    job: { ...done, result: { virtualmachine: {} } },
  },
  {
    what: 'expunge by admin',
    by: 'admin',
    ask: destroy('true'),
    answer: accepted,
    job: { ...done, result: { null: { securitygroup: [], nic: [] } } },
    after: { todie: null, 'root of todie': null },
  },
  { what: 'vm expunged', ask: { ...VM, id: '$todie' }, answer: empty },
  { what: 'volumes of expunged', ask: { ...LIST, virtualmachineid: '$todie' }, answer: empty },
  {
    what: 'data of expunged',
    ask: { ...LIST, id: '$data' },
    answer: listed('volume', 1, { state: 'Ready' }),
  },
  { what: 'destroy expunged', ask: destroy('false'), answer: gone('VirtualMachine') },
  { what: 'attach to expunged', ask: attach('full6', 'todie'), answer: gone('VirtualMachine') },
];

const TRANSITIONS: readonly Row[] = [
  {
    what: 'a VM that is stopping',
    before: (conversation) => conversation.addVm('moving', 'plain'),
    ask: { command: 'stopVirtualMachine', id: '$moving' },
    answer: accepted,
    after: { moving: { state: 'Stopping' } },
  },
  {
    what: 'attach to it',
    ask: attach('data', 'moving'),
    answer: accepted,
    job: failed(431, 'Please specify a VM that is either running or stopped.'),
  },
  {
    what: 'once it has stopped',
    ends: 'a VM that is stopping',
    job: done,
    after: { moving: { state: 'Stopped' } },
  },
  { what: 'attach to it stopped', ask: attach('data', 'moving'), answer: accepted, job: done },
  {
    what: 'a VM that migrates',
    before: ({ model }) => {
      for (const vm of model.vms) if (vm.name === 'moving') vm.state = 'Migrating';
    },
    ask: detach('data'),
    answer: accepted,
    job: failed(431, 'Please specify a VM that is either running or stopped.'),
    after: { data: { virtualmachineid: '$moving' } },
  },
];

conformance('limits, a closed zone, root disks', [...FULL, ...ZONE, ...ROOT_DISK], { storageLimit: 8 * GIB });
conformance('destroyed VMs, VMs between two states', [
  {
    what: 'a volume',
    before: (conversation) => conversation.addVolume('full6'),
    ask: LIST,
    answer: listed('volume', 2),
  },
  ...DESTROYED,
  ...TRANSITIONS,
]);
