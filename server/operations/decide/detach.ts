import type { CloudVolume } from '../../cloudstack/cloud';
import { stateOf } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import { describeHolder } from '../../devices/disk-users';
import type { Mapping } from '../../model/operation';
import { type Action, type Done, done, giveUp } from '../action';
import type { DiskUse, IgnoredUsers, Situation } from '../decision';
import type { Policy } from '../policy';
import { endFailed, openCall } from './failure';
import { intentOf, plugData } from './intent';
import { lookAgain } from './look-again';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { inTheWay, inUseCode, inUseDetails, inUseMessage } from './permit';
import { samePlug } from './permit-parts';
import {
  doubtDisk,
  doubtTheEffect,
  doubtTheRead,
  knownVolume,
  leaveTheirRow,
  leaveToNeighbour,
  waitForOpenJobs,
  waitWhileBusy,
} from './volume';

const STEP = 'detach-volume';

/** What is to be detached, and what may be overridden for it. */
export interface DetachGoal {
  readonly volumeId: string;
  /** Overrides the in-use guard for this request. */
  readonly force: boolean;
  /** Only ever detach from this VM (cleanup); null = from wherever it is attached. */
  readonly onlyFromVm: string | null;
}

/** The result of a detach that reached its goal. */
export interface Detached {
  /** Its device path in the guest, null when it was never mapped. */
  readonly devicePath: string | null;
  /** True when CloudStack has no such volume any more. */
  readonly absent: boolean;
}

/**
 * The operation detach. A volume that does not exist and has left nothing here was not found; any other end
 * is a success, also where somebody else has detached it.
 */
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
  const { absent, devicePath } = step.result;
  if (absent && !s.journal.hasIntent && !s.journal.done('unmap')) {
    return giveUp('VOLUME_NOT_FOUND', `Volume ${goal.volumeId} not found in CloudStack`, {
      volume_id: goal.volumeId,
    });
  }
  return {
    do: 'complete',
    response: {
      volume_id: goal.volumeId,
      device_path: devicePath ?? '',
      message: 'Volume detached successfully',
    },
  };
}

/**
 * Leads to "detached in CloudStack, gone from the guest, no mapping, no export". Shared by detach, delete and
 * cleanup. Order: read → in-use check → withdraw → intent → guards → send → job → read back → gone → unmap. A
 * detach from another VM touches no export, file or signal of this appliance (specification v1.2.1), unless
 * an export of this very volume was left here.
 */
export function detach(s: Situation, goal: DetachGoal): Action | Done<Detached> {
  const { volumeId } = goal;
  const state = s.journal.mutation(STEP);
  if (state.at === 'intended' || state.at === 'accepted')
    return follow(s, STEP, state, { name: 'detachVolume', volumeId });
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (s.facts.mapping === undefined) return { do: 'read-mapping', volumeId };
  if (known.result.kind === 'absent') return cleanUp(s, goal, { absent: true });
  const volume = known.result.value;
  if (volume.vmId === null || (goal.onlyFromVm !== null && volume.vmId !== goal.onlyFromVm))
    return (
      waitForPlug(s, volume) ??
      doubtTheEffect(s, STEP) ??
      refuseUnnamed(volume) ??
      cleanUp(s, goal, { absent: false })
    );
  if (state.at === 'ended' && state.withheld !== null)
    return tryAgainOrGiveUp(s, STEP, state, 'volume detach');
  const moved = movedMeanwhile(s, volume);
  if (moved) return moved;
  if (state.at === 'ended' && state.outcome === 'refused' && !state.settled)
    return tryAgainOrGiveUp(s, STEP, state, 'volume detach');
  const pause =
    doubtTheRead(s, STEP, state) ?? waitWhileBusy(s, volume, 'detach') ?? leaveTheirRow(s, STEP, volume);
  if (pause) return pause;
  const ready = volume.vmId === s.policy.applianceVmId ? releaseDevice(s, goal, volume) : null;
  if (ready) return ready;
  // A cleanup takes the disk of a VM that it has seen stopped, which somebody may start before the call
  // leaves.
  const stillOnly = goal.onlyFromVm === null ? {} : { still_only: true };
  const about = { ...plugData(volume, ignoredUsers(s, goal)), ...stillOnly };
  return state.at === 'ended'
    ? tryAgainOrGiveUp(s, STEP, state, 'volume detach', about)
    : intend(s, STEP, about);
}

/**
 * Before the volume is called detached without a call of ours: an attach whose operation has given up on its
 * job may still attach it. null: none.
 */
function waitForAttach(s: Situation, volumeId: string): Action | null {
  if (s.journal.mutation(STEP).at !== 'none') return null;
  const { obstacles } = s.facts;
  if (!obstacles) return { do: 'read-obstacles', volumeId, toAppliance: false, needsSlot: false };
  return obstacles.openJobs > 0 ? waitForOpenJobs(s, STEP, volumeId) : null;
}

/**
 * The same of an attach that somebody else has asked for: CloudStack names no VM before it has ended, so a
 * volume without one that is being attached, or may be, is not detached. null: none.
 */
function waitForPlug(s: Situation, volume: CloudVolume): Action | null {
  if (volume.vmId !== null || s.journal.mutation(STEP).at !== 'none') return null;
  const mayCome = stateOf(volume).phase === 'moving' && !STAYING.includes(volume.state);
  return mayCome ? waitWhileBusy(s, volume, 'detach') : null;
}

/**
 * Of a deleted volume CloudStack does not say on which VM it is, but still since when: a detach takes that
 * away. null: it is on none.
 */
function refuseUnnamed({ id, vmId, state, attached }: CloudVolume): Action | null {
  if (vmId !== null || attached === null || state !== 'Destroy') return null;
  const { means } = stateOf({ state });
  const message = `Volume ${id} ${means} (${state}), and still attached to a VM that CloudStack does not name, so it was not detached; once it is recovered, CloudStack names the VM`;
  return giveUp('VOLUME_STATE', message, { volume_id: id, state });
}

/**
 * States that no attach goes through. An attach creates the volume where it is its first, and moves or copies
 * it where the VM has its disks on another storage; a state of a newer CloudStack may belong to one.
 */
const STAYING: readonly string[] = ['Snapshotting', 'RevertSnapshotting', 'Resizing', 'Restoring'];

/**
 * Fails when somebody else has attached the volume again since the intent was written: that plug is not ours
 * to end.
 */
function movedMeanwhile(s: Situation, volume: CloudVolume): Action | null {
  const intent = intentOf(s.journal.intent(STEP));
  if (intent.vmId === null) return null;
  if (intent.vmId === volume.vmId && (intent.plug === null || samePlug(intent.plug, volume))) return null;
  return giveUp(
    'VOLUME_ATTACHED_ELSEWHERE',
    `Volume ${volume.id} was attached again meanwhile: to VM ${volume.vmName ?? ''} (${volume.vmId ?? ''}), device ${volume.deviceId ?? '?'}`,
    { volume_id: volume.id, vm_id: volume.vmId },
  );
}

/** Whose use of the disk the request or a setting ignores. */
function ignoredUsers({ policy }: Situation, goal: DetachGoal): IgnoredUsers {
  return {
    users: goal.force || policy.detachInUse === 'force',
    clients: goal.force || CLIENTS_IGNORED[policy.detachConnected],
  };
}

const CLIENTS_IGNORED: Readonly<Record<Policy['detachConnected'], IgnoredUsers['clients']>> = {
  disconnect: true,
  refuse: false,
  'when-idle': 'when-idle',
};

/** On the appliance: nobody may be using the disk, and no client may reach it any more. null: go on. */
function releaseDevice(s: Situation, goal: DetachGoal, volume: CloudVolume): Action | null {
  const { use } = s.facts;
  if (!use) return { do: 'read-holders', volumeId: volume.id, ignored: ignoredUsers(s, goal) };
  if (inTheWay(use, ignoredUsers(s, goal)).length > 0) {
    const [code, message] = [inUseCode(use), inUseMessage(volume.id, use)];
    return doubtDisk(s, 'read-holders', code, message) ?? giveUp(code, message, inUseDetails(volume.id, use));
  }
  if (use.holders.length > 0 && !s.journal.done('guard')) {
    return {
      do: 'record',
      step: 'guard',
      state: 'done',
      data: { forced: isForced(use, ignoredUsers(s, goal)), holders: use.holders.map(describeHolder) },
    };
  }
  if (s.journal.standing('withdraw', 'republish')) return null;
  // A client that connects before the export is withdrawn is seen by the guards. Idle clients are not cut:
  // one that resumes before the call is sent is seen too, and its copy goes on.
  return { do: 'withdraw', volumeId: volume.id, force: ignoredUsers(s, goal).clients === true };
}

/** Idle clients are let go by the rule; whoever else uses the disk is overridden. */
function isForced(use: DiskUse, { clients }: IgnoredUsers): boolean {
  return clients !== 'when-idle' || use.holders.some(({ kind }) => kind !== 'nbd-client');
}

/**
 * CloudStack says the volume is detached, or not attached where it was to be detached: guest, mapping and
 * export follow.
 */
function cleanUp(
  s: Situation,
  goal: DetachGoal,
  { absent }: Pick<Detached, 'absent'>,
): Action | Done<Detached> {
  const mapping = s.facts.mapping?.kind === 'seen' ? s.facts.mapping.value : null;
  if (mapping && mapping.vmId !== s.policy.applianceVmId) {
    const asked = goal.onlyFromVm === null || mapping.vmId === goal.onlyFromVm;
    if (!asked) return done({ devicePath: mapping.devicePath, absent });
    // Before a call of ours left it was asked; one that found nothing to detach never did.
    const theirs = s.journal.wasAccepted(STEP) ? null : leaveToNeighbour(s, mapping.vmId);
    return theirs ?? (absent ? null : doubtDetached(s, mapping)) ?? unmap(mapping);
  }
  if (goal.onlyFromVm === null) {
    const old = mapping === null || absent ? null : doubtDetachedHere(s, mapping);
    if (old) return old;
    const left = leaveGuest(s, goal, mapping) ?? (absent ? null : waitForAttach(s, goal.volumeId));
    if (left) return left;
  }
  const path = s.journal.done('unmap')?.device_path;
  return done({ devicePath: typeof path === 'string' ? path : null, absent });
}

/**
 * No call of ours has detached the volume from the other VM where our row says that it is: the attach that
 * wrote the row may be newer than this read.
 */
function doubtDetached(s: Situation, { volumeId, vmId }: Mapping): Action | null {
  if (s.journal.wasAccepted(STEP)) return null;
  return lookAgain(s, {
    name: 'detached-unasked',
    step: 'read-volume',
    reason: `volume ${volumeId} was attached to VM ${vmId}, and CloudStack does not show it there`,
    forget: ['volume', 'mapping', 'gone'],
  });
}

/**
 * The same of this guest, whose disks tell: its users are not cut off by one look while the disk is still
 * here.
 */
function doubtDetachedHere(s: Situation, mapping: Mapping): Action | null {
  if (s.facts.gone === true) return null;
  const old = doubtDetached(s, mapping);
  if (old === null || s.facts.gone === false) return old;
  return { do: 'await-gone', volumeId: mapping.volumeId, timeoutMs: 0, leaves: true };
}

/**
 * The appliance's side of a detached volume: export withdrawn, disk gone from the guest, mapping removed.
 * null: all done.
 */
function leaveGuest(s: Situation, goal: DetachGoal, mapping: Mapping | null): Action | null {
  if ((mapping || s.facts.exported) && !s.journal.standing('withdraw', 'republish'))
    return { do: 'withdraw', volumeId: goal.volumeId, force: true };
  if (s.facts.gone === undefined)
    return {
      do: 'await-gone',
      volumeId: goal.volumeId,
      timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS,
      leaves: true,
    };
  if (mapping) return unmap(mapping);
  if (s.facts.gone) return null;
  return giveUp(
    'DEVICE_STILL_PRESENT',
    `CloudStack says volume ${goal.volumeId} is detached, but this guest still has its disk, or one that may be it (ghost disk)`,
    {
      volume_id: goal.volumeId,
    },
  );
}

/**
 * The entry names the disk: without serials nothing else tells whether a ghost of it is left in the guest.
 */
function unmap({ volumeId, vmId, devicePath, serial, diskseq, bootId }: Mapping): Action {
  return {
    do: 'record',
    step: 'unmap',
    state: 'done',
    data: { device_path: devicePath, vm_id: vmId, serial, diskseq, boot_id: bootId },
    effects: [{ kind: 'delete-mapping', volumeId, vmId }],
    forget: ['mapping'],
  };
}

/** A detach that failed leaves the volume attached: its export is published again, if we withdrew it. */
export function undoDetach(s: Situation, goal: DetachGoal): Action | Done<string[]> {
  if (!s.journal.standing('withdraw', 'republish')) return done(openCall(s, STEP));
  const { mapping, volume } = s.facts;
  if (mapping === undefined) return { do: 'read-mapping', volumeId: goal.volumeId };
  if (mapping.kind !== 'seen') return done([]);
  if (!volume) return { do: 'read-volume', volumeId: goal.volumeId };
  if (volume.kind === 'unknown')
    return done([
      `the export is withdrawn, because CloudStack does not tell where the volume is: ${volume.why}`,
    ]);
  if (volume.kind === 'absent' || volume.value.vmId !== s.policy.applianceVmId) return done([]);
  // A detach that was sent may still take effect: the export stays closed until sync has looked.
  const { at } = s.journal.mutation(STEP);
  if (at === 'intended' || at === 'accepted')
    return done(['the export is withdrawn, because the detach may still happen; sync will publish it again']);
  const error = s.facts.publishError;
  if (error)
    return done([
      `the export is withdrawn and could not be published again: ${error.message}; sync will try`,
    ]);
  return { do: 'republish', volumeId: goal.volumeId };
}
