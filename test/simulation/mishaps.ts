import { isTerminal } from '~/server/model/operation';
import { administer } from './administer';
import { byHand, moveByHand, muteSerial, visit } from './by-hand';
import { restoreRows, writeRow } from './foreign-rows';
import { resize, use } from './guest-mishaps';
import type { Processes } from './processes';
import type { Ambiguity, Mishap, SpoiltRow } from './script-items';
import type { World } from './world';

/** Counted where they strike: they may find nothing that they could strike. */
const TOLD_THERE: ReadonlySet<Mishap['kind']> = new Set([
  'cloudstack',
  'resized',
  'used',
  'row-spoilt',
  'by-hand',
  'visitor',
  'serial-muted',
  'row-written',
  'administrator',
]);

/** Lets a mishap strike. */
export function strike(world: World, processes: Processes, mishap: Mishap): void {
  const { scheduler, guest, model, server } = world;
  if (mishap.kind === 'ambiguity') world.strike(mishap.what.kind);
  else if (!TOLD_THERE.has(mishap.kind)) world.strike(mishap.kind);
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
    case 'database-clock-jump':
      world.databaseClockOffset += mishap.ms;
      return;
    case 'clocks-jump':
      world.clockOffset += mishap.ms;
      if (mishap.both) world.databaseClockOffset += mishap.ms;
      return;
    case 'absence':
      processes.stayAway(mishap.ms);
      return;
    case 'pause':
      processes.at(mishap.who).pause(mishap.ms, mishap.atCall);
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
    case 'ambiguity':
      ambiguity(world, mishap.what);
      return;
    case 'resized':
      resize(world, mishap);
      return;
    case 'used':
      use(world, mishap);
      return;
    case 'by-hand':
      byHand(world, mishap);
      return;
    case 'visitor':
      visit(world, mishap);
      return;
    case 'serial-muted':
      muteSerial(world, processes, mishap);
      return;
    case 'row-written':
      writeRow(world, mishap);
      return;
    case 'rows-restored':
      restoreRows(world, mishap);
      return;
    case 'cold-start':
      processes.coldStart(mishap.ms);
      return;
    case 'administrator':
      administer(world, mishap.does);
      return;
    case 'snapshot-hidden': {
      const id = model.inventory.snapshots.at(-1 - mishap.which)?.id;
      if (id !== undefined) model.conditions.add({ kind: 'hidden', id, ms: mishap.ms });
      return;
    }
    case 'row-spoilt':
      spoilRow(world, mishap.row);
      return;
    case 'export-server-away':
      server.kill();
      server.portTaken = true;
      scheduler.after(mishap.ms, () => exportServerBack(world));
      return;
    default:
      mishap satisfies never;
  }
}

/**
 * CloudStack shows less than there is, denies what it knows, refuses valid keys; and other people use it as
 * well.
 */
function ambiguity(world: World, what: Ambiguity): void {
  const { model, scheduler } = world;
  switch (what.kind) {
    case 'hidden': {
      const volumeId = world.volumes[what.volume];
      const ids = {
        volume: volumeId,
        appliance: world.applianceVmId,
        'other-vm': world.otherVmId,
        account: model.account.id,
      };
      const id = ids[what.of];
      if (id !== undefined) model.conditions.add({ kind: 'hidden', id, ms: what.ms });
      return;
    }
    case 'lockout':
      model.conditions.add({ kind: what.how, ms: what.ms, delayMs: what.delayMs });
      return;
    case 'namesake':
      world.addNamesake(what.name, what.bytes);
      return;
    case 'moved-by-hand': {
      const volume = world.volume(world.volumes[what.volume] ?? '');
      if (volume) void moveByHand(world, volume, world.otherVmId);
      return;
    }
    case 'other-vm-runs': {
      const vm = model.vms.find(({ id }) => id === world.otherVmId);
      if (!vm || vm.removed || vm.state !== 'Stopped') return;
      vm.state = 'Running';
      world.otherVmStartedAt = scheduler.time;
      return;
    }
    default:
      what satisfies never;
  }
}

/** Strikes when an operation is open. */
function spoilRow(world: World, row: SpoiltRow): void {
  const open = [...world.store.operations.values()].filter(({ operation }) => !isTerminal(operation.status));
  const stored = open[row.which % Math.max(open.length, 1)];
  if (!stored) return;
  world.strike(`row-spoilt-${row.how}`);
  world.ledger.spoilt.set(stored.operation.id, row);
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
  model.conditions.clear();
  world.databaseAwayUntil = 0;
  exportServerBack(world);
  guestReadable(world);
  const busy = new Set(model.pendingJobs().map(({ instanceId }) => instanceId));
  for (const volume of model.volumes) {
    if (busy.has(volume.id)) continue;
    if (volume.state === 'Creating' || volume.state === 'Attaching') volume.state = 'Ready';
    if (!volume.unplugging) continue;
    volume.unplugging = false;
    world.disturb(volume.id);
    void guest.unplug(volume.id);
  }
}
