import type { Cloud } from '../cloudstack/cloud';
import { lookUpVolume, requireVolume } from '../cloudstack/look-up';
import type { Clock } from '../core/clock';
import { LIMITS } from '../core/limits';
import { correlate, expectedSerial, rootDevices, type World } from '../devices/correlation';
import type { DeviceEvent, DeviceSnapshot } from '../devices/device';
import { verifiedDevice } from '../devices/identity';
import { lacksSerials } from '../devices/serial';
import type { Ledger } from '../model/ledger';
import type { Operation } from '../model/operation';
import { attachedHere, pluggedBefore, sharingSerial } from '../operations/attached-here';
import { intentOf } from '../operations/decide/intent';
import { disksBefore } from '../operations/execute/disks-before';
import { attachesTo, underWay } from '../operations/execute/other-attaches';
import { Journal } from '../operations/journal';
import type { CorrelationReport } from './reports';

/**
 * Runs the correlation that attaches use (../devices/correlation.ts) for a volume, without waiting and
 * without acting on the result. Which devices count as new is decided by the submit time of the volume's last
 * attach.
 */
export async function explainCorrelation(
  parts: {
    readonly cloud: Pick<Cloud, 'readVolume' | 'readVm' | 'listVolumes'>;
    readonly ledger: Ledger;
    readonly watcher: { snapshot(): DeviceSnapshot; recentEvents(): readonly DeviceEvent[] };
    readonly clock: Clock;
    readonly applianceVmId: string | null;
    /** How much larger than the volume a device may be. */
    readonly toleranceBytes: number;
    /** Operations that may be bringing a disk into this guest now. */
    attaching(): readonly Operation[];
  },
  volumeId: string,
): Promise<CorrelationReport> {
  const { ledger, clock, watcher, applianceVmId, toleranceBytes } = parts;
  const volume = requireVolume(await lookUpVolume(parts.cloud, volumeId, applianceVmId), volumeId);
  const mappings = applianceVmId === null ? [] : await ledger.listMappings(applianceVmId);
  const journal = await lastAttach(ledger, volumeId, applianceVmId);
  const submittedAt = journal?.firstIntent('attach-volume')?.at ?? null;
  const snapshot = watcher.snapshot();
  const events = watcher.recentEvents();
  const agoMs = submittedAt === null ? null : Math.max(0, clock.now() - submittedAt);
  const shown = await attachedHere(parts, snapshot, applianceVmId, pluggedBefore(volume, agoMs));
  const attaching = parts.attaching().filter((one) => attachesTo(one, applianceVmId));
  const coming = lacksSerials(snapshot.devices) ? underWay(attaching, volumeId) : [];
  const world: World = {
    volume: { id: volume.id, size: volume.size },
    devices: snapshot.devices,
    bootId: snapshot.bootId,
    mappings,
    attachedHere: [...shown, ...coming],
    events,
    submittedAt: agoMs === null ? null : clock.monotonic() - agoMs,
    disksBefore: journal && disksBefore(journal),
    windowMs: LIMITS.CONTEMPORARY_WINDOW_MS,
    toleranceBytes,
    rootDevices: rootDevices(snapshot),
  };
  const first = correlate(world);
  // As an attach does: another volume with that serial may be here without a mapping.
  const alike =
    first.kind === 'found' && first.unproven === true
      ? await sharingSerial(parts.cloud, applianceVmId, volumeId)
      : [];
  const answer =
    alike.length === 0 ? first : correlate({ ...world, attachedHere: [...world.attachedHere, ...alike] });
  const mapping = await ledger.readMapping(volumeId);
  return {
    volume,
    attachedHere: volume.vmId !== null && volume.vmId === applianceVmId,
    expectedSerial: expectedSerial(volume.id),
    mapping,
    mappingProblem:
      mapping && mapping.vmId === applianceVmId ? verifiedDevice(mapping, snapshot).reason : null,
    answer,
    submittedAt,
    events,
    windowMs: LIMITS.CONTEMPORARY_WINDOW_MS,
    toleranceBytes,
  };
}

/** The last operation that has sent an attach of the volume; null: none has, or it was to another VM. */
async function lastAttach(
  ledger: Ledger,
  volumeId: string,
  applianceVmId: string | null,
): Promise<Journal | null> {
  const types = ['attach', 'cleanup'] as const;
  const last = await Promise.all(types.map((type) => ledger.listOperations({ volumeId, type, limit: 1 })));
  for (const { id } of last.flat().sort((a, b) => b.sequence - a.sequence)) {
    const journal = new Journal(await ledger.readJournal(id));
    const intent = journal.firstIntent('attach-volume');
    if (intent) return intentOf(intent.data).vmId === applianceVmId ? journal : null;
  }
  return null;
}
