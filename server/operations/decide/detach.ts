import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { Mapping } from '../../model/operation';
import { type Action, type Done, done, giveUp, type Situation } from '../decision';
import { endFailed } from './failure';
import { mutate, tryAgainOrGiveUp } from './mutation';
import { waitWhileBusy } from './volume-state';

const STEP = 'detach-volume';

export interface DetachGoal {
  readonly volumeId: string;
  /** Overrides the in-use guard for this request. */
  readonly force: boolean;
  /** Only ever detach from this VM (cleanup); null = from wherever it is attached. */
  readonly onlyFromVm: string | null;
}

export interface Detached {
  /** Where the guest had it, null when it was never mapped. */
  readonly devicePath: string | null;
  /** CloudStack has no such volume any more. */
  readonly absent: boolean;
}

export function decideDetach(s: Situation<'detach'>): Action {
  const goal: DetachGoal = {
    volumeId: s.operation.request.volume_id,
    force: s.operation.request.force === true,
    onlyFromVm: null,
  };
  const failing = s.journal.failing;
  if (failing) {
    const undone = undoDetach(s, goal);
    return undone.do === 'done' ? endFailed(failing, undone.result) : undone;
  }
  const step = detach(s, goal);
  if (step.do !== 'done') return step;
  if (
    step.result.absent &&
    step.result.devicePath === null &&
    !s.journal.hasIntent &&
    !s.journal.done('unmap')
  ) {
    return giveUp('VOLUME_NOT_FOUND', `Volume ${goal.volumeId} not found in CloudStack`, {
      volume_id: goal.volumeId,
    });
  }
  return {
    do: 'complete',
    response: {
      volume_id: goal.volumeId,
      device_path: step.result.devicePath ?? '',
      message: 'Volume detached successfully',
    },
  };
}

/**
 * The way to "detached in CloudStack, gone from the guest, no mapping, no export". Shared by detach, delete and cleanup.
 * Order (DESIGN section 4): read → guard → withdraw → guard again → intent → submit → job → read back → gone → unmap.
 * From any VM but the appliance no export, file or signal is touched (specification v1.2.1).
 */
export function detach(s: Situation, goal: DetachGoal): Action | Done<Detached> {
  const state = s.journal.mutation(STEP);
  if (state.at === 'intended' || state.at === 'accepted') return detachCall(s, goal);
  const volume = s.facts.volume;
  if (!volume) return { do: 'read-volume', volumeId: goal.volumeId };
  const mapping = s.facts.mapping;
  if (mapping === undefined) return { do: 'read-mapping', volumeId: goal.volumeId };
  if (
    volume === 'absent' ||
    volume.vmId === null ||
    (goal.onlyFromVm !== null && volume.vmId !== goal.onlyFromVm)
  ) {
    return cleanUp(s, goal, volume === 'absent');
  }
  if (state.at === 'ended' && state.outcome === 'refused')
    return tryAgainOrGiveUp(s, STEP, state, 'volume detach');
  const busy = waitWhileBusy(s, volume);
  if (busy) return busy;
  const ready = volume.vmId === s.policy.applianceVmId ? releaseDevice(s, goal, volume) : null;
  if (ready) return ready;
  return state.at === 'ended' ? tryAgainOrGiveUp(s, STEP, state, 'volume detach') : detachCall(s, goal);
}

function detachCall(s: Situation, goal: DetachGoal): Action {
  const step = mutate(s, STEP, { name: 'detachVolume', volumeId: goal.volumeId });
  return step.do === 'done' ? { do: 'read-volume', volumeId: goal.volumeId } : step;
}

/** On the appliance: nobody may be using the disk, and no client may reach it any more. null = go on. */
function releaseDevice(s: Situation, goal: DetachGoal, volume: CloudVolume): Action | null {
  const holders = s.facts.holders;
  if (!holders) return { do: 'read-holders', volumeId: volume.id };
  const connected = holders.filter((holder) => holder.kind === 'nbd-client');
  const used = holders.filter((holder) => holder.kind !== 'nbd-client');
  const mayUse = goal.force || s.policy.detachInUse === 'force';
  const mayCut = goal.force || s.policy.detachConnected === 'disconnect';
  if ((used.length > 0 && !mayUse) || (connected.length > 0 && !mayCut)) {
    const list = holders.map((holder) => `${holder.kind}: ${holder.detail}`);
    return giveUp(
      'DEVICE_IN_USE',
      `The device of volume ${volume.id} is in use, so it was not detached: ${list.join('; ')}`,
      {
        volume_id: volume.id,
        holders: holders.map((holder) => ({ kind: holder.kind, detail: holder.detail })),
      },
    );
  }
  if (holders.length > 0 && !s.journal.done('guard')) {
    return {
      do: 'record',
      step: 'guard',
      state: 'done',
      data: { forced: true, holders: holders.map((holder) => `${holder.kind}: ${holder.detail}`) },
    };
  }
  if (s.journal.standing('withdraw', 'republish')) return null;
  // Performing it forgets the holders: a client that slipped in before the link went is seen by the second look.
  return { do: 'withdraw', volumeId: volume.id, force: mayCut };
}

/** CloudStack says it is attached nowhere (or not where we were asked to detach it from): the rest of the world follows. */
function cleanUp(s: Situation, goal: DetachGoal, absent: boolean): Action | Done<Detached> {
  const mapping = s.facts.mapping === 'none' || s.facts.mapping === undefined ? null : s.facts.mapping;
  if (mapping && mapping.vmId !== s.policy.applianceVmId) {
    const asked = goal.onlyFromVm === null || mapping.vmId === goal.onlyFromVm;
    return asked ? unmap(mapping) : done({ devicePath: mapping.devicePath, absent });
  }
  if (goal.onlyFromVm === null) {
    const left = leaveGuest(s, goal, mapping);
    if (left) return left;
  }
  const path = s.journal.done('unmap')?.device_path;
  return done({ devicePath: typeof path === 'string' ? path : null, absent });
}

/** The appliance's side of a volume that is detached: export withdrawn, disk gone from the guest, mapping removed. null = all done. */
function leaveGuest(s: Situation, goal: DetachGoal, mapping: Mapping | null): Action | null {
  if (mapping && !s.journal.standing('withdraw', 'republish'))
    return { do: 'withdraw', volumeId: goal.volumeId, force: true };
  if (s.facts.gone === undefined)
    return { do: 'await-gone', volumeId: goal.volumeId, timeout: LIMITS.DEVICE_GONE_DEADLINE_MS };
  if (mapping) return unmap(mapping);
  if (s.facts.gone) return null;
  return giveUp(
    'DEVICE_STILL_PRESENT',
    `CloudStack says volume ${goal.volumeId} is detached, but this guest still has its disk (ghost disk)`,
    {
      volume_id: goal.volumeId,
    },
  );
}

function unmap({ volumeId, vmId, devicePath }: Mapping): Action {
  return {
    do: 'record',
    step: 'unmap',
    state: 'done',
    data: { device_path: devicePath, vm_id: vmId },
    effects: [{ kind: 'delete-mapping', volumeId, vmId }],
    forget: ['mapping'],
  };
}

/** A detach that failed leaves the volume attached: its export comes back, if we took it away. */
export function undoDetach(s: Situation, goal: DetachGoal): Action | Done<string[]> {
  if (!s.journal.standing('withdraw', 'republish')) return done([]);
  const mapping = s.facts.mapping;
  if (mapping === undefined) return { do: 'read-mapping', volumeId: goal.volumeId };
  if (mapping === 'none') return done([]);
  const volume = s.facts.volume;
  if (!volume) return { do: 'read-volume', volumeId: goal.volumeId };
  if (volume === 'absent' || volume.vmId !== s.policy.applianceVmId) return done([]);
  const error = s.facts.publishError;
  if (error)
    return done([
      `the export is withdrawn and could not be published again: ${error.message}; sync will try`,
    ]);
  return { do: 'republish', volumeId: goal.volumeId };
}
