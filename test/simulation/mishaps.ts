import type { Processes } from './processes';
import type { Mishap } from './script';
import type { World } from './world';

/** Lets a mishap strike. */
export function strike(world: World, processes: Processes, mishap: Mishap): void {
  const { scheduler, guest, model, server } = world;
  if (mishap.kind !== 'cloudstack') world.strike(mishap.kind);
  switch (mishap.kind) {
    case 'crash':
      processes.at(mishap.who).crash(mishap.point, mishap.back);
      return;
    case 'drain':
      processes.at(mishap.who).drain(mishap.back);
      return;
    case 'reboot':
      processes.reboot(mishap.ms);
      return;
    case 'clock-jump':
      world.clockOffset += mishap.ms;
      return;
    case 'lock-cut':
      world.locks.cut(world.applianceVmId, (tell) => void scheduler.after(mishap.told, tell));
      return;
    case 'database-away':
      world.databaseAwayUntil = scheduler.time + mishap.ms;
      world.answerLost = mishap.afterCommit;
      return;
    case 'cloudstack':
      // Counted when it strikes (lab/cloudstack/faults.ts): it may never find its command.
      model.faults.add(mishap.fault);
      return;
    case 'management-restart':
      model.restart({ work: mishap.work, stuck: mishap.stuck, downFor: mishap.ms });
      return;
    case 'device-vanishes': {
      const volumeId = world.volumes[mishap.volume];
      if (volumeId === undefined || guest.devicePath(volumeId) === null) return;
      world.disturb(volumeId);
      guest.surpriseUnplug(volumeId);
      return;
    }
    case 'guest-unreadable':
      guest.breakLooks(new Error('I/O error'));
      world.unreadable = true;
      scheduler.after(mishap.ms, () => guestReadable(world));
      return;
    case 'mapping-deleted': {
      const volumeId = world.volumes[mishap.volume];
      if (volumeId !== undefined) deleteMapping(world, volumeId);
      return;
    }
    case 'export-server-away':
      server.kill();
      server.portTaken = true;
      scheduler.after(mishap.ms, () => exportServerBack(world));
      return;
    default:
      mishap satisfies never;
  }
}

function exportServerBack({ server }: World): void {
  server.portTaken = false;
  server.running = true;
}

function guestReadable(world: World): void {
  world.unreadable = false;
  world.guest.breakLooks(null);
}

/** Another program on the same database takes the row away; its export goes with it (foreign key). */
function deleteMapping(world: World, volumeId: string): void {
  const { store } = world;
  if (!store.mappings.has(volumeId)) return;
  world.disturb(volumeId);
  world.unmapped.set(volumeId, world.scheduler.time);
  store.mappings = new Map([...store.mappings].filter(([id]) => id !== volumeId));
  store.exports = new Map([...store.exports].filter(([id]) => id !== volumeId));
}

/** Everything that was broken works again, and an administrator puts right what CloudStack cannot. */
export function mend(world: World): void {
  const { model, guest } = world;
  model.faults.clear();
  world.databaseAwayUntil = 0;
  exportServerBack(world);
  guestReadable(world);
  const busy = new Set(model.pendingJobs().map(({ instanceId }) => instanceId));
  for (const volume of model.volumes) {
    if (busy.has(volume.id)) continue;
    if (volume.state === 'Creating' || volume.state === 'Attaching') volume.state = 'Ready';
    if (volume.state === 'Expunging') Object.assign(volume, { state: 'Expunged', removed: true });
    if (!volume.unplugging) continue;
    volume.unplugging = false;
    world.disturb(volume.id);
    void guest.unplug(volume.id);
  }
}
