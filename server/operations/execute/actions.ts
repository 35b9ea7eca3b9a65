import { type CloudCommand, CloudError, type Departure } from '../../cloudstack/cloud';
import type { Clock } from '../../core/clock';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { VOLUME_CREATING } from '../../core/log/log-events';
import type { JournalState, JsonObject, Operation } from '../../model/operation';
import { type Action, isSynchronous, type SynchronousCall } from '../action';
import { GONE } from '../decide/delete';
import type { Facts } from '../decision';
import type { MutationStep } from '../journal';
import { awaitJob } from './cloud-job';
import { rememberDisks } from './disks-before';
import { publishDevice, republish, withdraw } from './exports';
import { readGuards } from './guards';
import { type Observation, observe } from './observations';
import { startParts } from './parts-of-group';
import type { RunContext } from './run-context';

/** Facts that must be read again after a mutation of the volume. */
const ABOUT_THE_VOLUME: readonly (keyof Facts)[] = [
  'volume',
  'vm',
  'vmVolumes',
  'snapshot',
  'ownSnapshots',
  'job',
  'guards',
  'device',
  'use',
  'neighbours',
  'gone',
  'obstacles',
  'published',
];

type Send = Extract<Action, { do: 'send' }>;

type Performable = Exclude<Action, { do: 'complete' | 'fail' | 'cancel' | 'pause' | 'back-off' }>;

/**
 * What changes anything but the journal: every action that neither looks nor writes the
 * journal must be named.
 */
type Acting = Exclude<
  Performable['do'],
  Observation['do'] | 'read-guards' | 'await-job' | 'intend' | 'record'
>;
const ACTS: Readonly<Record<Acting, true>> = {
  send: true,
  publish: true,
  republish: true,
  withdraw: true,
  'start-parts': true,
};

/**
 * Performs a decided action. Nothing here decides what an operation does next: it journals an intent before
 * and the answer after every call to CloudStack, and discards the facts that a call may have changed. Returns
 * the operation when it has ended.
 */
export async function perform(run: RunContext, action: Performable): Promise<Operation | null> {
  if (Object.hasOwn(ACTS, action.do)) await run.written();
  if (action.do !== 'send') run.goInTurn();
  if (action.do === 'await-job') {
    const ended = await awaitJob(run, action);
    run.forget(ABOUT_THE_VOLUME);
    return ended;
  }
  if (action.do === 'publish') return publishDevice(run, action);
  await performStep(run, action);
  return null;
}

async function performStep(
  run: RunContext,
  action: Exclude<Performable, { do: 'await-job' | 'publish' }>,
): Promise<void> {
  switch (action.do) {
    case 'intend':
      return intend(run, action);
    case 'read-guards':
      run.goAhead();
      return learnGuards(run, action);
    case 'send':
      return send(run, action).finally(() => run.goInTurn());
    case 'republish':
      return republish(run, action.volumeId);
    case 'withdraw':
      return withdraw(run, action.volumeId, action.force);
    case 'start-parts':
      return startParts(run, action);
    case 'record':
      return record(run, action);
    default:
      return observe(run, action);
  }
}

async function intend(
  run: RunContext,
  { step, data = {}, checked }: Extract<Action, { do: 'intend' }>,
): Promise<void> {
  const jobId = run.parts.random.uuid();
  // The disks that are here without this attach.
  const seen = step === 'attach-volume' ? rememberDisks(await run.parts.watcher.scan()) : {};
  // How old a revert is decides about another send, and our clock may be wrong now and right by then.
  const clocks = step === 'revert-volume' ? { cloud_ahead_ms: run.parts.cloud.clockSkewMs() } : {};
  const intent = { step, state: 'intent' as const, data: { ...data, ...seen, ...clocks, job_id: jobId } };
  const check = checked && { step: 'check' as const, state: 'done' as const, data: checked };
  await run.record({ entries: check ? [check, intent] : [intent] });
  run.forget(['job', 'guards']);
  run.learn({ unsent: jobId });
}

async function learnGuards(run: RunContext, action: Extract<Action, { do: 'read-guards' }>): Promise<void> {
  const guards = await readGuards(run, action);
  run.learn({ guards: { ...guards, jobId: action.jobId, readAtMs: run.parts.clock.monotonic() } });
}

/**
 * The only place that sends mutations to CloudStack, and only with guards read for this send (judged by
 * decide/permit.ts).
 */
async function send(run: RunContext, action: Send): Promise<void> {
  const { guards } = run.facts;
  if (guards?.jobId !== action.jobId)
    throw new Error(`${action.command.name} of job ${action.jobId} was to be sent without its guards`);
  // From here on the call may have been sent; only a certain "not started" makes it unsent again. What was
  // said of its job before says nothing about this send.
  run.forget(['unsent', 'job', 'guards']);
  run.otherRuns.denials.forget(action.jobId);
  const { command } = action;
  const departure = new DepartureGate(run.parts.clock, guards.readAtMs);
  if (isSynchronous(command)) return callAndWait(run, action, command, departure);
  return callWithJob(run, action, command, departure);
}

async function callWithJob(
  run: RunContext,
  { step, jobId, resent }: Send,
  command: CloudCommand,
  departure: DepartureGate,
): Promise<void> {
  if (command.name === 'createVolume') {
    run.parts.logger.info(VOLUME_CREATING, {
      operation_id: run.operation.id,
      name: command.volumeName,
      size_gib: command.sizeGiB,
    });
  }
  try {
    const accepted = await run.active(() => run.parts.cloud.submit(command, jobId, departure.departs));
    const { volumeId, snapshotId } = accepted;
    const data = {
      job_id: jobId,
      ...(volumeId ? { volume_id: volumeId } : {}),
      ...(snapshotId ? { snapshot_id: snapshotId } : {}),
      ...(resent ? { resent: true } : {}),
    };
    await run.record({
      entries: [{ step, state: 'accepted', data }],
      ...(volumeId && command.name === 'createVolume' ? { volumeId } : {}),
      waiting: null,
    });
  } catch (error) {
    if (!(error instanceof CloudError)) {
      if (!resent) noteIfUnsent(run, jobId, departure);
      throw error;
    }
    await endOrThrow(run, step, jobId, error, resent);
  }
}

/**
 * Whether a call has left. It does not when the credentials had to be waited for (the database is slow): what
 * may forbid the call was looked at too long ago by then, and is looked at again.
 */
class DepartureGate {
  hasLeft = false;

  constructor(
    private readonly clock: Clock,
    private readonly guardsReadAtMs: number,
  ) {}

  readonly departs = () => {
    const ageMs = this.clock.monotonic() - this.guardsReadAtMs;
    if (ageMs > LIMITS.GUARDS_AGE_MAX_MS) {
      const message = `What may forbid the call was looked at ${Math.round(ageMs)} ms ago; nothing was sent, it is looked at again`;
      throw new CloudError(message, { kind: 'internal', outcome: 'not-started' });
    }
    this.hasLeft = true;
  };
}

/**
 * After an error that is not CloudStack's, as of the database with its credentials: a call that has not left
 * is sent without asking for its job first.
 */
function noteIfUnsent(run: RunContext, jobId: string, { hasLeft }: DepartureGate): void {
  if (!hasLeft) run.learn({ unsent: jobId });
}

/**
 * What an error says about the call. Refused: the try has ended. A job id that is taken: its job is queried.
 * Certainly not started, or unknown: the error is thrown, and the run tries again.
 */
async function endOrThrow(
  run: RunContext,
  step: MutationStep,
  jobId: string,
  error: CloudError,
  resent = false,
): Promise<void> {
  switch (error.outcome) {
    case 'final': {
      const data = { job_id: jobId, code: error.code, text: error.text, ...(resent ? { resent } : {}) };
      await run.record({ entries: [{ step, state: 'refused', data }] });
      run.forget(ABOUT_THE_VOLUME);
      return;
    }
    case 'not-started':
      // An earlier send may have arrived all the same.
      if (!resent) run.learn({ unsent: jobId });
      throw error;
    case 'unknown':
      // The reply is lost: the next decision asks CloudStack for this very job.
      throw error.transient
        ? error
        : new CloudError(error.message, { kind: 'network', outcome: 'unknown', cause: error });
    case 'taken':
      // An earlier send has arrived after all: its job is queried again.
      run.otherRuns.denials.forget(jobId);
      run.learn({ taken: jobId });
      return;
    default:
      return error.outcome satisfies never;
  }
}

/** A call without a job: it ends with its answer. */
async function callAndWait(
  run: RunContext,
  { step, jobId }: Send,
  call: SynchronousCall,
  departure: DepartureGate,
): Promise<void> {
  const finish = (data: JsonObject) =>
    run.record({ entries: [{ step, state: 'finished', data: { job_id: jobId, ...data } }], waiting: null });
  try {
    await finish({ outcome: 'ok', ...(await run.active(() => execute(run, call, departure.departs))) });
  } catch (error) {
    if (!(error instanceof CloudError)) {
      noteIfUnsent(run, jobId, departure);
      throw error;
    }
    if (error.outcome !== 'unknown') await endOrThrow(run, step, jobId, error);
    else await finish({ outcome: 'unknown', code: error.code, text: error.text });
  } finally {
    run.forget(ABOUT_THE_VOLUME);
  }
}

/** Makes the call; returns what its answer adds to the `finished` entry. */
async function execute(
  { parts: { cloud } }: RunContext,
  { name, volumeId }: SynchronousCall,
  departs: Departure,
): Promise<JsonObject> {
  switch (name) {
    case 'deleteVolume':
      return (await cloud.deleteVolume(volumeId, departs)) === 'gone' ? { text: GONE } : {};
    case 'recoverVolume':
      await cloud.recoverVolume(volumeId, departs);
      return {};
    default:
      return name satisfies never;
  }
}

async function record(run: RunContext, action: Extract<Action, { do: 'record' }>): Promise<void> {
  try {
    const change = {
      entries: [{ step: action.step, state: action.state, data: action.data }],
      ...(action.volumeId === undefined ? {} : { volumeId: action.volumeId }),
      ...(action.effects ? { effects: action.effects } : {}),
      waiting: null,
    };
    // What CloudStack has accepted is written whoever has the volume; what was only read waits for its turn.
    await run.record(change, action.state === 'done' ? 'database' : 'database-and-volume');
  } catch (error) {
    // The path belongs to a mapping that was written meanwhile: devices and mappings are read again.
    if (!(error instanceof DaemonError) || error.code !== 'DEVICE_IDENTITY_MISMATCH') throw error;
    run.forget(['device', 'mapping']);
    throw new CloudError(error.message, { kind: 'internal', outcome: 'not-started', cause: error });
  }
  run.forget(['mapping', ...outdatedBy(action.state), ...(action.forget ?? [])]);
}

/**
 * What must be read again after this entry: the undo of an operation never acts on what its
 * failure has outdated.
 */
function outdatedBy(state: JournalState): readonly (keyof Facts)[] {
  if (state === 'finished' || state === 'refused') return ABOUT_THE_VOLUME;
  return state === 'failing' ? ['volume'] : [];
}
