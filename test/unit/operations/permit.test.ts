import { describe, expect, it } from 'vitest';
import { VOLUME_STATES } from '~/server/cloudstack/volume-states';
import { type Evidence, seen, unknown } from '~/server/model/evidence';
import { permit } from '~/server/operations/decide/permit';
import type { DiskUse, Guards, Intent, Mutation } from '~/server/operations/decision';
import {
  APPLIANCE,
  CLIENT,
  gone,
  guards,
  hidden,
  MOUNT,
  OFFERING,
  OTHER_VM,
  policy,
  seenVm,
  seenVolume,
  usedBy,
  VOLUME,
  volume,
  ZONE,
} from './situations';

const attach = (vmId = APPLIANCE, deviceId: number | null = null): Mutation => ({
  ...{ name: 'attachVolume', volumeId: VOLUME },
  ...{ vmId, deviceId },
});
const create: Mutation = {
  name: 'createVolume',
  volumeName: 'data',
  zoneId: ZONE,
  diskOfferingId: OFFERING,
  sizeGiB: 1,
};
const detach: Mutation = { name: 'detachVolume', volumeId: VOLUME };
const remove: Mutation = { name: 'deleteVolume', volumeId: VOLUME };
const trash: Mutation = { name: 'destroyVolume', volumeId: VOLUME, expunge: false };
const recover: Mutation = { name: 'recoverVolume', volumeId: VOLUME };
const stop = (vmId = OTHER_VM): Mutation => ({ name: 'stopVirtualMachine', vmId, forced: true });
const destroy = (vmId = OTHER_VM): Mutation => ({ name: 'destroyVirtualMachine', vmId, expunge: true });

const NOBODY = { users: false, clients: false };
const ATTACHED_AT = '2026-01-01T00:00:00.000Z';
const LATER = '2026-01-01T00:00:05.000Z';

function intent(fields: Partial<Intent> = {}): Intent {
  return { vmId: OTHER_VM, plug: null, taking: NOBODY, sentBefore: false, ...fields };
}

const plug = { deviceId: 1, attached: ATTACHED_AT };
/** As the intent of a detach from the appliance names it. */
const fromHere = intent({ vmId: APPLIANCE, plug });
const here = seenVolume({ vmId: APPLIANCE, ...plug });
const there = seenVolume({ vmId: OTHER_VM, ...plug });
const free = seenVolume();
const ROOT = volume({ id: 'root', type: 'ROOT', vmId: OTHER_VM });
const disks = (...more: ReturnType<typeof volume>[]) => seen([ROOT, ...more], 0, 'cloudstack');
const unclear = (...holders: DiskUse['holders']): DiskUse => ({ disk: 'unclear', holders });

type Row = [
  story: string,
  command: Mutation,
  about: Intent,
  seen: Partial<Guards>,
  verdict: 'go' | 'wait' | 'settled' | `refuse ${string}` | `wait ${string}`,
];

const ROWS: readonly Row[] = [
  ['a create depends on nothing', create, intent(), {}, 'go'],

  ['attach: a free volume to the appliance', attach(), intent(), { volume: free }, 'go'],
  ['attach: there already', attach(), intent(), { volume: here }, 'settled'],
  ['attach: on another VM', attach(), intent(), { volume: there }, 'refuse VOLUME_ATTACHED_ELSEWHERE'],
  ['attach: gone', attach(), intent(), { volume: gone() }, 'settled'],
  ['attach: not shown', attach(), intent(), { volume: hidden() }, 'wait VOLUME_NOT_VISIBLE'],
  ['attach: not read', attach(), intent(), {}, 'wait VOLUME_NOT_VISIBLE'],
  ['attach: another job may run', attach(), intent(), { volume: free, openJobs: 1 }, 'wait VOLUME_BUSY'],
  [
    'attach: it migrates',
    attach(),
    intent(),
    { volume: seenVolume({ state: 'Migrating' }) },
    'wait VOLUME_BUSY',
  ],
  [
    'attach: it leaves',
    attach(),
    intent(),
    { volume: seenVolume({ state: 'Destroy' }) },
    'refuse VOLUME_STATE',
  ],
  [
    'attach: root of the appliance',
    attach(APPLIANCE, 0),
    intent(),
    { volume: free },
    'refuse APPLIANCE_PROTECTED',
  ],
  [
    'attach: to a running VM',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: seenVm({ state: 'Running' }) },
    'go',
  ],
  ['attach: to a stopped VM', attach(OTHER_VM), intent(), { volume: free, vm: seenVm() }, 'go'],
  [
    'attach: to a VM between two states',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: seenVm({ state: 'Stopping' }) },
    'wait VM_STATE',
  ],
  [
    'attach: to a VM that leaves',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: seenVm({ state: 'Destroyed' }) },
    'refuse VM_STATE',
  ],
  [
    'attach: to a VM of which nobody knows whether it runs',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: seenVm({ state: 'Unknown' }) },
    'refuse VM_STATE',
  ],
  [
    'attach: to a VM that never was',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: gone() },
    'refuse VM_NOT_FOUND',
  ],
  [
    'attach: to a VM that is not shown',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: hidden() },
    'wait VM_NOT_VISIBLE',
  ],
  ['attach: to a VM that was not read', attach(OTHER_VM), intent(), { volume: free }, 'wait VM_NOT_VISIBLE'],
  ['attach-root: to a stopped VM', attach(OTHER_VM, 0), intent(), { volume: free, vm: seenVm() }, 'go'],
  [
    'attach-root: to a running VM',
    attach(OTHER_VM, 0),
    intent(),
    { volume: free, vm: seenVm({ state: 'Running' }) },
    'refuse VM_NOT_STOPPED',
  ],

  ['detach: from the VM of the intent', detach, intent({ plug }), { volume: there }, 'go'],
  ['detach: an old intent that names no plug', detach, intent(), { volume: there }, 'go'],
  ['detach: detached already', detach, intent(), { volume: free }, 'settled'],
  ['detach: gone', detach, intent(), { volume: gone() }, 'settled'],
  ['detach: not shown', detach, intent(), { volume: hidden() }, 'wait VOLUME_NOT_VISIBLE'],
  ['detach: not read', detach, intent(), {}, 'wait VOLUME_NOT_VISIBLE'],
  ['detach: another job may run', detach, intent(), { volume: there, openJobs: 2 }, 'wait VOLUME_BUSY'],
  ['detach: from another VM', detach, fromHere, { volume: there }, 'refuse VOLUME_ATTACHED_ELSEWHERE'],
  [
    'detach: the intent names no VM',
    detach,
    intent({ vmId: null }),
    { volume: there },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'detach: plugged again in another place',
    detach,
    intent({ plug }),
    { volume: seenVolume({ vmId: OTHER_VM, deviceId: 2, attached: ATTACHED_AT }) },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'detach: plugged again in the same place, later',
    detach,
    intent({ plug }),
    { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: LATER }) },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'detach: the list does not say when it was plugged',
    detach,
    intent({ plug }),
    { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }) },
    'go',
  ],
  [
    'detach: it migrates',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, state: 'Migrating' }) },
    'wait VOLUME_BUSY',
  ],
  [
    'detach: it is snapshotted',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, state: 'Snapshotting' }) },
    'go',
  ],
  [
    'detach: it leaves',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, state: 'Expunging' }) },
    'refuse VOLUME_STATE',
  ],
  ['detach: from here, nobody uses it', detach, fromHere, { volume: here, use: usedBy() }, 'go'],
  [
    'detach: from here, the disk is not there',
    detach,
    fromHere,
    { volume: here, use: { disk: 'not-there', holders: [] } },
    'go',
  ],
  [
    'detach: from here, the disks were not read',
    detach,
    fromHere,
    { volume: here },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'detach: from here, mounted',
    detach,
    fromHere,
    { volume: here, use: usedBy(MOUNT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: from here, a client',
    detach,
    fromHere,
    { volume: here, use: usedBy(CLIENT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: from here, unclear which disk, and one is used',
    detach,
    fromHere,
    { volume: here, use: unclear(MOUNT) },
    'refuse DEVICE_NOT_IDENTIFIED',
  ],
  [
    'detach: from here, unclear which disk, none is used',
    detach,
    fromHere,
    { volume: here, use: unclear() },
    'go',
  ],
  [
    'detach: mounted, users do not count',
    detach,
    { ...fromHere, taking: { users: true, clients: false } },
    { volume: here, use: usedBy(MOUNT) },
    'go',
  ],
  [
    'detach: mounted and a client, only clients do not count',
    detach,
    { ...fromHere, taking: { users: false, clients: true } },
    { volume: here, use: usedBy(MOUNT, CLIENT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: mounted and a client, only users do not count',
    detach,
    { ...fromHere, taking: { users: true, clients: false } },
    { volume: here, use: usedBy(MOUNT, CLIENT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: forced altogether, even when it is unclear which disk',
    detach,
    { ...fromHere, taking: { users: true, clients: true } },
    { volume: here, use: unclear(MOUNT, CLIENT) },
    'go',
  ],
  [
    'detach: the root disk of the appliance, forced',
    detach,
    { ...fromHere, taking: { users: true, clients: true } },
    { volume: seenVolume({ vmId: APPLIANCE, type: 'ROOT', ...plug }), use: usedBy() },
    'refuse APPLIANCE_PROTECTED',
  ],

  ...[remove, trash].flatMap((command): Row[] => {
    const by = (story: string) => `${command.name}: ${story}`;
    return [
      [by('a free volume'), command, intent(), { volume: free }, 'go'],
      [by('gone'), command, intent(), { volume: gone() }, 'settled'],
      [by('not shown, and never sent'), command, intent(), { volume: hidden() }, 'wait VOLUME_NOT_VISIBLE'],
      [by('not shown, and sent before'), command, intent({ sentBefore: true }), { volume: hidden() }, 'go'],
      [
        by('not shown, sent before, another job may run'),
        command,
        intent({ sentBefore: true }),
        { volume: hidden(), openJobs: 1 },
        'wait VOLUME_NOT_VISIBLE',
      ],
      [by('not read'), command, intent({ sentBefore: true }), {}, 'wait VOLUME_NOT_VISIBLE'],
      [
        by('attached to another VM'),
        command,
        intent(),
        { volume: there },
        'refuse VOLUME_ATTACHED_ELSEWHERE',
      ],
      [by('attached here'), command, fromHere, { volume: here }, 'refuse VOLUME_ATTACHED_ELSEWHERE'],
      [
        by('attached, sent before'),
        command,
        intent({ sentBefore: true }),
        { volume: there },
        'refuse VOLUME_ATTACHED_ELSEWHERE',
      ],
      [by('another job may run'), command, intent(), { volume: free, openJobs: 1 }, 'wait VOLUME_BUSY'],
      [
        by('being created'),
        command,
        intent(),
        { volume: seenVolume({ state: 'Creating' }) },
        'wait VOLUME_BUSY',
      ],
      [by('left in Destroy'), command, intent(), { volume: seenVolume({ state: 'Destroy' }) }, 'go'],
      [by('left in Expunging'), command, intent(), { volume: seenVolume({ state: 'Expunging' }) }, 'go'],
      [by('a failed upload'), command, intent(), { volume: seenVolume({ state: 'UploadError' }) }, 'go'],
      [
        by('expunged'),
        command,
        intent(),
        { volume: seenVolume({ state: 'Expunged' }) },
        'refuse VOLUME_STATE',
      ],
    ];
  }),

  ['stop: the VM of the intent', stop(), intent(), { vm: seenVm({ state: 'Running' }) }, 'go'],
  ['stop: it does not run', stop(), intent(), { vm: seenVm() }, 'settled'],
  ['stop: it is destroyed', stop(), intent(), { vm: seenVm({ state: 'Destroyed' }) }, 'settled'],
  ['stop: it is on its way', stop(), intent(), { vm: seenVm({ state: 'Stopping' }) }, 'wait VM_STATE'],
  [
    'stop: nobody knows whether it runs',
    stop(),
    intent(),
    { vm: seenVm({ state: 'Error' }) },
    'refuse VM_STATE',
  ],
  ['stop: not shown', stop(), intent(), { vm: hidden() }, 'wait VM_NOT_VISIBLE'],
  ['stop: never was', stop(), intent(), { vm: gone() }, 'refuse VM_NOT_FOUND'],
  ['stop: not read', stop(), intent(), {}, 'wait VM_NOT_VISIBLE'],
  [
    'stop: the appliance',
    stop(APPLIANCE),
    intent({ vmId: APPLIANCE }),
    { vm: seenVm({ id: APPLIANCE, state: 'Running' }) },
    'refuse APPLIANCE_PROTECTED',
  ],
  [
    'stop: a VM that the intent does not name',
    stop(),
    intent({ vmId: 'another' }),
    { vm: seenVm({ state: 'Running' }) },
    'refuse APPLIANCE_PROTECTED',
  ],

  [
    'destroy: a stopped VM with nothing but its root disk',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: disks() },
    'go',
  ],
  [
    'destroy: with a data disk',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: disks(volume({ vmId: OTHER_VM })) },
    'refuse VM_HAS_DISKS',
  ],
  [
    'destroy: its disks are not known',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: unknown('not listed', 0, 'cloudstack') },
    'refuse VM_NOT_VISIBLE',
  ],
  ['destroy: its disks were not read', destroy(), intent(), { vm: seenVm() }, 'refuse VM_NOT_VISIBLE'],
  [
    'destroy: it runs',
    destroy(),
    intent(),
    { vm: seenVm({ state: 'Running' }), vmVolumes: disks() },
    'refuse VM_NOT_STOPPED',
  ],
  [
    'destroy: it is on its way',
    destroy(),
    intent(),
    { vm: seenVm({ state: 'Starting' }), vmVolumes: disks() },
    'wait VM_STATE',
  ],
  ['destroy: destroyed already', destroy(), intent(), { vm: seenVm({ state: 'Expunging' }) }, 'settled'],
  ['destroy: not shown', destroy(), intent(), { vm: hidden(), vmVolumes: disks() }, 'wait VM_NOT_VISIBLE'],
  ['destroy: never was', destroy(), intent(), { vm: gone(), vmVolumes: disks() }, 'refuse VM_NOT_FOUND'],
  ['destroy: not read', destroy(), intent(), {}, 'wait VM_NOT_VISIBLE'],
  [
    'destroy: the appliance',
    destroy(APPLIANCE),
    intent({ vmId: APPLIANCE }),
    { vm: seenVm({ id: APPLIANCE }), vmVolumes: disks() },
    'refuse APPLIANCE_PROTECTED',
  ],
  [
    'destroy: a VM that the intent does not name',
    destroy(),
    intent({ vmId: null }),
    { vm: seenVm(), vmVolumes: disks() },
    'refuse APPLIANCE_PROTECTED',
  ],
];

function told(command: Mutation, about: Intent, looked: Partial<Guards>): string {
  const answer = permit(command, about, guards(looked), policy);
  return answer.verdict === 'wait' || answer.verdict === 'refuse'
    ? `${answer.verdict} ${answer.code}`
    : answer.verdict;
}

describe('may this mutation leave now?', () => {
  it.each(ROWS)('%s', (_story, command, about, looked, verdict) => {
    expect(told(command, about, looked)).toBe(verdict);
  });

  it('has a row for every command that begins with "go"', () => {
    const allowed = new Set(ROWS.filter(([, , , , verdict]) => verdict === 'go').map(([, { name }]) => name));
    expect([...allowed].sort()).toEqual([
      'attachVolume',
      'createVolume',
      'deleteVolume',
      'destroyVirtualMachine',
      'destroyVolume',
      'detachVolume',
      'stopVirtualMachine',
    ]);
  });

  it('says why, whenever it is not "go"', () => {
    for (const [, command, about, looked] of ROWS) {
      const answer = permit(command, about, guards(looked), policy);
      const words =
        answer.verdict === 'go' ? 'go' : answer.verdict === 'refuse' ? answer.message : answer.reason;
      expect(words.length).toBeGreaterThan(1);
    }
  });
});

/** Every combination of what can be read; the rules below hold in all of them. */
const VOLUMES: readonly (Evidence<ReturnType<typeof volume>> | null)[] = [
  null,
  gone(),
  hidden(),
  ...[...VOLUME_STATES, 'Meditating'].flatMap((state) =>
    [null, APPLIANCE, OTHER_VM, 'third'].flatMap((vmId) =>
      (['ROOT', 'DATADISK'] as const).flatMap((type) => [
        seenVolume({ state, vmId, type, ...(vmId === null ? {} : plug) }),
        ...(vmId === null ? [] : [seenVolume({ state, vmId, type, deviceId: 3, attached: LATER })]),
      ]),
    ),
  ),
];
const VMS: readonly Guards['vm'][] = [
  null,
  gone(),
  hidden(),
  ...['Running', 'Stopped', 'Stopping', 'Destroyed', 'Unknown'].map((state) => seenVm({ state })),
];
const DISKS: readonly Guards['vmVolumes'][] = [
  null,
  hidden(),
  gone(),
  disks(),
  disks(volume({ vmId: OTHER_VM })),
];
const USES: readonly Guards['use'][] = [
  null,
  usedBy(),
  usedBy(MOUNT),
  usedBy(CLIENT),
  unclear(),
  unclear(MOUNT),
];
const COMMANDS = [
  ...[attach(), attach(APPLIANCE, 0), attach(OTHER_VM), attach(OTHER_VM, 0)],
  ...[detach, remove, trash, recover, stop(), stop(APPLIANCE), destroy(), destroy(APPLIANCE)],
];
const INTENTS = [null, APPLIANCE, OTHER_VM].flatMap((vmId) =>
  [true, false].flatMap((force) =>
    [true, false].map((sentBefore) =>
      intent({ vmId, plug, sentBefore, taking: { users: force, clients: force } }),
    ),
  ),
);

describe('in every combination of what can be read', () => {
  it('nothing leaves that breaks a promise', () => {
    let looked = 0;
    const broken: unknown[] = [];
    for (const command of COMMANDS)
      for (const about of INTENTS)
        for (const openJobs of [0, 1])
          for (const of of VOLUMES)
            for (const vm of 'vmId' in command ? VMS : [null])
              for (const vmVolumes of command.name === 'destroyVirtualMachine' ? DISKS : [null])
                for (const use of command.name === 'detachVolume' ? USES : [null]) {
                  looked += 1;
                  const world = guards({ volume: of, vm, vmVolumes, openJobs, use });
                  if (permit(command, about, world, policy).verdict !== 'go') continue;
                  if (!promised(command, about, world)) broken.push({ command, about, world });
                }
    expect(looked).toBeGreaterThan(50_000);
    expect(broken.slice(0, 3)).toEqual([]);
  });
});

/** The promises, said once more from the outside. */
function promised(command: Mutation, { vmId, taking, sentBefore }: Intent, world: Guards): boolean {
  const shown = world.volume?.kind === 'seen' ? world.volume.value : null;
  if ('volumeId' in command && world.openJobs > 0) return false;
  switch (command.name) {
    case 'createVolume':
      return true;
    case 'attachVolume':
      if (!shown || shown.vmId !== null) return false;
      if (command.vmId === APPLIANCE) return command.deviceId !== 0;
      return (
        world.vm?.kind === 'seen' &&
        ['Stopped', ...(command.deviceId === 0 ? [] : ['Running'])].includes(world.vm.value.state)
      );
    case 'detachVolume': {
      if (!shown || shown.vmId === null || shown.vmId !== vmId || shown.attached !== ATTACHED_AT)
        return false;
      if (shown.vmId !== APPLIANCE) return true;
      return shown.type !== 'ROOT' && world.use !== null && (world.use.holders.length === 0 || taking.users);
    }
    case 'deleteVolume':
    case 'destroyVolume':
      if (world.volume?.kind === 'unknown') return sentBefore;
      return shown !== null && (shown.vmId === null || ['Destroy', 'Expunging'].includes(shown.state));
    case 'recoverVolume':
      return shown?.state === 'Destroy';
    case 'stopVirtualMachine':
      return (
        command.vmId !== APPLIANCE &&
        command.vmId === vmId &&
        world.vm?.kind === 'seen' &&
        world.vm.value.state === 'Running'
      );
    case 'destroyVirtualMachine':
      return (
        command.vmId !== APPLIANCE &&
        command.vmId === vmId &&
        world.vm?.kind === 'seen' &&
        world.vm.value.state === 'Stopped' &&
        world.vmVolumes?.kind === 'seen' &&
        world.vmVolumes.value.every(({ type }) => type === 'ROOT')
      );
    default:
      return command satisfies never;
  }
}
