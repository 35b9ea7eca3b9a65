import type { Mapping } from '~/server/model/operation';
import type { Mishap } from './script-items';
import type { World } from './world';

/** A row as the program before this one wrote them: a path, and nothing that proves which disk it was. */
export function writeRow(
  world: World,
  { volume: index, letter }: Extract<Mishap, { kind: 'row-written' }>,
): void {
  const { store, applianceVmId, scheduler, script } = world;
  // Of two serials that are alike a sync that cannot ask CloudStack may follow the wrong one
  // (docs/proofs/simulation.md).
  if (script.world.twins === true) return;
  const volume = world.volume(world.volumes[index] ?? '');
  const devicePath = `/dev/vd${String.fromCharCode('b'.charCodeAt(0) + letter)}`;
  const isTaken = [...store.mappings.values()].some(
    (one) => one.vmId === applianceVmId && one.devicePath === devicePath,
  );
  if (!volume || volume.removed || isTaken || store.mappings.has(volume.id)) return;
  world.strike('row-written');
  world.disturb(volume.id);
  world.rowsOfOthers.add(volume.id);
  const now = scheduler.clock().now();
  const mapping: Mapping = {
    id: world.random.uuid(),
    volumeId: volume.id,
    vmId: applianceVmId,
    devicePath,
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: volume.size,
    controller: null,
    serial: null,
    diskseq: null,
    bootId: null,
    matchedBy: null,
    cloudstackDeviceId: null,
    lastSync: now,
    createdAt: now,
    updatedAt: now,
  };
  store.mappings = new Map([...store.mappings, [volume.id, mapping]]);
}

/** Somebody brings two tables back from a backup that is `ms` old. */
export function restoreRows(world: World, { ms }: Extract<Mishap, { kind: 'rows-restored' }>): void {
  const { store, scheduler } = world;
  const { mappings, exports } = store;
  scheduler.after(ms, () => {
    for (const volumeId of [...world.volumes, ...world.visitors]) {
      world.disturb(volumeId);
      world.unmapped.set(volumeId, scheduler.time);
    }
    // A volume that was deleted since is not shown. Where no delete of ours has ended well that proves
    // nothing: sync would report its row for good.
    const deleted = new Set(
      [...store.operations.values()]
        .filter(({ operation: { type, status } }) => type === 'delete' && status === 'completed')
        .map(({ operation }) => operation.volumeId),
    );
    const isKnown = ([volumeId]: readonly [string, unknown]) =>
      world.volume(volumeId)?.removed === false || deleted.has(volumeId);
    store.mappings = new Map([...mappings].filter(isKnown));
    store.exports = new Map([...exports].filter(isKnown));
  });
}
