import { seen, unknown } from '~/server/model/evidence';
import type { Guards, VmDisk } from '~/server/operations/decision';
import { attach, destroy, detach, disks, free, intent, plug, stop, there } from '../mutations';
import { APPLIANCE, gone, hidden, MADE, OTHER_VM, seenVm, seenVolume, volume } from '../situations';
import type { Row } from './row';

/** VMs that are stopped or destroyed. */
export const ROWS_OF_VMS: readonly Row[] = [
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
