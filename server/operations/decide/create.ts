import type { CloudOwner, CloudVolume } from '../../cloudstack/cloud';
import { stateOf } from '../../cloudstack/volume-states';
import { wholeGiB } from '../../core/gib';
import { LIMITS } from '../../core/limits';
import { isObject, type JsonObject, type OperationOf } from '../../model/operation';
import { type Action, giveUp } from '../action';
import type { Offer, Situation } from '../decision';
import type { EndedTry } from '../journal';
import { endFailed, openCall } from './failure';
import { lookAgain } from './look-again';
import { failureCode, failureMessage, follow, intend, tryAgainOrGiveUp } from './mutation';
import { doubtTheEffect, doubtTheRead, knownVolume } from './volume';

const STEP = 'create-volume';

/**
 * create: check zone and offering → intent → send → job → read back → record size → done. CloudStack sizes
 * are whole GiB: bytes are rounded up and the real size is reported.
 *
 * A volume counts as ours only when our call or our job names it, never by its name, size, age or account. A
 * call whose answer and job are both lost is sent again; volumes it may have left behind are named in the
 * response and reported by sync, never adopted and never deleted.
 */
export function decideCreate(s: Situation<'create'>): Action {
  const failing = s.journal.failing;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const checked = s.journal.done('check');
  if (!checked) return check(s);

  const end = s.journal.mutation(STEP);
  if (end.at === 'none') return intend(s, STEP);
  if (end.at !== 'ended') return follow(s, STEP, end, commandOf(s.operation, checked));
  const { volumeId, outcome } = end;
  if (volumeId === null) {
    const mayHaveMade = outcome === 'ok' || outcome === 'unknown';
    return mayHaveMade ? lost(s, end) : withoutVolume(s, end);
  }
  const pause = s.facts.volume && !isShown(s) ? doubtTheRead(s, STEP, end) : null;
  if (pause) return pause;
  const { volume } = s.facts;
  if (volume?.kind === 'unknown' && s.doubted('not-visible') > LIMITS.READ_SETTLE_MS)
    return notShown(volumeId, end, volume.why);
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent') return withoutVolume(s, end);
  // Its row is older than the job, so one look says nothing of a job that has failed.
  return (
    misnamed(s, known.result.value, end.jobId) ??
    doubtTheEffect(s, STEP) ??
    finish(s, known.result.value, end, checked)
  );
}

/** Tries again, or ends; an end says what an earlier try whose answer was lost may have left behind. */
function withoutVolume(s: Situation, end: EndedTry): Action {
  const next = tryAgainOrGiveUp(s, STEP, end, 'volume creation');
  const isEnd = next.do === 'record' && next.state === 'failing';
  if (!isEnd || !s.journal.mayHaveDoubled(STEP)) return next;
  const { unclaimed } = s.facts;
  if (!unclaimed) return { do: 'find-unclaimed', volumeId: '' };
  const { message, details, cancelled } = next.data;
  const said = cancelled === true ? 'Cancelled on request' : message;
  const left = `the answer to an earlier try was lost, and whether it made a volume is not known: ${seenOf(unclaimed)}`;
  const named = { ...(isObject(details) ? details : {}), unclaimed: [...unclaimed] };
  return { ...next, data: { ...next.data, message: `${said}; ${left}`, details: named } };
}

function seenOf(unclaimed: readonly string[]): string {
  return unclaimed.length === 0 ? 'none is seen' : `it may be ${unclaimed.join(' or ')}`;
}

/**
 * CloudStack has had the job, or may have had it, and does not know it any more, or says that it has
 * succeeded: there may be a volume, and nothing says which. No other one is made.
 */
function lost(s: Situation, { jobId, text }: EndedTry): Action {
  const { unclaimed } = s.facts;
  if (!unclaimed) return { do: 'find-unclaimed', volumeId: '' };
  const why = text === null ? '' : ` (${text})`;
  const message = `CloudStack did not say which volume the creation (job ${jobId}) has made${why}: ${seenOf(unclaimed)}; nothing was created again`;
  return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, { unclaimed: [...unclaimed] });
}

/**
 * Where the answer was lost, its job alone says that the volume is ours. That is contradicted by another
 * name: whoever took it for his own might delete somebody's. The answer to a call is believed: its volume may
 * have been renamed since.
 */
function misnamed(
  { operation, journal }: Situation<'create'>,
  volume: CloudVolume,
  jobId: string,
): Action | null {
  const { name } = operation.request;
  if (!journal.wasFound(STEP) || volume.name.trim() === name.trim()) return null;
  const message = `The answer to the creation was lost, and its job ${jobId} names volume ${volume.id}, whose name is "${volume.name}" and not "${name}": whether it was made for this request is not known; nothing was created again`;
  return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, { unclaimed: [volume.id] });
}

/**
 * There may be a volume of ours that this key does not see: the caller is told which, and how the creation
 * has ended.
 */
function notShown(volumeId: string, end: EndedTry, why: string): Action {
  const isMade = end.outcome === 'ok';
  const said = isMade
    ? `CloudStack says that the creation has succeeded (job ${end.jobId})`
    : failureMessage(end, 'volume creation');
  return giveUp(
    isMade ? 'VOLUME_NOT_VISIBLE' : failureCode(end),
    `${said}; its volume ${volumeId} is not visible to this key: ${why}. Nothing was created again`,
    { volume_id: volumeId, cloudstack_code: end.code, cloudstack_text: end.text },
  );
}

function isShown(s: Situation): boolean {
  return s.facts.volume?.kind === 'seen';
}

function check(s: Situation<'create'>): Action {
  const { request } = s.operation;
  const offer = s.facts.offer;
  if (!offer) return { do: 'read-offer' };
  if (!offer.zone)
    return giveUp(
      'ZONE_NOT_FOUND',
      `Zone ${request.zone_id} not found in CloudStack, or not shown to this key`,
      {
        zone_id: request.zone_id,
      },
    );
  if (!offer.offering) {
    return giveUp(
      'DISK_OFFERING_NOT_FOUND',
      `Disk offering ${request.disk_offering_id} not found in CloudStack, or not shown to this key`,
      {
        disk_offering_id: request.disk_offering_id,
      },
    );
  }
  if (s.policy.volumeNames === 'unique') {
    const nameTaken = sameNameTaken(request.name, offer);
    if (nameTaken) return nameTaken;
  }
  const wanted = wholeGiB(request.size);
  if (!offer.offering.customized && offer.offering.sizeGiB < wanted) {
    return giveUp(
      'CLOUDSTACK_REJECTED',
      `Disk offering ${offer.offering.name} has a fixed size of ${offer.offering.sizeGiB} GiB, less than the ${wanted} GiB asked for`,
      { size: request.size, offering_size_gib: offer.offering.sizeGiB },
    );
  }
  const doubt = doubtTheOwner(s, offer);
  if (doubt) return doubt;
  const sizeGiB = offer.offering.customized ? wanted : null;
  // Volumes that exist before the call cannot have been left behind by it.
  const sameName = offer.sameName.map(({ id }) => id);
  const { ownerUnknown } = offer;
  const unknown = ownerUnknown === undefined ? {} : { owner_unknown: ownerUnknown };
  const checked = { size_gib: sizeGiB, zone_id: offer.zone.id, ...ownerData(offer.owner), ...unknown };
  const next = intend(s, STEP);
  if (next.do !== 'intend') return next;
  return { ...next, checked: sameName.length === 0 ? checked : { ...checked, same_name: sameName } };
}

/**
 * A volume of the account of the key may be none that this appliance can have. So one look that does not show
 * the appliance does not decide for whom it is made. null: it does, or lasts.
 */
function doubtTheOwner(s: Situation<'create'>, { ownerUnknown }: Offer): Action | null {
  if (ownerUnknown === undefined) return null;
  const reason = `for whom the volume is to be made is not known, because this appliance is not shown: ${ownerUnknown}`;
  return lookAgain(s, { name: 'owner-unknown', step: 'check', reason, forget: ['offer'] });
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
    ms: LIMITS.CONFLICT_POLL_MS,
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
    owner: ownerIn(checked),
  };
}

/** The owner is journaled before the call, so that every try names the same one. */
function ownerData(owner: CloudOwner | null): JsonObject {
  if (owner === null) return {};
  const { projectId, account, domainId } = owner;
  return { owner: { project_id: projectId, account, domain_id: domainId } };
}

/** For whom the checked create makes its volume; null: for the account of the key. */
export function ownerIn({ owner }: JsonObject): CloudOwner | null {
  if (!isObject(owner)) return null;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    projectId: text(owner.project_id),
    account: text(owner.account),
    domainId: text(owner.domain_id),
  };
}

function finish(s: Situation<'create'>, volume: CloudVolume, end: EndedTry, checked: JsonObject): Action {
  const { phase, means } = stateOf(volume);
  const { size: wanted } = s.operation.request;
  if (volume.size !== null && volume.size < wanted) {
    const message = `The new volume ${volume.id} has ${volume.size} bytes, less than the ${wanted} asked for`;
    return giveUp('VOLUME_STATE', message, {
      volume_id: volume.id,
      size: volume.size,
      size_requested: wanted,
    });
  }
  if (phase === 'rest') {
    // A try that was sent may have made a volume although its job is lost.
    const sentTwice = end.tries > 1 || s.journal.mayHaveDoubled(STEP);
    const { unclaimed } = s.facts;
    if (sentTwice && !unclaimed) return { do: 'find-unclaimed', volumeId: volume.id };
    return complete(s, volume, unclaimed ?? [], checked);
  }
  if (phase === 'leaving' || s.elapsed('settle') > LIMITS.VOLUME_BUSY_DEADLINE_MS) {
    const found = `The new volume ${volume.id} ${means} (${volume.state})`;
    const details = { volume_id: volume.id, state: volume.state };
    if (end.outcome !== 'failed') return giveUp('STEP_DEADLINE', found, details);
    return giveUp(failureCode(end), `${failureMessage(end, 'volume creation')}. ${found}`, details);
  }
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'read-back',
    reason: `the volume ${means} (${volume.state})`,
    forget: ['volume'],
  };
}

function complete(
  s: Situation<'create'>,
  volume: CloudVolume,
  unclaimed: readonly string[],
  checked: JsonObject,
): Action {
  const { name } = s.operation.request;
  const { owner_unknown: ownerUnknown } = checked;
  const warnings = [
    ...(typeof ownerUnknown === 'string'
      ? [`it was made for the account of the key, because this appliance is not shown to it: ${ownerUnknown}`]
      : []),
    ...(s.policy.volumeNames === 'warn' ? namesakes(checked) : []).map(
      (id) => `another live volume in the zone is named "${name}": ${id}`,
    ),
    ...unclaimed.map((id) => `volume ${id} may be what an earlier try has left behind; nothing owns it`),
  ];
  return {
    do: 'complete',
    response: {
      volume_id: volume.id,
      name: volume.name,
      size: volume.size,
      size_requested: s.operation.request.size,
      state: volume.state,
      message: 'Volume created successfully',
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(unclaimed.length === 0 ? {} : { unclaimed: [...unclaimed] }),
    },
  };
}

/** Ids of the volumes of the same name that existed before the call. */
export function namesakes(checked: JsonObject): string[] {
  const { same_name: ids } = checked;
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}
