import { describe, expect, it } from 'vitest';
import { seen, unknown } from '~/server/model/evidence';
import { permit } from '~/server/operations/decide/permit';
import type { DiskUse, Guards, Intent, Mutation, VmDisk } from '~/server/operations/decision';
import {
  ATTACHED_AT,
  attach,
  create,
  destroy,
  detach,
  disks,
  free,
  fromHere,
  here,
  intent,
  LATER,
  plug,
  recover,
  remove,
  stop,
  there,
  trash,
  unclear,
} from './mutations';
import {
  APPLIANCE,
  CLIENT,
  gone,
  guards,
  hidden,
  LEAVING,
  MADE,
  MOUNT,
  OTHER_VM,
  policy,
  seenVm,
  seenVolume,
  usedBy,
  volume,
} from './situations';

type Row = [
  story: string,
  command: Mutation,
  about: Intent,
  looked: Partial<Guards>,
  verdict: 'go' | 'wait' | 'settled' | `refuse ${string}` | `wait ${string}`,
];

const ROWS: readonly Row[] = [
  ['recover: in the trash', recover, intent(), { volume: seenVolume({ state: 'Destroy' }) }, 'go'],
  ['recover: never deleted', recover, intent(), { volume: free }, 'settled'],
  ['recover: gone', recover, intent(), { volume: gone() }, 'settled'],
  ['recover: not shown', recover, intent(), { volume: hidden() }, 'wait VOLUME_NOT_VISIBLE'],
  [
    'recover: another job may run',
    recover,
    intent(),
    { volume: seenVolume({ state: 'Destroy' }), openJobs: 1 },
    'wait VOLUME_BUSY',
  ],
  [
    'recover: being deleted',
    recover,
    intent(),
    { volume: seenVolume({ state: 'Destroying' }) },
    'wait VOLUME_BUSY',
  ],
  [
    'recover: being expunged',
    recover,
    intent(),
    { volume: seenVolume({ state: 'Expunging' }) },
    'refuse VOLUME_STATE',
  ],
  ['a create depends on nothing', create, intent(), {}, 'go'],

  ['attach: a free volume to the appliance', attach(), intent(), { volume: free }, 'go'],
  ['attach: there already', attach(), intent(), { volume: here }, 'settled'],
  ['attach: on another VM', attach(), intent(), { volume: there }, 'refuse VOLUME_ATTACHED_ELSEWHERE'],
  ['attach: gone', attach(), intent(), { volume: gone() }, 'settled'],
  ['attach: its disk is here still', attach(), intent(), { volume: free, ghost: true }, 'settled'],
  [
    'attach: to another VM, and its disk is here still',
    attach(OTHER_VM),
    intent(),
    { volume: free, vm: seenVm(), ghost: true },
    'settled',
  ],
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
    'detach: the intent does not know when it was plugged, and in which place',
    detach,
    intent({ plug: { deviceId: null, attached: null } }),
    { volume: there },
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
    'detach: its VM migrates',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, vmState: 'Migrating' }) },
    'wait VM_STATE',
  ],
  [
    'detach: nobody knows what has become of its VM',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, vmState: 'Error' }) },
    'refuse VM_STATE',
  ],
  [
    'detach: its VM is destroyed',
    detach,
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, vmState: 'Destroyed' }) },
    'go',
  ],
  [
    'detach: from here, while this VM migrates',
    detach,
    fromHere,
    { volume: seenVolume({ vmId: APPLIANCE, vmState: 'Migrating' }), use: usedBy() },
    'wait VM_STATE',
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
  ...(
    [
      ['is stopped', { vm: seenVm() }, null, 'go'],
      ['is destroyed', { vm: seenVm({ state: 'Destroyed' }) }, null, 'go'],
      ['runs by now', { vm: seenVm({ state: 'Running' }) }, null, 'refuse VM_NOT_STOPPED'],
      [
        'runs by now, as an older list does not say',
        { vm: seenVm({ state: 'Running' }) },
        'Stopped',
        'refuse VM_NOT_STOPPED',
      ],
      ['starts', { vm: seenVm({ state: 'Starting' }) }, null, 'wait VM_STATE'],
      ['is in a state that says nothing', { vm: seenVm({ state: 'Unknown' }) }, null, 'refuse VM_STATE'],
      ['is not shown', { vm: hidden() }, null, 'wait VM_NOT_VISIBLE'],
      ['is not shown, and its disk names it as destroyed', { vm: hidden() }, 'Destroyed', 'go'],
      [
        'is not shown, and its disk names it as running',
        { vm: hidden() },
        'Running',
        'refuse VM_NOT_STOPPED',
      ],
      ['was not read', {}, null, 'wait VM_NOT_VISIBLE'],
    ] as const
  ).map(([how, looked, vmState, verdict]): Row => {
    const volume = seenVolume({ vmId: OTHER_VM, vmState, ...plug });
    return [
      `detach: only from a VM that does not run, which ${how}`,
      detach,
      intent({ plug, stillOnly: true }),
      { volume, ...looked },
      verdict,
    ];
  }),
  ['detach: from here, nobody uses it', detach, fromHere, { volume: here, use: usedBy() }, 'go'],
  [
    'detach: from here, the disk is not there',
    detach,
    fromHere,
    { volume: here, use: { disk: 'not-there', holders: [] } },
    'go',
  ],
  ...(
    [
      ['has it by now', usedBy(), 'settled'],
      ['has it by now, and uses it', usedBy(MOUNT), 'settled'],
      ['does not have it', { disk: 'not-there', holders: [] }, 'go'],
    ] as const
  ).map(
    ([how, use, verdict]): Row => [
      `detach: from here, only while this guest does not have the disk, which ${how}`,
      detach,
      { ...fromHere, missingOnly: true },
      { volume: here, use },
      verdict,
    ],
  ),
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
    { ...fromHere, ignored: { users: true, clients: false } },
    { volume: here, use: usedBy(MOUNT) },
    'go',
  ],
  [
    'detach: mounted and a client, only clients do not count',
    detach,
    { ...fromHere, ignored: { users: false, clients: true } },
    { volume: here, use: usedBy(MOUNT, CLIENT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: mounted and a client, only users do not count',
    detach,
    { ...fromHere, ignored: { users: true, clients: false } },
    { volume: here, use: usedBy(MOUNT, CLIENT) },
    'refuse DEVICE_IN_USE',
  ],
  [
    'detach: forced altogether, even when it is unclear which disk',
    detach,
    { ...fromHere, ignored: { users: true, clients: true } },
    { volume: here, use: unclear(MOUNT, CLIENT) },
    'go',
  ],
  [
    'detach: the root disk of the appliance, forced',
    detach,
    { ...fromHere, ignored: { users: true, clients: true } },
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
      [
        by('left in Expunging, still named with its VM'),
        command,
        intent(),
        { volume: seenVolume({ vmId: OTHER_VM, state: 'Expunging' }) },
        'go',
      ],
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

  ['stop: the VM of the intent', stop(), intent(), { vm: seenVm({ state: 'Running' }), volume: there }, 'go'],
  ...(
    [
      ['has been taken from it', { volume: free }, 'settled'],
      ['is gone', { volume: gone() }, 'settled'],
      ['is not shown', { volume: hidden() }, 'wait VOLUME_NOT_VISIBLE'],
      ['was not read', {}, 'wait VOLUME_NOT_VISIBLE'],
    ] as const
  ).map(
    ([how, looked, verdict]): Row => [
      `stop: the disk that it is stopped for ${how}`,
      stop(),
      intent(),
      { vm: seenVm({ state: 'Running' }), ...looked },
      verdict,
    ],
  ),
  ['stop: it does not run', stop(), intent(), { vm: seenVm() }, 'settled'],
  ['stop: it is destroyed', stop(), intent(), { vm: seenVm({ state: 'Destroyed' }) }, 'settled'],
  [
    'stop: it is on its way',
    stop(),
    intent(),
    { vm: seenVm({ state: 'Stopping' }), volume: there },
    'wait VM_STATE',
  ],
  [
    'stop: nobody knows whether it runs',
    stop(),
    intent(),
    { vm: seenVm({ state: 'Error' }), volume: there },
    'refuse VM_STATE',
  ],
  ['stop: not shown', stop(), intent(), { vm: hidden(), volume: there }, 'wait VM_NOT_VISIBLE'],
  ['stop: never was', stop(), intent(), { vm: gone(), volume: there }, 'refuse VM_NOT_FOUND'],
  ['stop: not read', stop(), intent(), { volume: there }, 'wait VM_NOT_VISIBLE'],
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
    'destroy: its root disk is a volume of ours, attached as such',
    destroy(),
    intent(),
    {
      vm: seenVm(),
      vmVolumes: rootOf({ created: MADE, ours: true }),
    },
    'refuse VM_HAS_DISKS',
  ],
  ...([true, false] as const).flatMap((runs): Row[] => {
    const neighbour = { vmId: OTHER_VM, owner: 'their daemon', runs };
    const how = runs ? 'runs' : 'ran once';
    const verdict = runs ? 'refuse APPLIANCE_PROTECTED' : 'go';
    return [
      [
        `attach: to a VM where another daemon ${how}`,
        attach(OTHER_VM),
        intent(),
        { volume: seenVolume(), vm: seenVm(), neighbour },
        verdict,
      ],
      [
        `detach: from a VM where another daemon ${how}`,
        detach,
        intent({ plug }),
        { volume: seenVolume({ vmId: OTHER_VM, ...plug }), neighbour },
        verdict,
      ],
      [
        `stop: a VM where another daemon ${how}`,
        stop(),
        intent(),
        { vm: seenVm({ state: 'Running' }), neighbour },
        'refuse APPLIANCE_PROTECTED',
      ],
      [
        `destroy: a VM where another daemon ${how}`,
        destroy(),
        intent(),
        { vm: seenVm(), vmVolumes: disks(), neighbour },
        'refuse APPLIANCE_PROTECTED',
      ],
    ];
  }),
  [
    'destroy: no row names its root disk, which was made before the VM, as every migrated disk is',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: rootOf({ created: '2026-01-15T11:58:00.000Z', ours: false }) },
    'refuse VM_HAS_DISKS',
  ],
  [
    'destroy: its root disk was put in its place later',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: rootOf({ created: '2026-03-01T00:00:00.000Z', ours: false }) },
    'refuse VM_HAS_DISKS',
  ],
  [
    'destroy: CloudStack does not say when its root disk was made',
    destroy(),
    intent(),
    { vm: seenVm(), vmVolumes: rootOf({ created: null, ours: false }) },
    'refuse VM_HAS_DISKS',
  ],
  [
    'destroy: CloudStack does not say when it was made',
    destroy(),
    intent(),
    { vm: seenVm({ created: null }), vmVolumes: disks() },
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

/** The VM's root disk and no other. */
function rootOf(fields: Required<Pick<VmDisk, 'created' | 'ours'>>): Guards['vmVolumes'] {
  return seen([{ ...volume({ vmId: OTHER_VM, type: 'ROOT' }), ...fields }], 0, 'cloudstack');
}

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
      'recoverVolume',
      'stopVirtualMachine',
    ]);
  });

  it('names who uses the disk, how many clients are connected, and since when nothing flows', () => {
    const busy = (traffic: DiskUse['traffic'], ...holders: DiskUse['holders']) => {
      const answer = permit(
        detach,
        fromHere,
        guards({ volume: here, use: { ...usedBy(...holders), ...(traffic && { traffic }) } }),
        policy,
      );
      return answer.verdict === 'refuse' ? { said: answer.message, details: answer.details } : null;
    };
    const flow = { readBytes: 0, writtenBytes: 0, readRate: null, writeRate: null, observedForMs: 60_000 };
    const silent = (lastIoAgoMs: number | null) => seen({ ...flow, lastIoAgoMs }, 100_000, 'guest');
    expect(busy(silent(40_000), CLIENT, LEAVING)).toMatchObject({
      said: expect.stringContaining(
        '; 1 NBD client connected, the last I/O was 40 s ago, at 1970-01-01T00:01',
      ),
      details: { clients: 1, last_io_at: '1970-01-01T00:01:00.000Z' },
    });
    expect(busy(silent(null), CLIENT, CLIENT)).toMatchObject({
      said: expect.stringMatching(
        /; 2 NBD clients connected, no I\/O since the daemon began to look 60 s ago$/,
      ),
      details: { clients: 2, last_io_at: null },
    });
    expect(busy(unknown('no counters', 0, 'guest'), CLIENT, MOUNT)).toMatchObject({
      said: expect.stringMatching(/; 1 NBD client connected; the last I\/O is not known: no counters$/),
      details: { clients: 1, last_io_at: null },
    });
    expect(busy(undefined, MOUNT)?.said).toMatch(/is in use, .*: .*\/mnt\/data$/);
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
