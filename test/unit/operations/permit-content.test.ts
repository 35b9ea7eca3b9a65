import { describe, expect, it } from 'vitest';
import type { Mutation } from '~/server/operations/action';
import { permit } from '~/server/operations/decide/permit';
import type { Guards, Intent } from '~/server/operations/decision';
import {
  deleteSnapshot,
  free,
  fromHere,
  here,
  intent,
  LATER,
  plug,
  resize,
  revert,
  seenSnapshot,
  snapshot,
  taken,
  there,
  unclear,
} from './mutations';
import {
  APPLIANCE,
  gone,
  guards,
  hidden,
  MOUNT,
  mapping,
  OTHER_VM,
  policy,
  rowOf,
  seenVm,
  seenVolume,
  usedBy,
} from './situations';

type Row = [
  story: string,
  command: Mutation,
  about: Intent,
  seen: Partial<Guards>,
  verdict: 'go' | 'wait' | 'settled' | `refuse ${string}` | `wait ${string}`,
];

/** A whole snapshot of it, and nothing of it on this appliance. */
const away = (volume: Guards['volume']): Partial<Guards> => ({
  volume,
  snapshot: seenSnapshot(),
  mapping: rowOf(null),
  exported: false,
  ghost: false,
  use: { disk: 'not-there', holders: [] },
});

const ROWS: readonly Row[] = [
  ['resize: a detached volume that is smaller', resize(), intent({ vmId: null }), { volume: free }, 'go'],
  ['resize: attached where the intent says', resize(), fromHere, { volume: here }, 'go'],
  ['resize: as large already', resize(5), intent({ vmId: null }), { volume: free }, 'settled'],
  ['resize: larger', resize(4), intent({ vmId: null }), { volume: free }, 'refuse VOLUME_WOULD_SHRINK'],
  [
    'resize: nobody says how large it is',
    resize(),
    intent({ vmId: null }),
    { volume: seenVolume({ size: null }) },
    'wait VOLUME_STATE',
  ],
  ['resize: moved meanwhile', resize(), fromHere, { volume: there }, 'refuse VOLUME_ATTACHED_ELSEWHERE'],
  [
    'resize: the root disk of the appliance',
    resize(),
    fromHere,
    { volume: seenVolume({ vmId: APPLIANCE, type: 'ROOT', ...plug }) },
    'refuse APPLIANCE_PROTECTED',
  ],
  [
    'resize: its VM is starting',
    resize(),
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, vmState: 'Starting' }) },
    'wait VM_STATE',
  ],
  [
    'resize: the root disk of another VM',
    resize(),
    intent(),
    { volume: seenVolume({ vmId: OTHER_VM, type: 'ROOT', ...plug }) },
    'go',
  ],
  [
    'resize: it migrates',
    resize(),
    intent({ vmId: null }),
    { volume: seenVolume({ state: 'Migrating' }) },
    'wait VOLUME_BUSY',
  ],

  ['snapshot: none of this operation yet', snapshot, fromHere, { volume: here, ownSnapshots: [] }, 'go'],
  [
    'snapshot: moved meanwhile',
    snapshot,
    fromHere,
    { volume: there, ownSnapshots: [] },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'snapshot: detached meanwhile',
    snapshot,
    fromHere,
    { volume: free, ownSnapshots: [] },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'snapshot: an earlier try has failed',
    snapshot,
    intent({ vmId: null }),
    { volume: free, ownSnapshots: [taken({ state: 'Error' })] },
    'go',
  ],
  [
    'snapshot: one of this operation stands',
    snapshot,
    intent(),
    { volume: free, ownSnapshots: [taken({ state: 'BackingUp' })] },
    'settled',
  ],
  ['snapshot: nobody has looked', snapshot, intent(), { volume: free }, 'wait SNAPSHOT_NOT_VISIBLE'],
  [
    'snapshot: nothing is there to take',
    snapshot,
    intent({ vmId: null }),
    { volume: seenVolume({ state: 'Allocated' }), ownSnapshots: [] },
    'refuse VOLUME_STATE',
  ],

  ['delete of a snapshot', deleteSnapshot, intent(), { volume: free, snapshot: seenSnapshot() }, 'go'],
  [
    'delete of a snapshot whose volume is gone',
    deleteSnapshot,
    intent(),
    { volume: gone(), snapshot: seenSnapshot() },
    'go',
  ],
  ['delete of a snapshot: gone', deleteSnapshot, intent(), { snapshot: gone() }, 'settled'],
  [
    'delete of a snapshot: not shown',
    deleteSnapshot,
    intent(),
    { snapshot: hidden() },
    'wait SNAPSHOT_NOT_VISIBLE',
  ],
  [
    'delete of a snapshot: not shown any more',
    deleteSnapshot,
    intent({ sentBefore: true }),
    { snapshot: hidden() },
    'go',
  ],
  [
    'delete of a snapshot: of another volume',
    deleteSnapshot,
    intent(),
    { snapshot: seenSnapshot({ volumeId: 'another' }) },
    'refuse SNAPSHOT_MISMATCH',
  ],
  [
    'delete of a snapshot: its volume is being reverted',
    deleteSnapshot,
    intent(),
    { volume: seenVolume({ state: 'RevertSnapshotting' }), snapshot: seenSnapshot() },
    'wait VOLUME_BUSY',
  ],
  [
    'delete of a snapshot: another job of its volume may run',
    deleteSnapshot,
    intent(),
    { volume: free, snapshot: seenSnapshot(), openJobs: 1 },
    'wait VOLUME_BUSY',
  ],
  [
    'delete of a snapshot: it is being taken',
    deleteSnapshot,
    intent(),
    { volume: free, snapshot: seenSnapshot({ state: 'BackingUp' }) },
    'wait SNAPSHOT_STATE',
  ],
  [
    'delete of a snapshot: sent before, and nobody has looked since',
    deleteSnapshot,
    intent({ sentBefore: true }),
    { volume: free, snapshot: null },
    'wait SNAPSHOT_NOT_VISIBLE',
  ],

  ['revert: detached, and nothing of it here', revert, intent({ vmId: null }), away(free), 'go'],
  ['revert: its VM is stopped', revert, intent({ plug }), { ...away(there), vm: seenVm() }, 'go'],
  [
    'revert: its VM runs',
    revert,
    intent({ plug }),
    { ...away(there), vm: seenVm({ state: 'Running' }) },
    'refuse VM_NOT_STOPPED',
  ],
  [
    'revert: attached to the appliance',
    revert,
    fromHere,
    { ...away(here), vm: seenVm() },
    'refuse VOLUME_ATTACHED_HERE',
  ],
  [
    'revert: another daemon that runs has mapped it, and its guest may have the disk',
    revert,
    intent({ vmId: null }),
    { ...away(free), neighbour: { vmId: OTHER_VM, owner: 'their daemon', runs: true } },
    'refuse APPLIANCE_PROTECTED',
  ],
  [
    'revert: mapped to the appliance',
    revert,
    intent({ vmId: null }),
    { ...away(free), mapping: rowOf(mapping()) },
    'refuse VOLUME_ATTACHED_HERE',
  ],
  [
    'revert: exported here, though its row was deleted by somebody else',
    revert,
    intent({ vmId: null }),
    { ...away(free), exported: true },
    'refuse VOLUME_ATTACHED_HERE',
  ],
  [
    'revert: nobody has asked the export server',
    revert,
    intent({ vmId: null }),
    { ...away(free), exported: null },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: its disk is still in this guest',
    revert,
    intent({ vmId: null }),
    { ...away(free), use: usedBy() },
    'refuse DEVICE_STILL_PRESENT',
  ],
  [
    'revert: a disk of this guest that cannot be read may be it',
    revert,
    intent({ vmId: null }),
    { ...away(free), ghost: true },
    'refuse DEVICE_STILL_PRESENT',
  ],
  [
    'revert: one of the disks in use may be it',
    revert,
    intent({ vmId: null }),
    { ...away(free), use: unclear(MOUNT) },
    'refuse DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: nobody has looked at this guest',
    revert,
    intent({ vmId: null }),
    { ...away(free), use: null },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: nobody has read its row',
    revert,
    intent({ vmId: null }),
    { ...away(free), mapping: null },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: its row cannot be read',
    revert,
    intent({ vmId: null }),
    { ...away(free), mapping: hidden() },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: nobody has looked for a disk that was left here',
    revert,
    intent({ vmId: null }),
    { ...away(free), ghost: null },
    'wait DEVICE_NOT_IDENTIFIED',
  ],
  [
    'revert: it is being snapshotted',
    revert,
    intent({ vmId: null }),
    away(seenVolume({ state: 'Snapshotting' })),
    'wait VOLUME_BUSY',
  ],
  [
    'revert: the snapshot is being taken',
    revert,
    intent({ vmId: null }),
    { ...away(free), snapshot: seenSnapshot({ state: 'BackingUp' }) },
    'wait SNAPSHOT_STATE',
  ],
  [
    'revert: attached meanwhile',
    revert,
    intent({ vmId: null }),
    { ...away(there), vm: seenVm() },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'revert: attached anew meanwhile',
    revert,
    intent({ plug }),
    { ...away(seenVolume({ vmId: OTHER_VM, deviceId: 1, attached: LATER })), vm: seenVm() },
    'refuse VOLUME_ATTACHED_ELSEWHERE',
  ],
  [
    'revert: the snapshot is of another volume',
    revert,
    intent({ vmId: null }),
    { ...away(free), snapshot: seenSnapshot({ volumeId: 'another' }) },
    'refuse SNAPSHOT_MISMATCH',
  ],
  [
    'revert: the snapshot holds nothing',
    revert,
    intent({ vmId: null }),
    { ...away(free), snapshot: seenSnapshot({ state: 'Error' }) },
    'refuse SNAPSHOT_STATE',
  ],
  [
    'revert: the snapshot is gone',
    revert,
    intent({ vmId: null }),
    { ...away(free), snapshot: gone() },
    'refuse SNAPSHOT_NOT_FOUND',
  ],
];

describe('may the size or the content of a volume change now?', () => {
  it.each(ROWS)('%s', (_story, command, about, looked, verdict) => {
    const answer = permit(command, about, guards(looked), policy);
    const said =
      answer.verdict === 'wait' || answer.verdict === 'refuse'
        ? `${answer.verdict} ${answer.code}`
        : answer.verdict;
    expect(said).toBe(verdict);
    const words =
      answer.verdict === 'go' ? 'go' : answer.verdict === 'refuse' ? answer.message : answer.reason;
    expect(words.length).toBeGreaterThan(1);
  });

  it('while this daemon does not know its own VM nothing is reverted; the size of a detached root disk may grow', () => {
    const unplaced = { ...policy, applianceVmId: null };
    const detached = intent({ vmId: null });
    expect(permit(revert, detached, guards(away(free)), unplaced)).toMatchObject({
      verdict: 'wait',
      code: 'DEVICE_NOT_IDENTIFIED',
    });
    const root = guards({ volume: seenVolume({ type: 'ROOT' }) });
    expect(permit(resize(), detached, root, unplaced)).toEqual({ verdict: 'go' });
  });

  it('the refusal says how this appliance has it, and of which volume the snapshot is', () => {
    const said = (about: Intent, looked: Partial<Guards>) => {
      const answer = permit(revert, about, guards(looked), policy);
      return answer.verdict === 'refuse' ? answer.message : answer.verdict;
    };
    const detached = intent({ vmId: null });
    expect(said(fromHere, { ...away(here), mapping: rowOf(mapping()) })).toContain('is attached to this');
    expect(said(detached, { ...away(free), mapping: rowOf(mapping()) })).toContain('is mapped to this');
    expect(said(detached, { ...away(free), exported: true })).toContain('is exported by this');
    const another = seenSnapshot({ volumeId: 'another' });
    expect(said(detached, { ...away(free), snapshot: another })).toContain('of volume another');
  });
});
