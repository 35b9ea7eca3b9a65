import type { CloudVolume } from '../../cloudstack/cloud';
import { isLeaving } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import type { Device, Holder } from '../../devices/device';
import { describeHolders, systemUsers } from '../../devices/disk-users';
import { exportName } from '../../model/export-name';
import { mappingElsewhere, mappingHere } from '../../model/new-mapping';
import type { JsonObject } from '../../model/operation';
import { remotePath } from '../../model/placeholder-path';
import { type Action, type Done, done, giveUp } from '../action';
import type { DeviceFact, FullVm, Situation } from '../decision';
import { plugEntry } from '../journal';
import { endFailed } from './failure';
import { lookAgain } from './look-again';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { undoAttach } from './undo-attach';
import {
  doubtOldPlug,
  doubtTheEffect,
  doubtTheRead,
  leaveTheirRow,
  leaveToNeighbour,
  presentVolume,
  waitForOpenJobs,
  waitWhileBusy,
} from './volume';

const STEP = 'attach-volume';

/** What is to be attached, and where. */
export interface AttachGoal {
  readonly volumeId: string;
  readonly vmId: string;
  /** null: CloudStack chooses. */
  readonly deviceId: number | null;
}

/** The result of an attach that reached its goal. */
export interface Attached {
  readonly devicePath: string;
  readonly volume: CloudVolume;
  readonly exported: boolean;
}

/** The operations attach and attach-root. */
export function decideAttach(s: Situation<'attach'>): Action {
  const { request } = s.operation;
  const goal: AttachGoal = {
    volumeId: request.volume_id,
    vmId: request.vm_id,
    deviceId: request.device_id ?? null,
  };
  const failing = s.journal.failing;
  if (failing) {
    const undone = undoAttach(s, goal);
    return undone.do === 'done' ? endFailed(failing, undone.result) : undone;
  }
  const step = attach(s, goal);
  if (step.do === 'done') return { do: 'complete', response: attachResponse(goal, step.result) };
  if (step.do !== 'publish' || s.facts.volume?.kind !== 'seen') return step;
  // The last step: what it has done and the end of the operation are one commit.
  const result = { devicePath: step.device.path, volume: s.facts.volume.value, exported: true };
  return { ...step, completes: attachResponse(goal, result) };
}

/** The response of a finished attach; existing callers read `device_path`. */
function attachResponse(goal: AttachGoal, result: Attached): JsonObject {
  return {
    volume_id: goal.volumeId,
    vm_id: goal.vmId,
    device_path: result.devicePath,
    ...(goal.deviceId === null ? {} : { device_id: goal.deviceId }),
    ...(result.exported ? { export_name: exportName(goal.volumeId) } : {}),
    size: result.volume.size,
    message: 'Volume attached successfully',
  };
}

/**
 * Leads to "attached, device known, export answering". Shared by attach and cleanup. Order:
 * read → intent → send → job → read back → device → mapping → publish → export row → done.
 */
export function attach(s: Situation, goal: AttachGoal): Action | Done<Attached> {
  const state = s.journal.mutation(STEP);
  const { volumeId, vmId, deviceId } = goal;
  if (state.at === 'intended' || state.at === 'accepted')
    return follow(s, STEP, state, { name: 'attachVolume', volumeId, vmId, deviceId });
  const { device, volume: shown } = s.facts;
  // That it is out of sight by now takes nothing from what the guest has shown.
  if (device && device.kind !== 'found' && shown?.kind === 'unknown')
    return withoutDevice(goal.volumeId, device);
  const present = presentVolume(s, goal.volumeId);
  if (present.do !== 'done') return present;
  const volume = present.result;
  // Attached, but a detach that ran into its deadline may still be running, and its disk may still be
  // arriving.
  const obstacle =
    volume.vmId !== null && state.at === 'none' ? waitForObstacles(s, goal, { needsSlot: false }) : null;
  if (obstacle) return obstacle;
  if (volume.vmId === goal.vmId)
    return leaveTheirRow(s, STEP, volume) ?? doubtAttached(s, goal) ?? finish(s, goal, volume);
  const old = doubtOldPlug(s, volume);
  if (old) return old;
  if (volume.vmId !== null) {
    return giveUp(
      'VOLUME_ATTACHED_ELSEWHERE',
      `Volume ${volume.id} is already attached to another VM: ${volume.vmName ?? ''} (${volume.vmId})`,
      { volume_id: volume.id, vm_id: volume.vmId },
    );
  }
  // It was attached here, and somebody has detached it while its disk was waited for: it is not
  // attached against them.
  if (device && device.kind !== 'found') return withoutDevice(volume.id, device);
  const hasCome = device !== undefined && s.journal.wasAccepted(STEP);
  if (goal.vmId === s.policy.applianceVmId && (hasCome || s.journal.standing('map', 'unmap')))
    return detachedSince(s, volume);
  if (state.at === 'ended' && state.outcome === 'refused' && !state.settled)
    return tryAgainOrGiveUp(s, STEP, state, 'volume attachment');
  const pause = doubtTheRead(s, STEP, state) ?? waitWhileBusy(s, volume, 'attach');
  if (pause) return pause;
  const ghost = waitForGhost(s, goal);
  if (state.at === 'none')
    return waitForObstacles(s, goal, { needsSlot: true }) ?? ghost ?? intend(s, STEP, about(goal));
  return ghost ?? tryAgainOrGiveUp(s, STEP, state, 'volume attachment', about(goal));
}

/**
 * Its disk was here, or is mapped: the attach has been done, and is not done a second time
 * against who has undone it.
 */
function detachedSince(s: Situation, { id, state }: CloudVolume): Action {
  const reason = `volume ${id} was attached to this appliance, and CloudStack shows it detached (${state})`;
  const details = { volume_id: id, vm_id: null };
  return (
    lookAgain(s, { name: 'detached-since', step: 'read-volume', reason, forget: ['volume'] }) ??
    giveUp('VOLUME_ATTACHED_ELSEWHERE', `${reason}: somebody has detached it since`, details)
  );
}

function about(goal: AttachGoal): JsonObject {
  return { volume_id: goal.volumeId, vm_id: goal.vmId, device_id: goal.deviceId };
}

/**
 * No call of ours has attached the volume to the VM where CloudStack shows it, and our rows do not
 * say that it is there: the detach that deleted the row may be newer than this read. Of this guest
 * the disk itself tells.
 */
function doubtAttached(s: Situation, { volumeId, vmId }: AttachGoal): Action | null {
  const { mapping, gone } = s.facts;
  if (s.journal.wasAccepted(STEP) || (mapping?.kind === 'seen' && mapping.value.vmId === vmId)) return null;
  const again = lookAgain(s, {
    name: 'attached-unasked',
    step: 'read-volume',
    reason: `CloudStack shows volume ${volumeId} on VM ${vmId}, and nothing here has attached it there`,
    forget: ['volume', 'mapping', 'gone', 'obstacles'],
  });
  if (again === null || vmId !== s.policy.applianceVmId) return again;
  if (gone === undefined) return { do: 'await-gone', volumeId, timeoutMs: 0, leaves: false };
  return gone ? again : null;
}

/** The volume is attached to the VM of the request; a requested device id must match as well. */
function finish(s: Situation, goal: AttachGoal, volume: CloudVolume): Action | Done<Attached> {
  // What is written to it would be lost with it.
  const refused = isLeaving(volume) ? waitWhileBusy(s, volume, 'attach') : refuseOtherDevice(s, goal, volume);
  if (refused) return refused;
  if (goal.vmId !== s.policy.applianceVmId) return finishElsewhere(s, goal, volume);
  if (volume.type === 'ROOT') {
    return giveUp('APPLIANCE_PROTECTED', `Volume ${volume.id} is the root disk of this appliance`, {
      volume_id: volume.id,
    });
  }
  return finishHere(s, goal, volume);
}

/** null: it is the device that was asked for, or none was. One that CloudStack does not name may be any. */
function refuseOtherDevice(s: Situation, goal: AttachGoal, volume: CloudVolume): Action | null {
  if (goal.deviceId === null || volume.deviceId === goal.deviceId) return null;
  const details = { volume_id: volume.id, vm_id: goal.vmId, device_id: volume.deviceId };
  if (volume.deviceId !== null) {
    return giveUp(
      'VOLUME_ATTACHED_ELSEWHERE',
      `Volume ${volume.id} is already attached to VM ${goal.vmId}, as device ${volume.deviceId} and not as device ${goal.deviceId}; detach it first`,
      details,
    );
  }
  const reason = `CloudStack does not say as which device volume ${volume.id} is attached to VM ${goal.vmId}; device ${goal.deviceId} was asked for`;
  return (
    lookAgain(s, { name: 'device-unknown', step: 'read-volume', reason, forget: ['volume'] }) ??
    giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', reason, details)
  );
}

/**
 * Before the first intent, and before a cleanup takes the disk away from where it is. No earlier job of this
 * volume may still be running: a detach could undo our attach (apache/cloudstack#14214). And where disks have
 * no serial, only one disk at a time may be attached to this guest.
 */
export function waitForObstacles(
  s: Situation,
  goal: AttachGoal,
  { needsSlot }: { readonly needsSlot: boolean },
): Action | null {
  const obstacles = s.facts.obstacles;
  const toAppliance = goal.vmId === s.policy.applianceVmId;
  if (!obstacles)
    return {
      do: 'read-obstacles',
      volumeId: goal.volumeId,
      toAppliance,
      needsSlot: toAppliance && needsSlot,
    };
  const { openJobs, conflictingOperation, full } = obstacles;
  if (openJobs > 0) return waitForOpenJobs(s, STEP, goal.volumeId);
  if (conflictingOperation === null) return full ? waitForSlot(s, goal, full) : null;
  return {
    do: 'pause',
    ms: LIMITS.CONFLICT_POLL_MS,
    step: STEP,
    reason: `operation ${conflictingOperation} attaches another disk, which could not be told from this one`,
    forget: ['obstacles', 'volume'],
  };
}

/** Nothing was sent yet, so a cancel ends the wait; otherwise it ends with a free slot or the deadline. */
function waitForSlot(s: Situation, goal: AttachGoal, full: FullVm): Action {
  if (s.operation.cancelRequested && !s.journal.hasEffect) return intend(s, STEP);
  // The disk was taken from another VM on the promise that this one takes it: it is not left with nobody.
  const isOnItsWay = s.journal.mutation('detach-volume').at !== 'none';
  const mayWait = isOnItsWay || (s.policy.slots === 'wait' && !full.crowded);
  if (!mayWait || s.elapsed('slot') > LIMITS.SLOT_WAIT_DEADLINE_MS) {
    return giveUp('NO_FREE_SLOT', `VM ${goal.vmId} takes no more disks: ${full.reason}`, {
      volume_id: goal.volumeId,
      vm_id: goal.vmId,
      reason: full.reason,
    });
  }
  return {
    do: 'pause',
    ms: LIMITS.SLOT_POLL_MS,
    step: STEP,
    reason: 'this VM takes no more disks until one is detached',
    forget: ['obstacles', 'volume'],
  };
}

/**
 * While the guest still shows the disk of a volume that CloudStack calls detached (a slow unplug, or a
 * ghost disk), the old plug could not be told from the new one, and attached to another VM the volume
 * would have two writers. `place`: where CloudStack shows it.
 */
export function waitForGhost(s: Situation, goal: AttachGoal, place = 'detached'): Action | null {
  if (s.facts.gone === undefined)
    return {
      do: 'await-gone',
      volumeId: goal.volumeId,
      timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS,
      leaves: goal.vmId !== s.policy.applianceVmId,
    };
  if (s.facts.gone) return null;
  // It may be in the guest of another daemon, which was asked about then.
  for (const vmId of s.facts.neighbours?.keys() ?? []) {
    const theirs = leaveToNeighbour(s, vmId);
    if (theirs) return theirs;
  }
  // The disk may be what a failed attach has left: its words would be lost otherwise.
  const call = s.journal.mutation(STEP);
  const said = call.at === 'ended' && call.text !== null ? `; the attach ended with: ${call.text}` : '';
  return giveUp(
    'DEVICE_STILL_PRESENT',
    `CloudStack says volume ${goal.volumeId} is ${place}, but this guest still has its disk, or one that may be it (ghost disk)${said}`,
    { volume_id: goal.volumeId },
  );
}

function finishElsewhere(s: Situation, goal: AttachGoal, volume: CloudVolume): Action | Done<Attached> {
  const devicePath = remotePath(goal.vmId, volume.id);
  if (s.journal.standing('map', 'unmap')) return done({ devicePath, volume, exported: false });
  const before = s.facts.mapping;
  if (before === undefined) return { do: 'read-mapping', volumeId: volume.id };
  // Somebody has moved it from here: an export that is left would lead to a disk that another VM writes to.
  const mapped = before.kind === 'seen' && before.value.vmId === s.policy.applianceVmId;
  const left = mapped || s.facts.exported === true;
  if (left && !s.journal.done('withdraw')) return { do: 'withdraw', volumeId: volume.id, force: true };
  // Before our own call left, its guards have asked who runs the daemon of that VM.
  const first = s.journal.wasAccepted(STEP) ? doubtTheEffect(s, STEP) : leaveToNeighbour(s, goal.vmId);
  if (first) return first;
  return {
    do: 'record',
    step: 'map',
    state: 'done',
    data: { device_path: devicePath },
    effects: [{ kind: 'put-mapping', mapping: mappingElsewhere(volume, goal.vmId) }],
  };
}

function finishHere(s: Situation, goal: AttachGoal, volume: CloudVolume): Action | Done<Attached> {
  const fact = s.facts.device;
  if (!fact) return { do: 'await-device', volume, timeoutMs: s.policy.correlationTimeoutMs };
  return fact.kind === 'found'
    ? mapAndPublish(s, goal, volume, fact)
    : (waitForResize(s, volume, fact) ?? withoutDevice(volume.id, fact));
}

type NoDevice = Exclude<DeviceFact, { kind: 'found' }>;

/**
 * While somebody resizes the volume, the guest shows the new size before CloudStack does, and its disk is
 * none of a fitting size. null: it was looked for with the size that the volume has.
 */
function waitForResize(s: Situation, { state, size }: CloudVolume, { volumeSize }: NoDevice): Action | null {
  if (size === volumeSize && state !== 'Resizing') return null;
  if (s.elapsed('resizing') > LIMITS.VOLUME_BUSY_DEADLINE_MS) return null;
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'await-device',
    reason: 'the volume is being resized in CloudStack, or was while its disk was looked for',
    forget: ['volume', 'device'],
  };
}

function withoutDevice(volumeId: string, fact: NoDevice): Action {
  // What is undone is this plug: somebody may make another one.
  const awaited = plugEntry(fact.plug);
  if (fact.kind === 'missing') return notDetected(volumeId, fact, { awaited });
  const details = { volume_id: volumeId, considered: fact.considered };
  return giveUp(fact.code, `No device was chosen for volume ${volumeId}: ${fact.reason}`, details, {
    awaited,
  });
}

/** The disk may have come on a bus on which no volume is looked for. */
function notDetected(
  volumeId: string,
  { reason, others }: Extract<DeviceFact, { kind: 'missing' }>,
  more: JsonObject,
): Action {
  const said = `No device detected for volume ${volumeId} within the correlation timeout: ${reason}`;
  if (others.length === 0) return giveUp('DEVICE_NOT_DETECTED', said, { volume_id: volumeId }, more);
  const named = others.map(({ path, bus }) => `${path} (${bus})`).join(', ');
  const fix =
    'volumes are looked for on virtio, virtio-scsi and Xen disks only: set dataDiskController=virtio or scsi ' +
    '(rootDiskController where that is not set) in the details of the VM or its template, then stop and start the VM';
  const details = {
    volume_id: volumeId,
    other_disks: others.map(({ path, size, bus }) => ({ path, size, bus })),
  };
  return giveUp('DEVICE_NOT_DETECTED', `${said}. On other buses there are ${named}; ${fix}`, details, more);
}

function mapAndPublish(
  s: Situation,
  goal: AttachGoal,
  volume: CloudVolume,
  fact: Extract<DeviceFact, { kind: 'found' }>,
): Action | Done<Attached> {
  const { device } = fact;
  const { use } = s.facts;
  if (!use) return { do: 'read-device-users', device };
  const users = systemUsers(use.holders);
  if (users.length > 0) return usedBySystem(volume, device, users);
  return mapDevice(s, goal, volume, fact) ?? publishMapped(s, volume, device);
}

/** null when the journal says that this very plug is mapped, with its size. */
function mapDevice(
  s: Situation,
  goal: AttachGoal,
  volume: CloudVolume,
  { device, bootId, matchedBy, displaces }: Extract<DeviceFact, { kind: 'found' }>,
): Action | null {
  const identity: JsonObject = {
    device_path: device.path,
    serial: device.serial,
    diskseq: device.diskseq,
    boot_id: bootId,
  };
  const mapped = s.journal.standing('map', 'unmap') ? s.journal.done('map') : null;
  const current =
    mapped !== null &&
    mapped.size === device.size &&
    Object.keys(identity).every((key) => mapped[key] === identity[key]);
  if (current) return null;
  if (s.journal.timesDone('map') >= LIMITS.MAPS_PER_ATTACH) return neverStays(volume.id, device.path);
  const mapping = mappingHere(device, {
    volumeId: volume.id,
    vmId: goal.vmId,
    bootId,
    matchedBy,
    cloudstackDeviceId: volume.deviceId,
  });
  return {
    do: 'record',
    step: 'map',
    state: 'done',
    data: { ...identity, matched_by: matchedBy, size: device.size },
    effects: [{ kind: 'put-mapping', mapping, displaces }],
  };
}

/** Its disk comes and goes, or somebody deletes its row each time: nothing says that this ends. */
function neverStays(volumeId: string, path: string): Action {
  const message = `Volume ${volumeId} was mapped ${LIMITS.MAPS_PER_ATTACH} times, each time its disk was another one or its mapping was deleted before it was exported; now its disk is ${path}`;
  return giveUp('DEVICE_IDENTITY_MISMATCH', message, { volume_id: volumeId, device_path: path });
}

/** The last part of an attach to this guest: the export is there and has answered, or none is wanted. */
function publishMapped(s: Situation, volume: CloudVolume, device: Device): Action | Done<Attached> {
  if (!s.policy.exportsEnabled) return done({ devicePath: device.path, volume, exported: false });
  if (s.facts.published) return done({ devicePath: device.path, volume, exported: true });
  const error = s.facts.publishError;
  const trying = s.elapsed('publish');
  if (error?.code === 'DEVICE_IN_USE') return giveUp(error.code, error.message, { volume_id: volume.id });
  if (error && trying > LIMITS.EXPORT_DEADLINE_MS) {
    return giveUp(
      error.code,
      `The NBD export of volume ${volume.id} could not be published: ${error.message}`,
      { volume_id: volume.id },
    );
  }
  // After the pause the volume may have another size, and the letter another disk.
  if (error)
    return {
      do: 'back-off',
      step: 'publish',
      reason: error.message,
      forget: ['publishError', 'volume', 'device', 'use'],
    };
  return { do: 'publish', volumeId: volume.id, device };
}

/** A disk that the system uses is neither mapped nor exported, whoever asks. */
function usedBySystem(volume: CloudVolume, device: Device, users: readonly Holder[]): Action {
  const message =
    `${device.path} is the disk of volume ${volume.id} and is used by this system, so it is not exported: ` +
    describeHolders(users);
  const holders = users.map(({ kind, detail }) => ({ kind, detail }));
  return giveUp('DEVICE_IN_USE', message, { volume_id: volume.id, device_path: device.path, holders });
}
