import { ApiError, type Vm, type Volume } from '~/lab/cloudstack/records';
import { ended, jobByHand, moveByHand } from './by-hand';
import type { Administration } from './script-items';
import type { World } from './world';

type OfVm = Extract<Administration, { kind: 'stops' | 'starts' | 'destroys' }>;

/** An administrator does something in CloudStack that no operation has asked for. */
export function administer(world: World, does: Administration): void {
  switch (does.kind) {
    case 'stops':
    case 'starts':
    case 'destroys': {
      const vm = world.model.vms.find(({ id }) => id === world.otherVmId);
      if (!vm || vm.removed) return;
      world.strike(`administrator-${does.kind}`);
      void politely(() => ofVm(world, vm, does));
      return;
    }
    case 'deletes':
    case 'migrates':
    case 'unlisted': {
      const volume = world.volume(world.volumes[does.volume] ?? '');
      if (!volume || volume.removed) return;
      world.strike(`administrator-${does.kind}`);
      if (does.kind === 'deletes') void politely(() => remove(world, volume, does.recoverMs));
      else if (does.kind === 'migrates') void politely(() => migrate(world, volume, does.ms));
      else world.model.conditions.add({ kind: 'unlisted', id: volume.id, ms: does.ms });
      return;
    }
    default:
      does satisfies never;
  }
}

/** He takes a refusal of CloudStack for an answer. */
async function politely(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
}

/** Detached first, as CloudStack demands. */
async function remove(world: World, volume: Volume, recoverMs: number | null): Promise<void> {
  const { model, scheduler } = world;
  await moveByHand(world, volume, null);
  if (world.over) return;
  world.administered.add(volume.id);
  try {
    if (recoverMs === null) return await model.deleteVolume(volume.id);
    await ended(world, model.destroyVolume({ id: volume.id, expunge: false, jobId: jobByHand(world) }).id);
    world.disturb(volume.id);
    await scheduler.sleep(recoverMs);
    if (!world.over) model.recoverVolume(volume.id);
  } finally {
    world.disturb(volume.id);
  }
}

/** The volume stays what and where it is; the row of its copy is nobody's business. */
async function migrate(world: World, volume: Volume, ms: number): Promise<void> {
  const { copy, job } = world.model.migrateVolume({ id: volume.id, ms, jobId: jobByHand(world) });
  world.foreign.add(copy.id);
  await ended(world, job.id);
}

/** With the VM its data disks come free. */
async function ofVm(world: World, vm: Vm, does: OfVm): Promise<void> {
  const { model, scheduler } = world;
  const disturb = () => {
    for (const id of world.volumes) world.disturb(id);
  };
  switch (does.kind) {
    case 'stops':
      await ended(world, model.stopVm(vm.id, jobByHand(world)).id);
      return;
    case 'starts':
      // Nobody who looks before it runs can know.
      world.otherVmStartedAt = Number.POSITIVE_INFINITY;
      await ended(world, model.startVm(vm.id, jobByHand(world)).id);
      world.otherVmStartedAt = scheduler.time;
      return;
    case 'destroys':
      disturb();
      await ended(world, model.destroyVm(vm.id, does.expunge, jobByHand(world)).id);
      disturb();
      return;
    default:
      does satisfies never;
  }
}
