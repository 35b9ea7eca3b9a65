import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import { type Action, giveUp, type Situation } from '../decision';

/** States in which CloudStack takes attach, detach and delete (facts: "Volume state must be in Allocated, Ready or in Uploaded state"). */
const SETTLED = new Set(['Allocated', 'Ready', 'Uploaded']);
/** On its way out: deleteVolume is under way. */
const LEAVING = new Set(['Destroy', 'Destroying', 'Expunging']);

export function isLeaving(volume: CloudVolume): boolean {
  return LEAVING.has(volume.state);
}

/** Waits while CloudStack is busy with the volume (Creating, Attaching, Migrating, Snapshotting, …); null when it is not. */
export function waitWhileBusy(s: Situation, volume: CloudVolume): Action | null {
  if (SETTLED.has(volume.state)) return null;
  if (s.elapsed('volume-busy') > LIMITS.VOLUME_BUSY_DEADLINE_MS) {
    return giveUp('VOLUME_BUSY', `The volume stays in state ${volume.state} in CloudStack`, {
      volume_id: volume.id,
      state: volume.state,
    });
  }
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'read-volume',
    reason: `CloudStack is busy with the volume (${volume.state})`,
    forget: ['volume'],
  };
}
