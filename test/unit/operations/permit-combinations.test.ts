import { describe, expect, it } from 'vitest';
import { VOLUME_STATES } from '~/server/cloudstack/volume-states';
import type { Evidence } from '~/server/model/evidence';
import type { Mutation } from '~/server/operations/action';
import { permit } from '~/server/operations/decide/permit';
import type { Guards, Intent } from '~/server/operations/decision';
import {
  ATTACHED_AT,
  attach,
  deleteSnapshot,
  destroy,
  detach,
  disks,
  intent,
  LATER,
  plug,
  recover,
  remove,
  resize,
  revert,
  seenSnapshot,
  snapshot,
  stop,
  taken,
  trash,
  unclear,
} from './mutations';
import {
  APPLIANCE,
  CLIENT,
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
  VOLUME,
  volume,
} from './situations';

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
const SNAPSHOTS: readonly Guards['snapshot'][] = [
  null,
  gone(),
  hidden(),
  ...['BackedUp', 'BackingUp', 'Error', 'Meditating'].map((state) => seenSnapshot({ state })),
  seenSnapshot({ volumeId: 'another' }),
];
const OWN: readonly Guards['ownSnapshots'][] = [
  null,
  [],
  ...['BackedUp', 'BackingUp', 'Error'].map((state) => [taken({ state })]),
];
const MAPPINGS: readonly Guards['mapping'][] = [
  null,
  hidden(),
  rowOf(null),
  rowOf(mapping()),
  rowOf(mapping({ vmId: OTHER_VM })),
];
const CONTENT = [resize(), resize(5), resize(4), snapshot, deleteSnapshot, revert];
const COMMANDS = [
  ...[attach(), attach(APPLIANCE, 0), attach(OTHER_VM), attach(OTHER_VM, 0)],
  ...[detach, remove, trash, recover, stop(), stop(APPLIANCE), destroy(), destroy(APPLIANCE)],
];
const INTENTS = [null, APPLIANCE, OTHER_VM].flatMap((vmId) =>
  [true, false].flatMap((force) =>
    [true, false].map((sentBefore) =>
      intent({ vmId, plug, sentBefore, ignored: { users: force, clients: force } }),
    ),
  ),
);
const STILL_ONLY = [APPLIANCE, OTHER_VM].map((vmId) => intent({ vmId, plug, stillOnly: true }));

/** Of a revert, which depends on more than any other, a few states stand for all. */
function volumesFor({ name }: Mutation): typeof VOLUMES {
  if (name !== 'revertSnapshot') return VOLUMES;
  const some = new Set(['Ready', 'Allocated', 'Snapshotting', 'Destroy']);
  return VOLUMES.filter((one) => one?.kind !== 'seen' || some.has(one.value.state));
}

/** What is read of snapshots and mappings, for the commands that ask for it. */
function* looks({ name }: Mutation): Generator<Partial<Guards>> {
  const about = name === 'revertSnapshot' || name === 'deleteSnapshot' ? SNAPSHOTS : [null];
  for (const one of about)
    for (const ownSnapshots of name === 'createSnapshot' ? OWN : [null])
      for (const row of name === 'revertSnapshot' ? MAPPINGS : [null])
        for (const exported of name === 'revertSnapshot' ? [false, true] : [null])
          for (const ghost of name === 'revertSnapshot' ? [false, true] : [null])
            yield { snapshot: one, ownSnapshots, mapping: row, exported, ghost };
}

describe('in every combination of what can be read', () => {
  it('no content of a volume changes that breaks a promise', () => {
    let looked = 0;
    const broken: unknown[] = [];
    for (const command of CONTENT)
      for (const about of INTENTS.filter(({ ignored }) => !ignored.users))
        for (const openJobs of [0, 1])
          for (const of of volumesFor(command))
            for (const vm of command.name === 'revertSnapshot' ? VMS : [null])
              for (const use of command.name === 'revertSnapshot' ? USES : [null])
                for (const look of looks(command)) {
                  looked += 1;
                  const world = guards({ volume: of, vm, use, openJobs, ...look });
                  if (permit(command, about, world, policy).verdict !== 'go') continue;
                  if (!promised(command, about, world)) broken.push({ command, about, world });
                }
    expect(looked).toBeGreaterThan(50_000);
    expect(broken.slice(0, 3)).toEqual([]);
  });

  it('nothing leaves that breaks a promise', () => {
    let looked = 0;
    const broken: unknown[] = [];
    for (const command of COMMANDS)
      for (const about of command.name === 'detachVolume' ? [...INTENTS, ...STILL_ONLY] : INTENTS)
        for (const openJobs of [0, 1])
          for (const of of VOLUMES)
            for (const vm of 'vmId' in command || about.stillOnly ? VMS : [null])
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
function promised(command: Mutation, about: Intent, world: Guards): boolean {
  const { vmId, ignored, stillOnly, sentBefore } = about;
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
      if (shown.vmId !== APPLIANCE)
        return (
          !stillOnly || (world.vm?.kind === 'seen' && ['Stopped', 'Destroyed'].includes(world.vm.value.state))
        );
      return shown.type !== 'ROOT' && world.use !== null && (world.use.holders.length === 0 || ignored.users);
    }
    case 'deleteVolume':
    case 'destroyVolume':
      if (world.volume?.kind === 'unknown') return sentBefore;
      return shown !== null && (shown.vmId === null || ['Destroy', 'Expunging'].includes(shown.state));
    case 'recoverVolume':
      return shown?.state === 'Destroy';
    case 'resizeVolume':
      // The volume of these tests has 5 GiB.
      return shown !== null && command.sizeGiB > 5 && shown.vmId === vmId;
    case 'createSnapshot':
      return (
        shown?.state === 'Ready' &&
        shown.vmId === vmId &&
        (world.ownSnapshots?.every(({ state }) => state === 'Error') ?? false)
      );
    case 'deleteSnapshot': {
      if (world.snapshot?.kind === 'unknown') return sentBefore;
      const of = world.snapshot?.kind === 'seen' ? world.snapshot.value : null;
      return of?.volumeId === VOLUME && ['BackedUp', 'Error'].includes(of.state);
    }
    case 'revertSnapshot': {
      const of = world.snapshot?.kind === 'seen' ? world.snapshot.value : null;
      const row = world.mapping?.kind === 'seen' ? world.mapping.value.vmId : null;
      const mapped = row === APPLIANCE || world.mapping?.kind === 'unknown';
      const away = shown?.vmId !== APPLIANCE && !mapped && world.exported === false;
      const free = shown?.vmId === null || (world.vm?.kind === 'seen' && world.vm.value.state === 'Stopped');
      const unused = world.use !== null && world.use.disk !== 'found' && world.use.holders.length === 0;
      const gone = world.ghost === false;
      const same = shown?.vmId === vmId && (shown?.vmId === null || shown?.attached === ATTACHED_AT);
      return (
        of?.volumeId === VOLUME &&
        of.state === 'BackedUp' &&
        shown?.state === 'Ready' &&
        away &&
        free &&
        unused &&
        gone &&
        same
      );
    }
    case 'stopVirtualMachine':
      return (
        command.vmId !== APPLIANCE &&
        command.vmId === vmId &&
        shown?.vmId === vmId &&
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
