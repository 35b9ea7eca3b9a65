import type { Mapping } from '../../model/operation';
import { type Repair, reported } from '../repair';
import type { View } from '../view';

/**
 * A mapped volume that CloudStack does not show to this key. That proves nothing: its row and its export
 * stay.
 */
export function judgeHidden(view: View, { volumeId, vmId, devicePath }: Mapping): Repair[] {
  const why = view.o.hidden.get(volumeId);
  if (why === undefined) return [];
  const message = `the mapped volume is not visible to this key, so it is not judged: ${why}`;
  const remedy =
    `look at it with a key that may: cmk list volumes id=${volumeId} listall=true projectid=-1; then give the key of ossea_configs the ` +
    'account or project that the volume belongs to. When somebody has deleted it on purpose, follow docs/guides/runbooks.md';
  return [reported({ kind: 'not-visible', volumeId, vmId, devicePath, message }, remedy)];
}

/**
 * Volumes that an earlier try of a create may have left behind. A name proves nothing, so none is adopted or
 * deleted.
 */
export function judgeUnclaimed(view: View): Repair[] {
  return [...view.o.unclaimed].flatMap(([volumeId, operationId]) => {
    const volume = view.volume(volumeId);
    if (view.o.busy.has(volumeId)) return [];
    if (typeof volume === 'string' || volume.vmId !== null || view.mapping(volumeId) !== null) return [];
    const message = `the volume may be what an earlier try of operation ${operationId} has left behind; nothing owns it`;
    const remedy = `if nobody needs it: volumectl volume delete ${volumeId}`;
    const found = { kind: 'unclaimed-volume' as const, volumeId, vmId: null, devicePath: null, message };
    return [reported(found, remedy, [], 'delete')];
  });
}
