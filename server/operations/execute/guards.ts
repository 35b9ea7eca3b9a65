import { LIMITS } from '../../core/limits';
import type { Mutation } from '../action';
import { intentOf } from '../decide/intent';
import type { Guards, Neighbour } from '../decision';
import type { MutationStep } from '../journal';
import { awaitGone } from './await-gone';
import { readUse } from './disk-use';
import { exportedDevice } from './exports';
import { findSnapshots, readMapping, readSnapshot, readVm, readVolume } from './looks';
import { readNeighbour } from './neighbour';
import { countOpenJobs } from './open-jobs';
import type { RunContext } from './run-context';
import { readVmVolumes } from './vm-disks';

/** What is to be sent. */
interface Intended {
  readonly step: MutationStep;
  readonly command: Mutation;
}

interface Call extends Intended {
  readonly applianceVmId: string | null;
  /** The VM that the command names, where it is to be looked at; null: none. */
  readonly target: string | null;
}

/**
 * Reads everything that may forbid this call; what changes most is read last. Throws CloudError and
 * DATABASE_UNAVAILABLE; then nothing is sent.
 */
export async function readGuards(run: RunContext, intended: Intended, pass = 1): Promise<Guards> {
  const hasWaited = pass > 1;
  const { applianceVmId } = run.parts.policy();
  const call = { ...intended, applianceVmId, target: targetOf(run, intended, applianceVmId) };
  const before = await readBefore(run, call);
  const place = await readPlace(run, call);
  const since = run.parts.clock.monotonic();
  const users = await readUsers(run, call, { ...before, ...place }, hasWaited);
  // What was read first is old by now if users, or a daemon elsewhere, were waited for, or if this look
  // alone took long (many disks are flushed). So everything is read again; where every pass takes long, the
  // last one is used.
  const waitedMs = run.parts.clock.monotonic() - since;
  const tooOldMs = hasWaited ? LIMITS.GUARDS_AGE_MAX_MS : LIMITS.HOLDER_AGAIN_MS;
  if (waitedMs >= tooOldMs && pass < LIMITS.GUARD_PASSES) return readGuards(run, intended, pass + 1);
  return { ...before, ...place, ...users };
}

/**
 * That this VM runs is not asked for every disk; CloudStack may not think so, or be moving it,
 * where a try has failed.
 */
function targetOf(run: RunContext, { step, command }: Intended, applianceVmId: string | null): string | null {
  const vmId = 'vmId' in command ? command.vmId : null;
  const isTakenForRunning =
    command.name === 'attachVolume' && vmId === applianceVmId && !run.journal.wasAccepted(step);
  return isTakenForRunning ? null : vmId;
}

type Before = 'vmVolumes' | 'openJobs' | 'snapshot' | 'ownSnapshots' | 'mapping' | 'exported' | 'ghost';

/** What the volume and its VM do not tell. */
async function readBefore(run: RunContext, call: Call): Promise<Pick<Guards, Before>> {
  const { command } = call;
  const vmVolumes = command.name === 'destroyVirtualMachine' ? await readVmVolumes(run, command.vmId) : null;
  const openJobs = 'volumeId' in command ? await countOpenJobs(run, command.volumeId) : 0;
  const snapshot = 'snapshotId' in command ? await readSnapshot(run, command.snapshotId) : null;
  const ownSnapshots =
    command.name === 'createSnapshot'
      ? await findSnapshots(run, { volumeId: command.volumeId, name: command.snapshotName })
      : null;
  const reverts = command.name === 'revertSnapshot';
  const mapping = reverts ? await readMapping(run, command.volumeId) : null;
  const exported = reverts ? (await exportedDevice(run, command.volumeId)) !== null : null;
  const ghost = await readGhost(run, call);
  return { vmVolumes, openJobs, snapshot, ownSnapshots, mapping, exported, ghost };
}

/** The volume, and the VM that the call acts on. */
async function readPlace(
  run: RunContext,
  { step, command, target }: Call,
): Promise<Pick<Guards, 'volume' | 'vm'>> {
  const named = target === null ? null : await readVm(run, target);
  const about = volumeOf(run, command);
  const volume = about === null ? null : await readVolume(run, about);
  const attachedTo = attachedVm(volume);
  const { stillOnly } = intentOf(run.journal.intent(step));
  const isOfVolume = command.name === 'revertSnapshot' || stillOnly;
  return { volume, vm: isOfVolume && attachedTo !== null ? await readVm(run, attachedTo) : named };
}

/**
 * Who uses the disk in this guest, and whose appliance the VM is. Users that may be gone in a
 * moment are waited for.
 */
async function readUsers(
  run: RunContext,
  { step, command, applianceVmId, target }: Call,
  { volume, mapping }: Pick<Guards, 'volume' | 'mapping'>,
  hasWaited: boolean,
): Promise<Pick<Guards, 'use' | 'neighbour'>> {
  const attachedTo = attachedVm(volume);
  const { ignored } = intentOf(run.journal.intent(step));
  const reverts = command.name === 'revertSnapshot';
  const detachesHere = command.name === 'detachVolume' && attachedTo !== null && attachedTo === applianceVmId;
  const looking = { ignored: hasWaited ? null : ignored, attachedHere: detachesHere };
  const use = detachesHere || reverts ? await readUse(run, command.volumeId, looking) : null;
  const mappedTo = mapping?.kind === 'seen' ? mapping.value.vmId : null;
  // The disk may be on one VM by its row and on another one by CloudStack: the guest of either may have it.
  const actsOn = command.name === 'detachVolume' ? [attachedTo] : reverts ? [attachedTo, mappedTo] : [target];
  let neighbour: Neighbour | null = null;
  for (const vmId of new Set(actsOn)) {
    if (neighbour?.runs || vmId === null || vmId === applianceVmId) continue;
    neighbour = (await readNeighbour(run, vmId, !hasWaited)) ?? neighbour;
  }
  return { use, neighbour };
}

function attachedVm(volume: Guards['volume']): string | null {
  return volume?.kind === 'seen' ? volume.value.vmId : null;
}

/** The volume that the call changes, or that a VM is stopped for; null: none. */
function volumeOf({ operation }: RunContext, command: Mutation): string | null {
  if (command.name === 'stopVirtualMachine') return operation.volumeId;
  return 'volumeId' in command ? command.volumeId : null;
}

/**
 * May a disk of this guest be the volume's? One that was just plugged in has the time to tell. Before the
 * intent of an attach this was asked as well: here it is asked again where that is a while ago.
 */
async function readGhost(run: RunContext, { step, command }: Call): Promise<boolean | null> {
  const attaches = command.name === 'attachVolume';
  if (command.name !== 'revertSnapshot' && !(attaches && isOld(run, step))) return null;
  const leaves = !attaches || command.vmId !== run.parts.policy().applianceVmId;
  const { volumeId } = command;
  const timeoutMs = LIMITS.SERIAL_READ_TIMEOUT_MS;
  return !(await awaitGone(run, { do: 'await-gone', volumeId, timeoutMs, leaves }));
}

/** Was the first intent of this step not written just now? One from before a restart was not. */
function isOld(run: RunContext, step: MutationStep): boolean {
  const intent = run.journal.firstIntent(step);
  const since = intent && run.writtenMonotonic(intent);
  return since === null || run.parts.clock.monotonic() - since >= LIMITS.HOLDER_AGAIN_MS;
}
