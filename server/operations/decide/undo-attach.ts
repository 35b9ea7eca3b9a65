import type { ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Action, type Done, done } from '../action';
import type { Situation } from '../decision';
import { plugData } from './intent';
import { lookAgain } from './look-again';
import { follow } from './mutation';
import { samePlug } from './permit-parts';
import { doubtTheEffect, doubtTheRead } from './volume';

const ATTACH = 'attach-volume';
const UNDO = 'undo-detach-volume';

/**
 * Says nothing of the disk: what was here before this attach, its mapping and the row of its export, is not
 * taken away.
 */
const EXPORT_TROUBLE: ReadonlySet<ErrorCode> = new Set(['EXPORT_CONFIG_FAILED', 'EXPORT_SERVER_UNHEALTHY']);

/** What the attach was to connect. */
interface Connection {
  readonly volumeId: string;
  readonly vmId: string;
}

/**
 * Undoes what the attach did, in reverse order, each part journaled. Whether the volume is detached again is
 * a setting (ATTACH_ROLLBACK), and even then it happens only when CloudStack says it is attached here and the
 * guest has no disk of it. The result says what could not be undone.
 */
export function undoAttach(s: Situation, goal: Connection): Action | Done<string[]> {
  const here = goal.vmId === s.policy.applianceVmId;
  const { failing } = s.journal;
  if (s.journal.mutation(ATTACH).at === 'none' && failing !== null && EXPORT_TROUBLE.has(failing.code))
    return done([
      'the volume was attached before and stays so, with its mapping; sync will publish its export',
    ]);
  if (here && s.journal.standing('map', 'unmap')) {
    if (!s.journal.standing('withdraw', 'map'))
      return { do: 'withdraw', volumeId: goal.volumeId, force: false };
    return {
      do: 'record',
      step: 'unmap',
      state: 'done',
      // It names the disk: without serials nothing else tells that the guest still has it.
      data: { ...s.journal.done('map'), undo: true },
      effects: [{ kind: 'delete-mapping', volumeId: goal.volumeId, vmId: goal.vmId }],
    };
  }
  const attached = s.journal.mutation(ATTACH);
  if (attached.at === 'none') return done([]);
  // A deadline never leads to a detach: the attach job may still be running.
  if (attached.at === 'intended' || attached.at === 'accepted') {
    const isUnsent = s.facts.unsent === attached.jobId;
    return done(
      isUnsent ? [] : [`the attach job ${attached.jobId} may still end; force-sync shows what it did`],
    );
  }
  if (!here) return done([]);
  // No call of ours is known to have attached it: somebody else may have.
  if (!s.journal.wasAccepted(ATTACH))
    return done(
      attached.settled ? ['it is not known who has attached the volume: it stays as CloudStack has it'] : [],
    );
  if (s.policy.attachRollback === 'keep')
    return done(['ATTACH_ROLLBACK=keep: the volume stays as CloudStack has it']);
  return undoCall(s, goal);
}

function undoCall(s: Situation, goal: Connection): Action | Done<string[]> {
  const { volumeId, vmId } = goal;
  const state = s.journal.mutation(UNDO);
  if (state.at === 'intended' || state.at === 'accepted')
    return follow(s, UNDO, state, { name: 'detachVolume', volumeId });
  const { volume } = s.facts;
  if (!volume) return { do: 'read-volume', volumeId };
  if (volume.kind === 'absent') return done([]);
  // Before a call takes it away it is where our attach has left it, unless somebody has moved it since.
  const isOld = () => (state.at === 'none' ? doubtTheRead(s, ATTACH, s.journal.mutation(ATTACH)) : null);
  if (volume.kind === 'seen' && volume.value.vmId !== vmId)
    return doubtTheEffect(s, UNDO) ?? isOld() ?? done([]);
  // The operation does not end while a list may still show the world before its job.
  const pause = doubtTheRead(s, UNDO, state);
  if (pause) return pause;
  if (volume.kind === 'unknown')
    return isOld() ?? done([`whether the volume is still attached here is not known: ${volume.why}`]);
  const ours = s.journal.madePlug ?? s.journal.failing?.plug ?? null;
  if (ours !== null && !samePlug(ours, volume.value)) {
    const left = 'somebody has detached the volume and attached it again meanwhile, so it stays attached';
    return isOld() ?? done([left]);
  }
  // The last look before the call has shown it elsewhere, or CloudStack has said that it is gone:
  // this one may be old.
  const isElsewhere = state.at === 'ended' && state.withheld === 'VOLUME_ATTACHED_ELSEWHERE';
  const contradicts = isElsewhere || s.journal.removalProof !== null;
  if (state.at === 'ended' && contradicts) {
    const reason = `the volume was not detached (${state.text ?? 'it is elsewhere'}), and CloudStack shows it here`;
    const name = `elsewhere:${state.jobId}`;
    const again = lookAgain(s, { name, step: 'read-volume', reason, forget: ['volume'] });
    if (again) return again;
  }
  if (state.at === 'ended' && (state.tries >= LIMITS.MUTATION_TRIES || state.withheld !== null)) {
    return done([
      `the volume is still attached to this appliance in CloudStack (detach failed: ${state.text ?? 'no answer'})`,
    ]);
  }
  if (s.facts.gone === undefined) return { do: 'await-gone', volumeId, timeoutMs: 0, leaves: false };
  if (!s.facts.gone)
    return done([`the disk is present in the guest, so the volume stays attached; ${howToMap(s)}`]);
  return { do: 'intend', step: UNDO, data: { ...plugData(volume.value), missing_only: true } };
}

/** Sync, and an attach of what is attached already, know a disk by its serial only. */
function howToMap({ journal }: Situation): string {
  return journal.done('map')?.serial === null
    ? 'it shows no serial, so nothing maps it again: detach the volume and attach it again'
    : 'force-sync maps it';
}
