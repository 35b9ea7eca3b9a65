import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { exportName } from '~/server/model/export-name';
import type { Mapping } from '~/server/model/operation';
import { SeededRandom } from './random';
import type { Item, Script } from './script-items';
import type { World } from './world';

/** Of chance: what is drawn here moves nothing of the rest of a schedule. */
const STREAM = 8;
/** ms within which it happens, as in ./script.ts. */
const SPAN = 15_000;
const PORT = 10_809;

/**
 * In every eighth schedule the other VM is an appliance as well: its daemon has the same database, rows of
 * its own there, and runs until `until`.
 */
export function withNeighbour(script: Script): Script {
  const random = new SeededRandom(script.seed, STREAM);
  if (!random.chance(0.125)) return script;
  const { volumes } = script.world;
  const world = {
    ...script.world,
    elsewhere: Math.max(1, script.world.elsewhere),
    neighbour: { until: random.chance(0.3) ? Math.round(random.between(0, SPAN)) : null },
  };
  const stories = Array.from({ length: 1 + random.below(3) }, () => anyStory(random, volumes)).flat();
  return { ...script, world, items: [...script.items, ...stories].sort((a, b) => a.at - b.at) };
}

/** Somebody takes a disk of that VM, gives it to this one or back, and callers ask this daemon for it. */
function anyStory(random: SeededRandom, volumes: number): Item[] {
  const at = Math.round(random.between(0, SPAN));
  const volume = random.below(volumes);
  const ask = random.pick([
    { kind: 'attach', volume, where: 'here' },
    { kind: 'attach', volume, where: 'elsewhere' },
    { kind: 'detach', volume, force: random.chance(0.5) },
    { kind: 'delete', volume, force: true },
    { kind: 'cleanup', volume, deleteVm: true, forceClean: true },
    { kind: 'sync' },
  ] as const);
  const to = random.pick(['here', 'nowhere', 'nowhere', 'elsewhere', 'back'] as const);
  return [
    ...(random.chance(0.6) ? [{ at, mishap: { kind: 'by-hand', volume, to } } as const] : []),
    { at: at + random.below(6_000), ask },
  ];
}

/** The daemon of the other VM has mapped and exported the volumes that are there. */
export function moveIn(world: World): void {
  const { store, otherVmId, volumes, script, scheduler, theirs } = world;
  const { neighbour, elsewhere } = script.world;
  if (neighbour === undefined) return;
  const now = scheduler.clock().now();
  store.appliances.set(otherVmId, {
    epoch: 1,
    owner: 'their daemon',
    renewals: 0,
    since: now,
    instance: '',
    /** Renewed at every moment, until it is released. */
    get leaseUntil() {
      return world.neighbourEndedAt === null ? scheduler.clock().now() + LIMITS.LEASE_MS : null;
    },
  });
  for (const [index, volumeId] of volumes.slice(0, elsewhere).entries()) {
    const devicePath = `/dev/vd${String.fromCharCode('b'.charCodeAt(0) + index)}`;
    const times = { createdAt: now, updatedAt: now };
    const mapping: Mapping = {
      ...times,
      id: world.random.uuid(),
      volumeId,
      vmId: otherVmId,
      devicePath,
      cloudstackState: 'attached',
      linuxState: 'detected',
      size: world.volume(volumeId)?.size ?? 0,
      controller: null,
      serial: expectedSerial(volumeId),
      diskseq: index + 2,
      bootId: otherVmId,
      matchedBy: 'serial',
      cloudstackDeviceId: index + 4,
      lastSync: now,
    };
    store.mappings.set(volumeId, mapping);
    store.exports.set(volumeId, {
      ...times,
      id: world.random.uuid(),
      volumeId,
      exportName: exportName(volumeId),
      devicePath,
      port: PORT,
      status: 'active',
      metadata: {},
    });
    theirs.add(volumeId);
  }
  if (neighbour.until === null) return;
  scheduler.after(neighbour.until, () => {
    world.neighbourEndedAt = scheduler.time;
  });
}

/** Rows of a daemon that runs are its own business, whatever CloudStack says. The complaint, or null. */
export function rowsOfTheirs({ theirs, unmapped, store, otherVmId, neighbourEndedAt }: World): string | null {
  if (neighbourEndedAt !== null) return null;
  for (const volumeId of theirs)
    if (!unmapped.has(volumeId) && store.mappings.get(volumeId)?.vmId !== otherVmId)
      return `the row of ${volumeId} is that of a daemon that runs, and has gone`;
  return null;
}
