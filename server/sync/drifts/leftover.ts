import type { CloudVolume } from '../../cloudstack/cloud';
import { stateOf } from '../../cloudstack/volume-states';
import { mappingElsewhere } from '../../model/new-mapping';
import { mended, type Repair } from '../repair';
import type { View } from '../view';

/**
 * A volume of ours on another VM, without a mapping: left by the daemon before this one, or attached there by
 * hand. Whoever destroys that VM asks first which volumes it has, so the volume gets a row. Without proof
 * that it is ours it gets none, root disk or not: CloudStack shows this key the volumes of other people as
 * well.
 */
export function judgeLeftover(view: View, volume: CloudVolume): Repair[] {
  const { id, vmId } = volume;
  if (vmId === null || !view.o.ours.has(id)) return [];
  if (view.o.otherAppliances.has(vmId) || stateOf(volume).phase !== 'rest') return [];
  const message = `the volume is attached to VM ${vmId} and has no mapping`;
  const found = { kind: 'unmapped-volume' as const, volumeId: id, vmId, devicePath: null, message };
  return [
    mended(found, [
      { kind: 'rows', effects: [{ kind: 'put-mapping', mapping: mappingElsewhere(volume, vmId) }] },
    ]),
  ];
}
