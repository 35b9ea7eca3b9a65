import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import { DEVICE_FOUND, NO_DEVICE } from '../../core/log/log-events';
import {
  type Considered,
  type Correlation,
  correlate,
  rootDevices,
  type World,
} from '../../devices/correlation';
import type { Device, DeviceSnapshot } from '../../devices/device';
import { lacksSerials } from '../../devices/serial';
import type { JsonObject } from '../../model/operation';
import { attachedHere, pluggedBefore, sharingSerial } from '../attached-here';
import type { DeviceFact } from '../decision';
import { disksBefore } from './disks-before';
import { otherAttaches, underWay } from './other-attaches';
import { ageOf, type RunContext } from './run-context';
import { stillComing } from './vm-disks';

/** The volumes whose disks should be in the guest. */
type Expected = Pick<World, 'mappings' | 'attachedHere'>;
type Found = Extract<Correlation, { kind: 'found' }>;

/**
 * Waits until the guest shows the disk of the volume, or until the correlation is refused, or `timeoutMs` is
 * over. The rules are pure (../../devices/correlation.ts); this supplies what they need, again after every
 * scan.
 */
export async function awaitDevice(
  run: RunContext,
  volume: CloudVolume,
  timeoutMs: number,
): Promise<DeviceFact> {
  const { logger } = run.parts;
  const fields = { operation_id: run.operation.id, volume_id: volume.id };
  run.waiting = {
    step: 'await-device',
    reason: 'the guest has not shown the disk yet',
    attempt: 0,
    nextAttemptAt: null,
  };
  const { size: volumeSize, deviceId, attached } = volume;
  const lookedFor = { volumeSize, plug: { deviceId, attached } };
  const { answer, mappings } = await correlateUntil(run, volume, run.parts.clock.monotonic() + timeoutMs);
  if (answer === null || answer.kind === 'waiting') {
    const reason = answer?.reason ?? 'the devices of the guest could not be read';
    logger.warn(NO_DEVICE, { ...fields, reason });
    const { others = [] } = run.parts.watcher.snapshot();
    return { kind: 'missing', ...lookedFor, reason, others };
  }
  if (answer.kind === 'refused') {
    logger.warn('No device was chosen', { ...fields, reason: answer.reason, considered: answer.considered });
    return {
      kind: 'refused',
      ...lookedFor,
      code: answer.code,
      reason: answer.reason,
      considered: answer.considered.map(asJson),
    };
  }
  logger.info(DEVICE_FOUND, {
    ...fields,
    device_path: answer.device.path,
    matched_by: answer.matchedBy,
    serial: answer.device.serial,
    diskseq: answer.device.diskseq,
  });
  return foundFact(run, volume, answer, mappings);
}

/**
 * The last answer before the deadline (monotonic ms), null when the guest could not be read; and the mappings
 * that it was found with. A disk that is found by its size is believed only by what was read after it had
 * appeared: somebody else may have attached another volume while this one was waited for. One that comes
 * after the job has ended may be that of somebody else, whose volume CloudStack shows a little later.
 */
async function correlateUntil(
  run: RunContext,
  volume: CloudVolume,
  deadline: number,
): Promise<{ answer: Correlation | null; mappings: World['mappings'] }> {
  const { watcher, clock } = run.parts;
  // The guest shows a resize tens of ms after CloudStack has ended it.
  const resizedBy = Math.min(deadline, clock.monotonic() + LIMITS.RESIZE_SETTLE_MS);
  const early = watcher.snapshot().devices;
  let known: Device | null = null;
  let alike: World['attachedHere'] | null = null;
  for (;;) {
    const read = await readExpected(run, volume);
    const expected = { ...read, attachedHere: [...read.attachedHere, ...(alike ?? [])] };
    let last: Correlation | null = null;
    const settled = await watcher.waitFor(
      (snapshot) => {
        last = correlate(worldOf(run, volume, snapshot, expected));
        return isSettled(last, clock.monotonic() >= resizedBy) ? last : null;
      },
      { timeoutMs: deadline - clock.monotonic(), signal: run.signal },
    );
    if (settled?.kind === 'found' && settled.matchedBy === 'size' && !isSamePlug(settled.device, known)) {
      const { device } = settled;
      known = device;
      if (!early.some((one) => isSamePlug(one, device)))
        await clock.sleep(LIMITS.SHOWN_AFTER_PLUG_MS, run.signal);
      continue;
    }
    if (settled?.kind === 'found' && settled.unproven === true && alike === null) {
      const { cloud, policy } = run.parts;
      alike = await run.active(() => sharingSerial(cloud, policy().applianceVmId, volume.id));
      continue;
    }
    // The other volume that the disk may belong to may be about to be detached.
    const again = settled?.kind === 'waiting' && clock.monotonic() < deadline && !run.signal.aborted;
    if (!again) return { answer: settled ?? last, mappings: expected.mappings };
    await clock.sleep(LIMITS.CONTESTED_DISK_POLL_MS, run.signal);
  }
}

/** A disk without a diskseq is never found by size. */
function isSamePlug(device: Device, other: Device | null): boolean {
  return device.name === other?.name && device.diskseq === other.diskseq;
}

/** `patient`: a resize has had the time to reach the guest. */
function isSettled(answer: Correlation, patient: boolean): boolean {
  if (answer.kind === 'waiting') return answer.contested === true;
  return answer.kind === 'found' || answer.code !== 'DEVICE_TOO_SMALL' || patient;
}

/**
 * A mapping of another volume with the same path can only be stale, because the device there is provably this
 * volume's: that mapping loses the path (it becomes `missing`, and sync finds its disk). One that has come
 * since they were read is refused when ours is written, and they are read again.
 */
function foundFact(
  run: RunContext,
  volume: CloudVolume,
  found: Found,
  mappings: World['mappings'],
): DeviceFact {
  const displaces = mappings
    .filter((mapping) => mapping.devicePath === found.device.path && mapping.volumeId !== volume.id)
    .map((mapping) => mapping.volumeId);
  return {
    kind: 'found',
    device: found.device,
    bootId: run.parts.watcher.snapshot().bootId,
    matchedBy: found.matchedBy,
    displaces,
  };
}

async function readMappings(run: RunContext) {
  const { applianceVmId } = run.parts.policy();
  return applianceVmId === null ? [] : run.active(() => run.parts.ledger.listMappings(applianceVmId));
}

async function readExpected(run: RunContext, volume: CloudVolume): Promise<Expected> {
  const { watcher, policy } = run.parts;
  const { applianceVmId } = policy();
  const mappings = await readMappings(run);
  // A job that has ended claims no disk any more: CloudStack shows what has become of its volume.
  if (applianceVmId !== null && lacksSerials(watcher.snapshot().devices))
    await stillComing(run, applianceVmId);
  const intent = run.journal.firstIntent('attach-volume');
  const before = pluggedBefore(volume, intent && ageOf(run, intent));
  const here = () => attachedHere(run.parts, watcher.snapshot(), applianceVmId, before);
  const shown = await run.active(here);
  if (!lacksSerials(watcher.snapshot().devices)) return { mappings, attachedHere: shown };
  const coming = underWay(otherAttaches(run), run.operation.volumeId);
  return { mappings, attachedHere: [...shown, ...coming] };
}

function worldOf(run: RunContext, volume: CloudVolume, snapshot: DeviceSnapshot, expected: Expected): World {
  return {
    volume: { id: volume.id, size: volume.size },
    devices: snapshot.devices,
    bootId: snapshot.bootId,
    ...expected,
    events: run.parts.watcher.recentEvents(),
    submittedAt: submittedAt(run),
    disksBefore: disksBefore(run.journal),
    windowMs: LIMITS.CONTEMPORARY_WINDOW_MS,
    toleranceBytes: run.parts.settings.sizeToleranceBytes,
    rootDevices: rootDevices(snapshot),
  };
}

/**
 * Monotonic ms of the first intent of this attach, which may be from before a restart; null when there is
 * none.
 */
function submittedAt(run: RunContext): number | null {
  const intent = run.journal.firstIntent('attach-volume');
  return intent && run.parts.clock.monotonic() - ageOf(run, intent);
}

function asJson({ path, serial, size, diskseq, verdict }: Considered): JsonObject {
  return { path, serial, size, diskseq, verdict };
}
