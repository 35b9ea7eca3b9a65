import type { CloudVolume } from '../../cloudstack/cloud';
import { classifyJobFailure, impliesEffect } from '../../cloudstack/errors';
import { type StateCall, stateOf } from '../../cloudstack/volume-states';
import type { ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Absent, absent, type Seen } from '../../model/evidence';
import { type Action, type Done, done, giveUp } from '../action';
import type { Situation } from '../decision';
import type { EndedTry, MutationState, MutationStep } from '../journal';
import { intentOf } from './intent';
import { lookAgain } from './look-again';
import { permitNeighbour, samePlug } from './permit-parts';

/**
 * The volume as CloudStack shows it, or the proof that there is none. A volume that is merely not shown
 * is read again for a while (a management server may lag behind); then the operation ends without a
 * change, because a volume that cannot be seen is not proven to be gone. One that is shown although
 * CloudStack has said that it was removed is read again as long: it may have been moved to another
 * storage, under the same id.
 */
export function knownVolume(s: Situation, volumeId: string): Action | Done<Seen<CloudVolume> | Absent> {
  const { volume } = s.facts;
  if (!volume) return { do: 'read-volume', volumeId };
  const proof = s.journal.removalProof;
  if (volume.kind === 'seen' && proof !== null) {
    const reason = `CloudStack has said that volume ${volumeId} was removed, and shows it`;
    const doubt = { name: 'shown-removed', step: 'read-volume', reason, forget: ['volume'] } as const;
    return lookAgain(s, doubt) ?? done(volume);
  }
  if (volume.kind !== 'unknown') return done(volume);
  if (proof !== null) return done(absent(proof, volume.at, volume.by));
  const { why } = volume;
  const again = lookAgain(s, { name: 'not-visible', step: 'read-volume', reason: why, forget: ['volume'] });
  if (again) return again;
  const message = `Volume ${volumeId} is not visible to this key, so ${whatIsLeft(s)}: ${why}`;
  return giveUp('VOLUME_NOT_VISIBLE', message, { volume_id: volumeId });
}

function whatIsLeft({ journal }: Situation): string {
  if (journal.hasEffect) return 'it is not known what the calls that CloudStack has taken have done';
  return journal.hasLostAnswer
    ? 'it is not known what the call has done whose answer was lost; nothing was sent again'
    : 'nothing was concluded and nothing changed';
}

/** As knownVolume; a volume that is proven to be gone ends the operation with VOLUME_NOT_FOUND. */
export function presentVolume(s: Situation, volumeId: string): Action | Done<CloudVolume> {
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'seen') return done(known.result.value);
  const message = `Volume ${volumeId} not found in CloudStack: ${known.result.proof}`;
  return giveUp('VOLUME_NOT_FOUND', message, { volume_id: volumeId });
}

/**
 * CloudStack has said to a call that was refused that the volume was removed: looks whether it is so. null:
 * it has not said that, or shows the volume all the same.
 */
export function judgeRemoved(s: Situation, volumeId: string): Action | null {
  if (s.journal.removalProof === null) return null;
  const present = presentVolume(s, volumeId);
  return present.do === 'done' ? null : present;
}

/**
 * Why nobody can see any more what a job has done to the volume: it is gone, or has not been shown for a
 * while. null: it is shown, or looked for.
 */
export function whyUnseen(s: Situation, volumeId: string): string | null {
  const { volume } = s.facts;
  if (volume?.kind === 'absent') return `volume ${volumeId} is gone: ${volume.proof}`;
  const isHidden = volume?.kind === 'unknown' && s.doubted('not-visible') > LIMITS.READ_SETTLE_MS;
  return isHidden ? `volume ${volumeId} is not visible to this key: ${volume.why}` : null;
}

/**
 * When a job has succeeded, or ended in an unknown way, and the read does not show its effect, the read may
 * be stale: it is repeated with growing pauses before it is believed. null when it is to be believed, or when
 * the last try certainly had no effect.
 */
export function doubtTheRead(s: Situation, step: MutationStep, state: MutationState): Action | null {
  if (state.at !== 'ended' || state.outcome === 'refused' || !mayHaveWorked(state)) return null;
  return lookAgain(s, {
    name: `contradiction:${step}:${state.tries}`,
    step,
    reason: `job ${state.jobId} has ended${state.outcome === 'ok' ? ' well' : ''}, and CloudStack does not show its effect yet`,
    forget: ['volume', 'vm', 'snapshot', 'ownSnapshots'],
  });
}

/**
 * CloudStack shows the effect of a call that it has not called done, nor said that it holds: another
 * management server may show what was before, so it is looked at again. null: it is to be believed.
 */
export function doubtTheEffect(s: Situation, step: MutationStep): Action | null {
  const state = s.journal.mutation(step);
  if (state.at !== 'ended' || state.outcome === 'ok' || !s.journal.wasAccepted(step)) return null;
  if (state.text !== null && impliesEffect(state.text)) return null;
  return lookAgain(s, {
    name: `unconfirmed:${step}:${state.tries}`,
    step,
    reason: `CloudStack shows the effect of ${step}, and has not called it done`,
    forget: ['guards', 'volume', 'vm', 'gone'],
  });
}

/**
 * The volume is shown in the very plug from which a job of this operation has taken it, perhaps after it was
 * shown without: another management server may lag behind. It is read again before that is believed. null: it
 * shows something else.
 */
export function doubtOldPlug(s: Situation, volume: CloudVolume): Action | null {
  const detached = s.journal.mutation('detach-volume');
  // Called failed, it may have had its effect all the same: whoever asks has seen the volume detached.
  if (detached.at !== 'ended' || detached.outcome === 'refused' || volume.vmId === null) return null;
  const { vmId, plug } = intentOf(s.journal.intent('detach-volume'));
  if (volume.vmId !== vmId || plug === null || !samePlug(plug, volume)) return null;
  return lookAgain(s, {
    name: `old-plug:${detached.jobId}`,
    step: 'read-volume',
    reason: `job ${detached.jobId} has detached volume ${volume.id} from VM ${vmId}, and CloudStack shows it there again`,
    forget: ['guards', 'volume', 'vm'],
  });
}

/**
 * The same of a VM that a job of this operation has stopped, so that its disk can be taken, and that is shown
 * running. Not for its removal: there, a look that shows it running is reason enough to keep it.
 */
export function doubtOldRun(s: Situation, step: MutationStep): Action | null {
  const stopped = s.journal.mutation('stop-vm');
  if (step !== 'detach-volume' || stopped.at !== 'ended' || stopped.outcome !== 'ok') return null;
  return lookAgain(s, {
    name: `old-run:${stopped.jobId}`,
    step: 'read-vm',
    reason: `job ${stopped.jobId} has stopped the VM, and CloudStack shows it running again`,
    forget: ['guards', 'volume', 'vm'],
  });
}

/**
 * Which disk of this guest is the volume's is not known, and one that may be it is in use: a list of another
 * management server may be old, and a serial not read yet. null: it stays unknown.
 */
export function doubtDisk(s: Situation, step: string, code: ErrorCode, reason: string): Action | null {
  if (code !== 'DEVICE_NOT_IDENTIFIED') return null;
  return lookAgain(s, { name: 'unidentified', step, reason, forget: ['guards', 'volume', 'use'] });
}

/** True when CloudStack reported success, reported nothing, or reported an error that implies the effect. */
export function mayHaveWorked({ outcome, code, text }: EndedTry): boolean {
  return outcome === 'ok' || classifyJobFailure(code, text) === 'unknown';
}

/**
 * Ends the operation where another daemon that runs looks after the disks of this VM: it alone sees whether
 * its guest still has one, and keeps their rows. null: none does.
 */
export function leaveToNeighbour(s: Situation, vmId: string): Action | null {
  const daemon = s.facts.neighbours?.get(vmId);
  if (daemon === undefined) return { do: 'read-neighbour', vmId };
  const refusal = permitNeighbour(daemon);
  return refusal && giveUp(refusal.code, refusal.message, refusal.details);
}

/**
 * The row may say that the volume is on another appliance than CloudStack does: somebody has moved it, and
 * the daemon there, which alone sees whether its guest still has the disk, has not taken its row away yet.
 * null: go on; once a call of this step was accepted it was asked before.
 */
export function leaveTheirRow(s: Situation, step: MutationStep, { id, vmId }: CloudVolume): Action | null {
  if (s.journal.wasAccepted(step)) return null;
  const { mapping } = s.facts;
  if (mapping === undefined) return { do: 'read-mapping', volumeId: id };
  if (mapping.kind !== 'seen') return null;
  const told = mapping.value.vmId;
  return told === s.policy.applianceVmId || told === vmId ? null : leaveToNeighbour(s, told);
}

/** A job that an earlier operation has given up on may still change the volume. */
export function waitForOpenJobs(s: Situation, step: MutationStep, volumeId: string): Action {
  const details = { volume_id: volumeId };
  if (s.elapsed('open-jobs') > LIMITS.VOLUME_BUSY_DEADLINE_MS)
    return giveUp('VOLUME_BUSY', 'An earlier job of this volume does not end in CloudStack', details);
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step,
    reason: 'an earlier job of this volume may still be running in CloudStack',
    forget: ['obstacles', 'volume'],
  };
}

/**
 * Waits while CloudStack is busy with the volume, fails when it never accepts the call in this state; null
 * when it can be sent now.
 */
export function waitWhileBusy(s: Situation, volume: CloudVolume, what: StateCall): Action | null {
  const state = stateOf(volume);
  const verdict = state[what];
  if (verdict === 'act' || verdict === 'needless') return null;
  const details = { volume_id: volume.id, state: volume.state };
  if (verdict === 'refuse') {
    const message = `Volume ${volume.id} cannot be ${PARTICIPLE[what]}: it ${state.means} (${volume.state})`;
    return giveUp('VOLUME_STATE', message, details);
  }
  if (s.elapsed('volume-busy') > LIMITS.VOLUME_BUSY_DEADLINE_MS)
    return giveUp('VOLUME_BUSY', `The volume stays in state ${volume.state} in CloudStack`, details);
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'read-volume',
    reason: `CloudStack is busy with the volume: it ${state.means} (${volume.state})`,
    forget: ['volume'],
  };
}

const PARTICIPLE = {
  attach: 'attached',
  detach: 'detached',
  delete: 'deleted',
  recover: 'recovered',
  resize: 'resized',
  snapshot: 'snapshotted',
  revert: 'reverted',
} as const;
