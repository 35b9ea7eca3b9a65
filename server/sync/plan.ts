import type { Mapping } from '../model/operation';
import type { Drift, DriftKind } from './drift';
import {
  judgeAttachment,
  judgeElsewhere,
  judgeGhost,
  judgeStrangers,
  judgeUnmapped,
} from './drifts/attachment';
import { judgeOrphans } from './drifts/exports';
import { judgeLeftover } from './drifts/leftover';
import { judgeIdentity, judgeState } from './drifts/state';
import { judgeHidden, judgeUnclaimed } from './drifts/visibility';
import type { Observation } from './observation';
import type { Repair, RepairStep } from './repair';
import { View } from './view';

/**
 * Compares the views and names every drift. Pure; after its repairs a second plan has nothing left to do.
 * Volumes with an operation in flight are not checked.
 */
export function plan(o: Observation): Repair[] {
  const view = new View(o);
  const mapped = o.mappings.filter(
    ({ volumeId, vmId }) => !o.busy.has(volumeId) && !o.otherAppliances.has(vmId),
  );
  const volumes = (o.volumes ?? []).filter(({ id }) => !o.busy.has(id));
  const repairs = [
    ...judgeIdentity(view),
    ...mapped.flatMap((mapping) =>
      mapping.vmId === o.applianceVmId ? judgeAttachment(view, mapping) : judgeElsewhere(view, mapping),
    ),
    ...volumes
      .filter(({ id }) => view.mapping(id) === null)
      .flatMap((volume) => [...judgeUnmapped(view, volume), ...judgeLeftover(view, volume)]),
    // It has come here from an appliance whose daemon runs no more, and will not take its row away.
    ...volumes
      .filter(({ id, vmId }) => vmId === o.applianceVmId && isLeftBehind(o, view.mapping(id)))
      .flatMap((volume) => judgeUnmapped(view, volume)),
    // The row is another daemon's, and the disk is in this guest all the same: nobody else sees it.
    ...volumes
      .filter(({ id }) => o.otherAppliances.has(view.mapping(id)?.vmId ?? ''))
      .flatMap((volume) => judgeGhost(view, volume)),
    ...volumes.flatMap((volume) => judgeState(view, volume)),
    ...mapped.flatMap((mapping) => judgeHidden(view, mapping)),
    ...judgeUnclaimed(view),
    ...judgeStrangers(view),
  ];
  // An export that is about to be repaired is no orphan.
  const claimed = new Set(repairs.flatMap(({ steps }) => steps.flatMap(publishes)));
  return [...repairs, ...judgeOrphans(view, claimed)];
}

/** What the disks of this guest decide of a volume that is here. */
const OF_DISKS: ReadonlySet<DriftKind> = new Set([
  'phantom-attach',
  'letter-moved',
  'resized',
  'size-mismatch',
  'unmapped-volume',
  'missing-export',
  'unhealthy-export',
  'used-by-system',
]);

/**
 * Tells of a drift of an earlier run that is in no plan now whether that says nothing: its volume has
 * an operation in flight, CloudStack is moving it, or the guest does not tell which disk it has, or
 * has left here. Pure.
 */
export function leftOpen(o: Observation): (drift: Pick<Drift, 'kind' | 'volumeId'>) => boolean {
  const view = new View(o);
  return ({ kind, volumeId }) => {
    if (volumeId === null) return false;
    if (o.busy.has(volumeId)) return true;
    if (kind !== 'ghost-disk' && !OF_DISKS.has(kind)) return false;
    const volume = view.volume(volumeId);
    if (typeof volume === 'object' && view.isMoving(volume)) return true;
    const isElsewhere = volume === 'absent' || (volume !== 'unseen' && volume.vmId !== o.applianceVmId);
    return (kind === 'ghost-disk' || !isElsewhere) && view.deviceOf(volumeId) === 'unknown';
  };
}

function isLeftBehind({ otherAppliances }: Observation, mapping: Mapping | null): boolean {
  return mapping !== null && otherAppliances.get(mapping.vmId)?.runs === false;
}

function publishes(step: RepairStep): string[] {
  return step.kind === 'publish' ? [step.volumeId] : [];
}
