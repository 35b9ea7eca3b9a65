import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { JsonObject, OperationOf } from '../../model/operation';
import { type Action, giveUp, type Offer, type Situation } from '../decision';
import { endFailed } from './failure';
import { mutate, tryAgainOrGiveUp } from './mutation';

const GIB = 1024 ** 3;
const STEP = 'create-volume';

/**
 * create: check zone and offering → intent → submit → job → read back → record size → done (DESIGN section 4).
 * CloudStack sizes are whole GiB: bytes are rounded up and the real size is reported.
 */
export function decideCreate(s: Situation<'create'>): Action {
  const failing = s.journal.failing;
  if (failing) return endFailed(failing);
  const checked = s.journal.done('check');
  if (!checked) return check(s);

  const step = mutate(s, STEP, commandOf(s.operation, checked), { resend: false });
  if (step.do !== 'done') return step;
  if (step.result === 'lost') return findLostVolume(s, checked);

  const end = step.result;
  const volumeId = end.volumeId ?? s.operation.volumeId;
  if (volumeId === '') return tryAgainOrGiveUp(s, STEP, end, 'volume creation');
  if (!s.facts.volume) return { do: 'read-volume', volumeId };
  if (s.facts.volume === 'absent') return tryAgainOrGiveUp(s, STEP, end, 'volume creation');
  return finish(s, s.facts.volume);
}

function check(s: Situation<'create'>): Action {
  const { request } = s.operation;
  const offer = s.facts.offer;
  if (!offer) return { do: 'read-offer' };
  if (!offer.zone)
    return giveUp('ZONE_NOT_FOUND', `Zone ${request.zone_id} not found in CloudStack`, {
      zone_id: request.zone_id,
    });
  if (!offer.offering) {
    return giveUp(
      'DISK_OFFERING_NOT_FOUND',
      `Disk offering ${request.disk_offering_id} not found in CloudStack`,
      {
        disk_offering_id: request.disk_offering_id,
      },
    );
  }
  if (s.policy.volumeNames === 'unique') {
    const nameTaken = sameNameTaken(request.name, offer);
    if (nameTaken) return nameTaken;
  }
  const wanted = Math.ceil(request.size / GIB);
  if (!offer.offering.customized && offer.offering.sizeGiB < wanted) {
    return giveUp(
      'CLOUDSTACK_REJECTED',
      `Disk offering ${offer.offering.name} has a fixed size of ${offer.offering.sizeGiB} GiB, less than the ${wanted} GiB asked for`,
      { size: request.size, offering_size_gib: offer.offering.sizeGiB },
    );
  }
  const sizeGiB = offer.offering.customized ? wanted : null;
  return { do: 'record', step: 'check', state: 'done', data: { size_gib: sizeGiB, zone_id: offer.zone.id } };
}

function sameNameTaken(name: string, offer: Offer): Action | null {
  const [taken] = offer.sameName;
  if (taken) {
    return giveUp('VOLUME_NAME_EXISTS', `A volume named "${name}" already exists in the zone: ${taken.id}`, {
      volume_id: taken.id,
    });
  }
  if (offer.conflictingOperation === null) return null;
  return {
    do: 'pause',
    ms: 250,
    step: 'check',
    reason: `operation ${offer.conflictingOperation} is creating a volume of the same name`,
    forget: ['offer'],
  };
}

function commandOf(operation: OperationOf<'create'>, checked: JsonObject) {
  const { request } = operation;
  return {
    name: 'createVolume' as const,
    volumeName: request.name,
    zoneId: typeof checked.zone_id === 'string' ? checked.zone_id : request.zone_id,
    diskOfferingId: request.disk_offering_id,
    sizeGiB: typeof checked.size_gib === 'number' ? checked.size_gib : null,
  };
}

/**
 * The call was sent, its answer is lost and CloudStack knows no such job. The volume row is made before the job, so it may
 * exist all the same: look for it (twice, the call may still be under way), adopt it if it is there, and only then send again.
 */
function findLostVolume(s: Situation<'create'>, checked: JsonObject): Action {
  const state = s.journal.mutation(STEP);
  if (state.at !== 'intended')
    return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', 'The creation was lost in an impossible state');
  const { created } = s.facts;
  if (!created) return { do: 'find-created', since: state.since, after: 0 };
  const [only, ...others] = created.volumes;
  if (others.length > 0) {
    return giveUp(
      'CLOUDSTACK_OUTCOME_UNKNOWN',
      'The reply to createVolume was lost and more than one volume could be its result; nothing was created again',
      {
        candidates: created.volumes.map((volume) => volume.id),
      },
    );
  }
  if (only) {
    return {
      do: 'record',
      step: STEP,
      state: 'finished',
      data: { job_id: state.jobId, volume_id: only.id, outcome: 'ok', adopted: true },
      volumeId: only.id,
    };
  }
  if (created.looks < 2) return { do: 'find-created', since: state.since, after: LIMITS.CREATE_SETTLE_MS };
  return { do: 'submit', step: STEP, jobId: state.jobId, command: commandOf(s.operation, checked) };
}

function finish(s: Situation<'create'>, volume: CloudVolume): Action {
  if (volume.state === 'Allocated' || volume.state === 'Ready') {
    return {
      do: 'complete',
      response: {
        volume_id: volume.id,
        name: volume.name,
        size: volume.size,
        size_requested: s.operation.request.size,
        state: volume.state,
        message: 'Volume created successfully',
      },
    };
  }
  if (s.elapsed('settle') > LIMITS.VOLUME_BUSY_DEADLINE_MS) {
    return giveUp('STEP_DEADLINE', `The new volume ${volume.id} stays in state ${volume.state}`, {
      volume_id: volume.id,
      state: volume.state,
    });
  }
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'read-back',
    reason: `the volume is ${volume.state}`,
    forget: ['volume'],
  };
}
