import { LIMITS } from '../../core/limits';
import type { DeviceSnapshot } from '../../devices/device';
import { plugHasLeft, plugIsHere, type RecordedIdentity } from '../../devices/identity';
import { isVolumeSerial, serialNames } from '../../devices/serial';
import type { JsonObject, Mapping } from '../../model/operation';
import type { Action } from '../decision';
import { deviceOfVolume, namesOfOthers } from './disk-use';
import { exportedDevice } from './exports';
import { learnNeighbour } from './neighbour';
import type { RunContext } from './run-context';

type AwaitGone = Extract<Action, { do: 'await-gone' }>;

/** What tells whether a disk of the guest is the volume's. */
interface Clues {
  /** The volume's last known plug. */
  readonly disk: RecordedIdentity | null;
  /** Of this appliance. */
  readonly mappings: readonly Mapping[];
}

/**
 * Waits until the guest has no disk of this volume any more; false when it still has one, or may have one, after
 * `timeoutMs`. Throws DATABASE_UNAVAILABLE.
 */
export async function awaitGone(run: RunContext, action: AwaitGone): Promise<boolean> {
  const { watcher } = run.parts;
  const { timeoutMs } = action;
  const first = await watcher.scan();
  const row = await run.active(() => run.parts.ledger.readMapping(action.volumeId));
  if (await isOfNeighbour(run, row)) return false;
  const clues = await readClues(run, action.volumeId, row, first);
  const gone = (snapshot: DeviceSnapshot) => (isGone(snapshot, action, clues) ? true : null);
  if (gone(first)) return true;
  const quickMs = Math.min(timeoutMs, LIMITS.QUIET_WAIT_MS);
  if (await watcher.waitFor(gone, { timeoutMs: quickMs, signal: run.signal })) return true;
  if (timeoutMs <= quickMs || run.signal.aborted) return false;
  await run.announce('await-gone', 'CloudStack has detached the volume, and this guest still has its disk');
  return (await watcher.waitFor(gone, { timeoutMs: timeoutMs - quickMs, signal: run.signal })) ?? false;
}

/** Does another daemon that runs still count the disk as its own? Nobody else sees that guest. */
async function isOfNeighbour(run: RunContext, row: Mapping | null): Promise<boolean> {
  if (row === null || row.vmId === run.parts.policy().applianceVmId) return false;
  return (await learnNeighbour(run, row.vmId))?.runs === true;
}

function isGone(snapshot: DeviceSnapshot, { volumeId, leaves }: AwaitGone, clues: Clues): boolean {
  if (deviceOfVolume(snapshot, volumeId, clues.disk) !== null) return false;
  if (clues.disk !== null && plugIsHere(clues.disk, snapshot)) return false;
  if (snapshot.others?.some(({ serial }) => serialNames(volumeId, serial)) === true) return false;
  // A disk whose serial is not read yet may be this one; within LIMITS.SERIAL_READ_TIMEOUT_MS it is read or fails.
  if (snapshot.devices.some(({ serialState }) => serialState === 'pending')) return false;
  return !leaves || !mayHideIt(snapshot, volumeId, clues);
}

/**
 * May a disk whose serial cannot be read be this volume's? A disk that hangs is the very one that an unplug leaves
 * behind. Where the volume's own plug is known and has left, no other disk is asked: one that is broken for good
 * must not keep every volume here.
 */
function mayHideIt(snapshot: DeviceSnapshot, volumeId: string, { disk, mappings }: Clues): boolean {
  if (disk !== null && plugHasLeft(disk, snapshot)) return false;
  const known = namesOfOthers(snapshot, volumeId, mappings);
  return snapshot.devices.some(
    ({ name, root, serialState }) => serialState === 'unreadable' && root !== true && !known.has(name),
  );
}

/**
 * What is known of the volume's disk in this guest: its mapping, its export, or the one of its last ghost. A
 * mapping to another VM says nothing about a disk that has stayed here. Where every disk tells whose it is, there
 * is nothing to look up.
 */
async function readClues(
  run: RunContext,
  volumeId: string,
  row: Mapping | null,
  snapshot: DeviceSnapshot,
): Promise<Clues> {
  const { ledger, policy } = run.parts;
  const { applianceVmId } = policy();
  const mapping = row?.vmId === applianceVmId ? row : null;
  const allTell = snapshot.devices.every(({ root, serial }) => root === true || isVolumeSerial(serial));
  if (allTell || applianceVmId === null) return { disk: mapping, mappings: [] };
  const mappings = await run.active(() => ledger.listMappings(applianceVmId));
  const disk = mapping ?? (await exportedDisk(run, volumeId, snapshot)) ?? (await ghostLeftBy(run, volumeId));
  return { disk, mappings };
}

/**
 * The disk that does not tell whose it is and that the volume's export leads to: it was verified when it was
 * published, and the link of a disk that has changed is closed (sync/revoke-exports.ts).
 */
async function exportedDisk(
  run: RunContext,
  volumeId: string,
  { devices, bootId }: DeviceSnapshot,
): Promise<RecordedIdentity | null> {
  const path = await exportedDevice(run, volumeId);
  const device = devices.find((one) => one.path === path && !isVolumeSerial(one.serial));
  return device ? { devicePath: device.path, serial: device.serial, diskseq: device.diskseq, bootId } : null;
}

/**
 * The disk that this operation, or the last one on this volume, saw staying in the guest. It has removed the
 * mapping; where the disk shows no serial, or hangs, its journal is the only thing that still names it.
 */
async function ghostLeftBy(run: RunContext, volumeId: string): Promise<RecordedIdentity | null> {
  const ours = run.journal.done('unmap');
  if (ours) return identityIn(ours);
  const { ledger } = run.parts;
  const limit = LIMITS.RECENT_OPERATIONS;
  // All of them: those that were tried in vain since do not name the disk.
  let before: number | undefined;
  for (;;) {
    const filter = { volumeId, status: 'failed', limit, before } as const;
    const ended = await run.active(() => ledger.listOperations(filter));
    for (const { id, errorCode } of ended) {
      if (errorCode !== 'DEVICE_STILL_PRESENT') continue;
      const entries = await run.active(() => ledger.readJournal(id));
      const unmapped = entries.findLast(({ step, state }) => step === 'unmap' && state === 'done');
      if (unmapped) return identityIn(unmapped.data);
    }
    before = ended.at(-1)?.sequence;
    if (ended.length < limit || before === undefined) return null;
  }
}

function identityIn(data: JsonObject): RecordedIdentity {
  const { device_path: path, serial, diskseq, boot_id: bootId } = data;
  return {
    devicePath: typeof path === 'string' ? path : '',
    serial: typeof serial === 'string' ? serial : null,
    diskseq: typeof diskseq === 'number' ? diskseq : null,
    bootId: typeof bootId === 'string' ? bootId : null,
  };
}
