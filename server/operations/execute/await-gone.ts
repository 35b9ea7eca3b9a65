import { LIMITS } from '../../core/limits';
import type { DeviceSnapshot } from '../../devices/device';
import type { RecordedIdentity } from '../../devices/identity';
import { lacksSerials, serialNames } from '../../devices/serial';
import type { JsonObject } from '../../model/operation';
import { deviceOfVolume } from './disk-use';
import { exportedDevice } from './exports';
import type { RunContext } from './run-context';

/**
 * Waits until the guest has no disk of this volume any more; false when it still has one after `timeoutMs`.
 * Throws DATABASE_UNAVAILABLE.
 */
export async function awaitGone(run: RunContext, volumeId: string, timeoutMs: number): Promise<boolean> {
  const { watcher } = run.parts;
  const first = await watcher.scan();
  const disk = await recordedDisk(run, volumeId, first);
  // A disk whose serial is not read yet may be this one; within LIMITS.SERIAL_READ_TIMEOUT_MS it is read or
  // fails.
  const gone = (snapshot: DeviceSnapshot) => {
    const untold = snapshot.devices.some(({ serialState }) => serialState === 'pending');
    const elsewhere = snapshot.others?.some(({ serial }) => serialNames(volumeId, serial)) === true;
    return untold || elsewhere || deviceOfVolume(snapshot, volumeId, disk) !== null ? null : true;
  };
  if (gone(first)) return true;
  const quickMs = Math.min(timeoutMs, LIMITS.QUIET_WAIT_MS);
  if (await watcher.waitFor(gone, { timeoutMs: quickMs, signal: run.signal })) return true;
  if (timeoutMs <= quickMs || run.signal.aborted) return false;
  await run.announce('await-gone', 'CloudStack has detached the volume, and this guest still has its disk');
  return (await watcher.waitFor(gone, { timeoutMs: timeoutMs - quickMs, signal: run.signal })) ?? false;
}

/** What is known of the volume's disk in this guest: its mapping, its export, or the one of its last ghost. */
async function recordedDisk(
  run: RunContext,
  volumeId: string,
  snapshot: DeviceSnapshot,
): Promise<RecordedIdentity | null> {
  const mapping = await run.active(() => run.parts.ledger.readMapping(volumeId));
  if (mapping) return mapping.vmId === run.parts.policy().applianceVmId ? mapping : null;
  if (!lacksSerials(snapshot.devices)) return null;
  return (await exportedDisk(run, volumeId, snapshot)) ?? ghostLeftBy(run, volumeId);
}

/**
 * The disk that the volume's export leads to: it was verified when it was published, and the link of a disk that
 * has changed is closed (sync/revoke-exports.ts).
 */
async function exportedDisk(
  run: RunContext,
  volumeId: string,
  { devices, bootId }: DeviceSnapshot,
): Promise<RecordedIdentity | null> {
  const path = await exportedDevice(run, volumeId);
  const device = devices.find((one) => one.path === path);
  return device ? { devicePath: device.path, serial: device.serial, diskseq: device.diskseq, bootId } : null;
}

/**
 * The disk that this operation, or the last one on this volume, saw staying in the guest. It has removed the
 * mapping, and in a guest without serials its journal is the only thing that still names the disk.
 */
async function ghostLeftBy(run: RunContext, volumeId: string): Promise<RecordedIdentity | null> {
  const ours = run.journal.done('unmap');
  if (ours) return identityIn(ours);
  const { ledger } = run.parts;
  const ended = { volumeId, status: 'failed', limit: LIMITS.RECENT_OPERATIONS } as const;
  for (const { id, errorCode } of await run.active(() => ledger.listOperations(ended))) {
    if (errorCode !== 'DEVICE_STILL_PRESENT') continue;
    const entries = await run.active(() => ledger.readJournal(id));
    const unmapped = entries.findLast(({ step, state }) => step === 'unmap' && state === 'done');
    if (unmapped) return identityIn(unmapped.data);
  }
  return null;
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
