import type { CloudVolume } from '../../cloudstack/cloud';
import { stateOf } from '../../cloudstack/volume-states';
import { type Action, giveUp } from '../action';
import type { Situation } from '../decision';
import { endFailed, openCall } from './failure';
import { lookAgain } from './look-again';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { doubtTheEffect, doubtTheRead, knownVolume, waitWhileBusy } from './volume';

const STEP = 'recover-volume';

/**
 * recover: brings back a volume that was destroyed and not yet expunged. A volume that is not deleted is left
 * as it is. Nothing is attached or published: the volume is detached afterwards.
 */
export function decideRecover(s: Situation<'recover'>): Action {
  const { volume_id: volumeId } = s.operation.request;
  const { failing } = s.journal;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const call = s.journal.mutation(STEP);
  if (call.at === 'intended' || call.at === 'accepted')
    return follow(s, STEP, call, { name: 'recoverVolume', volumeId });
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  const details = { volume_id: volumeId };
  if (known.result.kind === 'absent')
    return giveUp(
      'VOLUME_NOT_FOUND',
      `Volume ${volumeId} cannot be recovered: ${known.result.proof}`,
      details,
    );
  const volume = known.result.value;
  if (stateOf(volume).recover === 'needless') {
    const old = doubtNeedless(s, volume) ?? doubtTheEffect(s, STEP);
    if (old) return old;
    // It was seen deleted before a call was made, whichever request has brought it back.
    const message =
      call.at === 'ended' ? 'Volume recovered' : 'Volume was not deleted: nothing had to be recovered';
    return { do: 'complete', response: { ...details, state: volume.state, message } };
  }
  const pause = doubtTheRead(s, STEP, call) ?? waitWhileBusy(s, volume, 'recover');
  if (pause) return pause;
  return call.at === 'none'
    ? intend(s, STEP, details)
    : tryAgainOrGiveUp(s, STEP, call, 'volume recovery', details);
}

/**
 * Whoever asks for this takes the volume for deleted: the delete may be newer than this read, and CloudStack
 * expunges what it leaves in its trash. null: it stays so, or a call of ours may have brought it back.
 */
function doubtNeedless(s: Situation, { id, state }: CloudVolume): Action | null {
  if (s.journal.wasAccepted(STEP)) return null;
  const reason = `volume ${id} is to be recovered, and CloudStack does not show it as deleted (${state})`;
  return lookAgain(s, { name: 'not-deleted', step: 'read-volume', reason, forget: ['volume'] });
}
