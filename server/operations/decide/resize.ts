import type { CloudVolume } from '../../cloudstack/cloud';
import { GIB, wholeGiB } from '../../core/gib';
import type { JsonObject } from '../../model/operation';
import { type Action, giveUp } from '../action';
import type { Situation } from '../decision';
import { endFailed, openCall } from './failure';
import { followSize } from './follow-size';
import { lookAgain } from './look-again';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { doubtTheRead, presentVolume, waitWhileBusy, whyUnseen } from './volume';

const STEP = 'resize-volume';
const RESIZED = 'Volume resized successfully';
const HAD_THE_SIZE = 'Volume has that size already';

/**
 * resize: read → intent → send → job → read back → the mapping follows. A volume is only ever made larger:
 * CloudStack is never told that shrinking is fine, and a call that could only shrink is never sent. The same
 * call again does nothing to a volume that has the size, so a try whose end is not known may be repeated.
 */
export function decideResize(s: Situation<'resize'>): Action {
  const { volume_id: volumeId, size } = s.operation.request;
  const { failing } = s.journal;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const sizeGiB = wholeGiB(size);
  const call = s.journal.mutation(STEP);
  if (call.at === 'intended' || call.at === 'accepted')
    return follow(s, STEP, call, { name: 'resizeVolume', volumeId, sizeGiB });
  const unseen = call.at === 'ended' && call.outcome === 'ok' ? whyUnseen(s, volumeId) : null;
  if (unseen !== null) return completeUnseen(s, unseen);
  const present = presentVolume(s, volumeId);
  if (present.do !== 'done') return present;
  const volume = present.result;
  if (volume.size === null) return sizeUnknown(s, volume);
  if (call.at === 'ended' && call.withheld !== null) return tryAgainOrGiveUp(s, STEP, call, 'volume resize');
  if (volume.size >= size) {
    const isOurs = call.at === 'ended' && call.outcome !== 'refused';
    if (!isOurs && volume.size > sizeGiB * GIB) return wouldShrink(volume, volume.size, sizeGiB * GIB);
    // What somebody else, or a snapshot policy, does with the volume afterwards takes nothing from a
    // job that ended well.
    const isDone = call.at === 'ended' && call.outcome === 'ok' && volume.state !== 'Resizing';
    return (
      (isDone ? null : waitWhileBusy(s, volume, 'resize')) ??
      finish(s, volume, isOurs ? RESIZED : HAD_THE_SIZE)
    );
  }
  const pause = doubtTheRead(s, STEP, call) ?? waitWhileBusy(s, volume, 'resize');
  if (pause) return pause;
  const about: JsonObject = {
    volume_id: volumeId,
    vm_id: volume.vmId,
    size_gib: sizeGiB,
    size_before: volume.size,
  };
  return call.at === 'none'
    ? intend(s, STEP, about)
    : tryAgainOrGiveUp(s, STEP, call, 'volume resize', about);
}

function wouldShrink(volume: CloudVolume, bytes: number, wanted: number): Action {
  return giveUp(
    'VOLUME_WOULD_SHRINK',
    `Volume ${volume.id} has ${bytes} bytes, more than the ${wanted} asked for: it is not made smaller`,
    { volume_id: volume.id, size: bytes, size_requested: wanted },
  );
}

/** Without its size nobody can tell whether the call would make it smaller. */
function sizeUnknown(s: Situation, volume: CloudVolume): Action {
  const reason = 'CloudStack does not say how large the volume is';
  const details = { volume_id: volume.id, state: volume.state };
  return (
    lookAgain(s, { name: 'size-unknown', step: 'read-volume', reason, forget: ['volume'] }) ??
    giveUp('VOLUME_STATE', `Volume ${volume.id}: ${reason}`, details)
  );
}

/** Its job is the proof; that the volume is not shown any more, or is gone, takes nothing from it. */
function completeUnseen({ operation: { request } }: Situation<'resize'>, why: string): Action {
  return {
    do: 'complete',
    response: {
      volume_id: request.volume_id,
      size: wholeGiB(request.size) * GIB,
      size_requested: request.size,
      message: RESIZED,
      warnings: [`its new size could not be read back: ${why}`],
    },
  };
}

function finish(s: Situation<'resize'>, volume: CloudVolume, message: string): Action {
  const followed = followSize(s, volume);
  if (followed.do !== 'done') return followed;
  const { effects, warnings } = followed.result;
  return {
    do: 'complete',
    response: {
      volume_id: volume.id,
      size: volume.size,
      size_requested: s.operation.request.size,
      message,
      ...(warnings.length === 0 ? {} : { warnings: [...warnings] }),
    },
    effects: [...effects],
  };
}
