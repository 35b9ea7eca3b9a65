import type { Snapshot, Volume } from '~/lab/cloudstack/records';
import { Rig } from './rig';

export interface World {
  readonly rig: Rig;
  readonly volume: Volume;
}

/** A volume of which snapshots can be taken. */
export async function world(): Promise<World> {
  const rig = await Rig.start();
  return { rig, volume: await rig.volume({ hypervisor: 'KVM' }) };
}

export function snapshots({ rig }: World): readonly Snapshot[] {
  return rig.model.inventory.snapshots;
}

/** The id of one that was taken; what was sent for it is forgotten. */
export async function taken(the: World): Promise<string> {
  const ended = await the.rig.run('snapshot', { volume_id: the.volume.id, name: 'before' });
  const id = ended.response?.snapshot_id;
  if (typeof id !== 'string') throw new Error(`no snapshot: ${ended.error}`);
  the.rig.sent.length = 0;
  return id;
}
