import { LIMITS } from '../../core/limits';
import type { DisksBefore } from '../../devices/correlation';
import type { Device, DeviceSnapshot } from '../../devices/device';
import { plugHasLeft, plugIsHere, type RecordedIdentity } from '../../devices/identity';
import { isVolumeSerial, serialNames } from '../../devices/serial';
import type { JsonObject, Mapping, Operation } from '../../model/operation';
import type { Action } from '../action';
import { intentOf } from '../decide/intent';
import { Journal } from '../journal';
import { deviceOfVolume, namesOfOthers } from './disk-use';
import { disksBefore } from './disks-before';
import { exportedDevice } from './exports';
import { learnNeighbour } from './neighbour';
import type { RunContext } from './run-context';

type AwaitGone = Extract<Action, { do: 'await-gone' }>;

/** What tells whether a disk of the guest is the volume's. */
interface Clues {
  /** The volume's last known plug. */
  readonly disk: RecordedIdentity | null;
  /**
   * What the guest had before each attach of the volume to it that came to no mapping: such a call may have
   * plugged its disk all the same, as one that has come since and does not tell whose it is.
   */
  readonly lost: readonly DisksBefore[];
  /** Of this appliance. */
  readonly mappings: readonly Mapping[];
}

/**
 * Waits until the guest has no disk of this volume any more; false when it still has one, or may have one,
 * after `timeoutMs`. Throws DATABASE_UNAVAILABLE.
 */
export async function awaitGone(run: RunContext, action: AwaitGone): Promise<boolean> {
  const { watcher, clock } = run.parts;
  const { timeoutMs } = action;
  const until = clock.monotonic() + timeoutMs;
  const first = await watcher.scan();
  const row = await run.active(() => run.parts.ledger.readMapping(action.volumeId));
  if (await isOfNeighbour(run, row)) return false;
  let clues = await readClues(run, action.volumeId, row, first);
  const gone = (snapshot: DeviceSnapshot) => (isGone(snapshot, action, clues) ? true : null);
  if (gone(first)) return true;
  const quickMs = Math.min(timeoutMs, LIMITS.QUIET_WAIT_MS);
  if (await watcher.waitFor(gone, { timeoutMs: quickMs, signal: run.signal })) return true;
  if (timeoutMs <= quickMs || run.signal.aborted) return false;
  await run.announce(
    'await-gone',
    clues.lost.length === 0
      ? 'CloudStack does not show the volume here, and this guest still has its disk'
      : 'CloudStack does not show the volume here, and this guest has a disk that may be its own',
  );
  for (;;) {
    const leftMs = Math.max(0, until - clock.monotonic());
    // A disk that may be its own may come to be another volume's meanwhile.
    const waitMs = clues.lost.length === 0 ? leftMs : Math.min(leftMs, LIMITS.CONTESTED_DISK_POLL_MS);
    if (await watcher.waitFor(gone, { timeoutMs: waitMs, signal: run.signal })) return true;
    if (waitMs === leftMs || run.signal.aborted) return false;
    clues = { ...clues, mappings: await readMappings(run) };
  }
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
  // A disk whose serial is not read yet may be this one; within LIMITS.SERIAL_READ_TIMEOUT_MS
  // it is read or fails.
  if (snapshot.devices.some(({ serialState }) => serialState === 'pending')) return false;
  return !leaves || !mayHideIt(snapshot, volumeId, clues);
}

/**
 * May a disk whose serial cannot be read be this volume's? A disk that hangs is the very one that an unplug
 * leaves behind. Where the volume's own plug is known and has left, no other disk is asked: one that is
 * broken for good must not keep every volume here.
 */
function mayHideIt(snapshot: DeviceSnapshot, volumeId: string, { disk, lost, mappings }: Clues): boolean {
  const hasLeft = disk !== null && plugHasLeft(disk, snapshot);
  const known = namesOfOthers(snapshot, volumeId, mappings);
  const silent = snapshot.devices.filter(
    ({ name, root, serial }) => root !== true && !known.has(name) && !isVolumeSerial(serial),
  );
  return silent.some(
    (device) =>
      (!hasLeft && device.serialState === 'unreadable') ||
      lost.some((before) => hasComeSince(before, device, snapshot.bootId)),
  );
}

/** After a reboot nothing tells. */
function hasComeSince(before: DisksBefore, { path, diskseq }: Device, bootId: string | null): boolean {
  if (before.bootId !== bootId) return false;
  return !before.disks.some((disk) => disk.path === path && disk.diskseq === diskseq);
}

/**
 * What is known of the volume's disk in this guest: its mapping, its export, or the one of its last ghost. A
 * mapping to another VM says nothing about a disk that has stayed here. Where every disk tells whose it is,
 * there is nothing to look up.
 */
async function readClues(
  run: RunContext,
  volumeId: string,
  row: Mapping | null,
  snapshot: DeviceSnapshot,
): Promise<Clues> {
  const { applianceVmId } = run.parts.policy();
  const mapping = row?.vmId === applianceVmId ? row : null;
  const allTell = snapshot.devices.every(({ root, serial }) => root === true || isVolumeSerial(serial));
  if (allTell || applianceVmId === null) return { disk: mapping, lost: [], mappings: [] };
  const mappings = await readMappings(run);
  const disk = mapping ?? (await exportedDisk(run, volumeId, snapshot));
  return disk
    ? { disk, lost: [], mappings }
    : { ...(await leftByOperations(run, volumeId, snapshot.bootId)), mappings };
}

async function readMappings(run: RunContext): Promise<readonly Mapping[]> {
  const { ledger, policy } = run.parts;
  const { applianceVmId } = policy();
  return applianceVmId === null ? [] : run.active(() => ledger.listMappings(applianceVmId));
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
 * The disk that this operation, or the last one on this volume, saw staying in the guest: it has removed the
 * mapping, and where the disk shows no serial, or hangs, its journal is the only thing that still names it.
 * And what the guest had before attaches that have failed since. Of those before this boot nothing is asked:
 * after a reboot every disk is new. Where more than LIMITS.OPERATIONS_LOOKED_THROUGH have failed since, any
 * disk may be that of an earlier one.
 */
async function leftByOperations(
  run: RunContext,
  volumeId: string,
  bootId: string | null,
): Promise<Pick<Clues, 'disk' | 'lost'>> {
  const ours = unmappedHere(run, run.journal);
  if (ours) return { disk: ours, lost: [] };
  const { ledger } = run.parts;
  const limit = LIMITS.RECENT_OPERATIONS;
  const settled = await settledBy(run, volumeId);
  const lost: DisksBefore[] = [];
  let looked = 0;
  // Not the last one alone: those that were tried in vain since do not name the disk.
  let before: number | undefined;
  for (;;) {
    const filter = { volumeId, status: 'failed', limit, before } as const;
    const ended = await run.active(() => ledger.listOperations(filter));
    for (const operation of ended) {
      if (operation.sequence <= settled) return { disk: null, lost };
      const mayHavePlugged = isAttach(operation);
      const hasSeenIt = operation.errorCode === 'DEVICE_STILL_PRESENT';
      if (!mayHavePlugged && !hasSeenIt) continue;
      if (looked === LIMITS.OPERATIONS_LOOKED_THROUGH)
        return { disk: null, lost: [...lost, { bootId, disks: [] }] };
      looked += 1;
      const journal = new Journal(await run.active(() => ledger.readJournal(operation.id)));
      const unmapped = hasSeenIt ? unmappedHere(run, journal) : null;
      if (unmapped) return { disk: unmapped, lost };
      const seenBefore = mayHavePlugged ? beforePlugging(run, journal) : null;
      if (seenBefore === null) continue;
      if (seenBefore.bootId !== null && seenBefore.bootId !== bootId) return { disk: null, lost };
      lost.push(seenBefore);
    }
    before = ended.at(-1)?.sequence;
    if (ended.length < limit || before === undefined) return { disk: null, lost };
  }
}

function isAttach({ type }: Operation): boolean {
  return type === 'attach' || type === 'cleanup';
}

/**
 * The last operation that has come to know the volume's disk, or that it has none here: what operations
 * before it may have left does not count any more. 0: none.
 */
async function settledBy(run: RunContext, volumeId: string): Promise<number> {
  const types = ['attach', 'cleanup', 'detach'] as const;
  const limit = LIMITS.RECENT_OPERATIONS;
  const last = await Promise.all(
    types.map(async (type) => {
      const filter = { volumeId, type, status: 'completed', limit } as const;
      for (const operation of await run.active(() => run.parts.ledger.listOperations(filter)))
        if (await hasLookedHere(run, operation)) return operation.sequence;
      return 0;
    }),
  );
  return Math.max(...last);
}

/**
 * Not an attach to another VM that has found the volume there: it has not looked at the disks of this one.
 */
async function hasLookedHere(run: RunContext, { id, type, vmId }: Operation): Promise<boolean> {
  if (type !== 'attach' || vmId === run.parts.policy().applianceVmId) return true;
  return new Journal(await run.active(() => run.parts.ledger.readJournal(id))).wasAccepted('attach-volume');
}

/** null: it has sent no attach to this guest, CloudStack has taken none, or its intent remembers nothing. */
function beforePlugging(run: RunContext, journal: Journal): DisksBefore | null {
  const { vmId } = intentOf(journal.intent('attach-volume'));
  if (vmId !== run.parts.policy().applianceVmId) return null;
  const mayBeTaken =
    journal.wasAccepted('attach-volume') || journal.mutation('attach-volume').at === 'intended';
  return mayBeTaken ? disksBefore(journal) : null;
}

/**
 * The disk of this guest whose mapping an operation has removed; null: none, or the row was of another VM.
 */
function unmappedHere(run: RunContext, journal: Journal): RecordedIdentity | null {
  const data = journal.done('unmap');
  const isOfOther = typeof data?.vm_id === 'string' && data.vm_id !== run.parts.policy().applianceVmId;
  return data === null || isOfOther ? null : identityIn(data);
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
