import type { Live } from '../live';
import type { VolumeNames } from '../names';
import type { Context } from './words';

export function contextOf({ live, names }: { readonly live: Live; readonly names: VolumeNames }): Context {
  return {
    nameOf: (volumeId) => names.of(volumeId),
    applianceId: () => live.health?.details.appliance.vm_id ?? null,
  };
}
