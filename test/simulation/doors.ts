import type { CloudModel } from '~/lab/cloudstack/model';
import type { Job, Volume } from '~/lab/cloudstack/records';
import type { MemoryStore } from '~/lab/ledger/memory-store';
import type { CloudCommand } from '~/server/cloudstack/cloud';
import { exportName } from '~/server/model/export-name';
import { isTerminal, type Mapping, type Operation } from '~/server/model/operation';
import type { Script } from './script-items';

/** The part of the world that the doors lead to. */
interface DoorsWorld {
  readonly scheduler: { readonly time: number };
  readonly model: CloudModel;
  readonly store: MemoryStore;
  readonly applianceVmId: string;
  readonly otherVmId: string;
  readonly otherVmStartedAt: number;
  readonly foreign: ReadonlySet<string>;
  readonly byHand: ReadonlySet<string>;
  readonly intendedVms: ReadonlyMap<string, string>;
  readonly disturbed: ReadonlyMap<string, number>;
  readonly unmapped: ReadonlyMap<string, number>;
  readonly server: { readonly served: ReadonlyMap<string, unknown> };
  readonly script: Script;
  readonly neighbourEndedAt: number | null;
  readonly disks: { resizedAtOf(volumeId: string): number | undefined };
  volume(id: string): Volume | undefined;
  isShownLate(volume: Volume | undefined): boolean;
  fail(invariant: string, message: string): void;
}

/**
 * Virtual ms within which a guard must have been read before a call leaves: what else is read in between
 * takes no longer.
 */
const FRESH_MS = 2_000;

/** The longest that a list shows an old world (./script.ts, ./scenes.ts). */
export const STALE_MAX_MS = 12_000;
/** What may not be done to a disk that another guest may have. */
const NEIGHBOURS_FORBID: ReadonlySet<string> = new Set([
  'attachVolume',
  'detachVolume',
  'destroyVolume',
  'revertSnapshot',
]);
/** Ends that say themselves that a job may still run: the next operation of the volume waits for it. */
const GIVEN_UP: ReadonlySet<string> = new Set(['STEP_DEADLINE', 'OPERATION_ABANDONED']);

/** What one process has read of CloudStack, and when it was answered (virtual ms). */
class Reads {
  readonly volumes = new Map<string, number>();
  readonly vms = new Map<string, number>();
}

/**
 * Holds every call that leaves a process to the promises about doors: nothing that is not ours is touched,
 * nothing is done to the appliance, everything was looked at right before, and one thing at a time. It looks
 * at what leaves, not at what it came to.
 */
export class Doors {
  readonly checks: Record<string, number> = {};
  private readonly reads = new Map<string, Reads>();
  private mappings: ReadonlyMap<string, Mapping> = new Map();

  constructor(private readonly world: DoorsWorld) {}

  /** A call of `process` has been answered. */
  answered(process: string, what: string, [id]: readonly unknown[]): void {
    if (typeof id !== 'string') return;
    const { time } = this.world.scheduler;
    if (what === 'cloud.readVolume') this.readsOf(process).volumes.set(id, time);
    if (what === 'cloud.readVm') this.readsOf(process).vms.set(id, time);
  }

  /** A call of `process` leaves. */
  departs(process: string, what: string, args: readonly unknown[]): void {
    if (what === 'cloud.deleteVolume' && typeof args[0] === 'string') {
      this.checkNeighbour(args[0], null);
      this.volumeCall(process, what, args[0], null);
    }
    if (what === 'cloud.recoverVolume' && typeof args[0] === 'string')
      this.volumeCall(process, what, args[0], null);
    if (what !== 'cloud.submit' || !isCommand(args[0])) return;
    const [command, jobId] = args;
    if (command.name === 'attachVolume' || command.name === 'detachVolume')
      this.oldRead(command.volumeId, command.name === 'attachVolume' ? command.vmId : null);
    if (NEIGHBOURS_FORBID.has(command.name) && 'volumeId' in command)
      this.checkNeighbour(command.volumeId, 'vmId' in command ? command.vmId : null);
    if ('volumeId' in command)
      this.volumeCall(process, command.name, command.volumeId, typeof jobId === 'string' ? jobId : null);
    if (command.name === 'resizeVolume') this.checkGrows(command.volumeId, command.sizeGiB);
    if (command.name === 'revertSnapshot') this.checkRevert(command.volumeId, command.snapshotId);
    if (command.name === 'stopVirtualMachine' || command.name === 'destroyVirtualMachine')
      this.vmCall(process, command.name, command.vmId);
  }

  /** What the daemon of another VM looks after is left to it while it runs. */
  private checkNeighbour(volumeId: string, toVmId: string | null): void {
    const { script, neighbourEndedAt, store, otherVmId, scheduler, disturbed, unmapped } = this.world;
    if (script.world.neighbour === undefined) return;
    this.count('a-neighbour-keeps-its-disks');
    const knownMs = scheduler.time - (disturbed.get(volumeId) ?? Number.NEGATIVE_INFINITY);
    const shownAfterMs = this.world.isShownLate(this.world.volume(volumeId)) ? STALE_MAX_MS : FRESH_MS;
    if (neighbourEndedAt !== null || knownMs < shownAfterMs || unmapped.has(volumeId)) return;
    const isTheirs = store.mappings.get(volumeId)?.vmId === otherVmId;
    const isThere = toVmId === otherVmId || this.world.volume(volumeId)?.vmId === otherVmId;
    if (isTheirs || isThere)
      this.world.fail('a-neighbour-keeps-its-disks', `${volumeId} is changed, and their daemon runs`);
  }

  private volumeCall(process: string, what: string, volumeId: string, jobId: string | null): void {
    this.count('foreign-volumes-are-never-touched');
    if (this.world.foreign.has(volumeId))
      this.world.fail('foreign-volumes-are-never-touched', `${what} of ${volumeId}, which nobody named`);
    this.fresh(what, volumeId, this.readsOf(process).volumes.get(volumeId));
    if (what === 'detachVolume' && jobId !== null) this.checkPlug(volumeId, jobId);
    if (what === 'detachVolume') this.checkExport(volumeId);
    this.count('one-mutation-at-a-time');
    for (const job of this.world.model.pendingJobs()) {
      const ours = job.id !== jobId && !this.world.byHand.has(job.id);
      if (this.volumeOf(job) === volumeId && ours && !job.lost && job.command !== 'CreateVolumeCmd')
        this.world.fail(
          'one-mutation-at-a-time',
          `${what} of ${volumeId} leaves while job ${job.id} still runs`,
        );
    }
  }

  private volumeOf({ instanceId }: Job): string {
    const { snapshots } = this.world.model.inventory;
    return snapshots.find(({ id }) => id === instanceId)?.volumeId ?? instanceId;
  }

  /** By what the last look can have shown: what somebody does in the same moment does not count. */
  private checkGrows(volumeId: string, sizeGiB: number): void {
    this.count('a-resize-never-shrinks');
    const { world } = this;
    const volume = world.volume(volumeId);
    const changedMs = world.scheduler.time - (world.disks.resizedAtOf(volumeId) ?? Number.NEGATIVE_INFINITY);
    if (!volume || world.isShownLate(volume) || changedMs < FRESH_MS || volume.size < sizeGiB * 1024 ** 3)
      return;
    world.fail(
      'a-resize-never-shrinks',
      `${volumeId} has ${volume.size} bytes and is resized to ${sizeGiB} GiB`,
    );
  }

  private checkRevert(volumeId: string, snapshotId: string): void {
    this.count('no-content-in-use-is-replaced');
    const { world } = this;
    const forbid = (why: string) =>
      world.fail('no-content-in-use-is-replaced', `${volumeId} is reverted to ${snapshotId}: ${why}`);
    const snapshot = world.model.inventory.snapshots.find(({ id }) => id === snapshotId);
    if (snapshot?.volumeId !== volumeId) forbid('that is a snapshot of another volume');
    const changedMs = world.scheduler.time - (world.disturbed.get(volumeId) ?? Number.NEGATIVE_INFINITY);
    if (changedMs < STALE_MAX_MS) return;
    if (world.server.served.has(exportName(volumeId))) forbid('it is exported');
    const volume = world.volume(volumeId);
    if (world.isShownLate(volume)) return;
    if (volume?.vmId === world.applianceVmId) forbid('it is attached to the appliance');
    const vm = world.model.vms.find(({ id }) => id === volume?.vmId);
    const runsMs = world.scheduler.time - world.otherVmStartedAt;
    if (vm?.state === 'Running' && runsMs > FRESH_MS) forbid('its VM runs');
  }

  /** A list that shows the world before our own job is no reason to send the same again. */
  private oldRead(volumeId: string, wantedVmId: string | null): void {
    this.count('an-old-read-is-not-believed');
    const { world } = this;
    const volume = world.volume(volumeId);
    if (!volume || !world.isShownLate(volume) || world.disturbed.has(volumeId) || volume.vmId !== wantedVmId)
      return;
    // A job that was lost, or said to have failed, leaves nothing that the read would contradict.
    const last = [...world.model.jobs.values()].findLast(({ instanceId }) => instanceId === volumeId);
    if (last?.status !== 1 || last.lost) return;
    world.fail(
      'an-old-read-is-not-believed',
      `${volumeId} is where it should be, and the call is sent again`,
    );
  }

  /** What changed so recently that the last look cannot have seen it does not count. */
  private checkPlug(volumeId: string, jobId: string): void {
    this.count('a-detach-ends-the-plug-it-names');
    const { world } = this;
    const volume = world.volume(volumeId);
    const named = world.intendedVms.get(jobId);
    const changedMs = world.scheduler.time - (world.disturbed.get(volumeId) ?? Number.NEGATIVE_INFINITY);
    // What others have done may be shown late as well.
    const shownAfterMs = world.isShownLate(volume) ? STALE_MAX_MS : FRESH_MS;
    if (!volume || volume.vmId === null || named === undefined || changedMs < shownAfterMs) return;
    if (volume.vmId !== named)
      world.fail(
        'a-detach-ends-the-plug-it-names',
        `${volumeId} is detached from ${volume.vmId}, the intent says ${named}`,
      );
  }

  /**
   * A disk that is still exported is not taken out of the guest; one that a person moves meanwhile
   * may be published again.
   */
  private checkExport(volumeId: string): void {
    this.count('an-export-is-withdrawn-before-its-disk');
    const { world } = this;
    const changedMs = world.scheduler.time - (world.disturbed.get(volumeId) ?? Number.NEGATIVE_INFINITY);
    if (changedMs < STALE_MAX_MS || !world.server.served.has(exportName(volumeId))) return;
    if (world.volume(volumeId)?.vmId !== world.applianceVmId) return;
    world.fail('an-export-is-withdrawn-before-its-disk', `${volumeId} is detached while it is exported`);
  }

  private vmCall(process: string, what: string, vmId: string): void {
    const { world } = this;
    this.count('the-appliance-is-never-touched');
    if (world.script.world.neighbour !== undefined)
      world.fail('the-appliance-is-never-touched', `${what} of the appliance of another daemon`);
    if (vmId === world.applianceVmId)
      world.fail('the-appliance-is-never-touched', `${what} of the appliance`);
    const vm = world.model.vms.find((one) => one.id === vmId);
    const runsMs = world.scheduler.time - world.otherVmStartedAt;
    const shownAfterMs = world.script.world.serverLagsMs ? STALE_MAX_MS : FRESH_MS;
    if (what === 'destroyVirtualMachine' && vm?.state === 'Running' && runsMs > shownAfterMs)
      world.fail('no-running-vm-is-destroyed', `VM ${vmId} runs and is destroyed`);
    if (vmId !== world.otherVmId) world.fail('foreign-volumes-are-never-touched', `${what} of VM ${vmId}`);
    this.fresh(what, vmId, this.readsOf(process).vms.get(vmId));
  }

  private fresh(what: string, id: string, answeredAt: number | undefined): void {
    this.count('guards-are-read-before-every-send');
    const ageMs =
      answeredAt === undefined ? Number.POSITIVE_INFINITY : this.world.scheduler.time - answeredAt;
    if (ageMs > FRESH_MS)
      this.world.fail(
        'guards-are-read-before-every-send',
        `${what} of ${id} leaves ${ageMs} ms after the last look`,
      );
  }

  /** After every event: a row never goes because a volume cannot be seen. */
  checkMappings(): void {
    const { store } = this.world;
    if (store.mappings === this.mappings) return;
    for (const [volumeId, mapping] of this.mappings) {
      if (store.mappings.has(volumeId)) continue;
      const volume = this.world.volume(volumeId);
      const there = volume && !volume.removed && volume.vmId === mapping.vmId;
      if (!there || !this.looksGone(volume) || this.isGoingBack(volumeId) || this.isSaidGone(volumeId))
        continue;
      this.world.fail(
        'absence-needs-proof',
        `the mapping of ${volumeId} is gone, and the volume is only hidden, or shown as it was`,
      );
    }
    this.count('absence-needs-proof');
    this.mappings = new Map(store.mappings);
  }

  /**
   * It is hidden, or a list shows it as it was before a job of ours; what somebody else did shortly before
   * cannot be known.
   */
  private looksGone(volume: Volume): boolean {
    const { model, disturbed, scheduler } = this.world;
    if (model.conditions.hides(volume.id) || model.conditions.leavesOut(volume.id)) return true;
    const knownMs = scheduler.time - (disturbed.get(volume.id) ?? Number.NEGATIVE_INFINITY);
    return this.world.isShownLate(volume) && knownMs > STALE_MAX_MS;
  }

  /** An attach that failed takes its own mapping back; a mishap deletes one. */
  private isGoingBack(volumeId: string): boolean {
    if (this.world.unmapped.get(volumeId) === this.world.scheduler.time) return true;
    return [...this.world.store.operations.values()].some(
      ({ operation }) =>
        operation.volumeId === volumeId &&
        operation.status === 'executing' &&
        (operation.type === 'attach' || operation.type === 'cleanup'),
    );
  }

  /** CloudStack has said that a detach of it has succeeded, which has done nothing: both agree. */
  private isSaidGone(volumeId: string): boolean {
    const { store, model } = this.world;
    return store.entries.some(
      ({ entry: { step, state, data } }) =>
        (step === 'detach-volume' || step === 'undo-detach-volume') &&
        state === 'finished' &&
        data.outcome === 'ok' &&
        data.volume_id === volumeId &&
        !model.effects.some(({ jobId }) => jobId === data.job_id),
    );
  }

  /** What CloudStack has accepted for an operation is waited for before it ends, but for the deadline. */
  checkFollowed(operation: Operation, accepted: Iterable<string>): void {
    if (!isTerminal(operation.status) || GIVEN_UP.has(operation.errorCode ?? '')) return;
    this.count('what-was-accepted-is-followed-to-its-end');
    for (const jobId of accepted) {
      const job = this.world.model.jobs.get(jobId);
      if (job?.status === 0 && !job.lost)
        this.world.fail(
          'what-was-accepted-is-followed-to-its-end',
          `operation ${operation.id} ended ${operation.status} (${operation.errorCode ?? ''}) while its job ${jobId} still runs`,
        );
    }
  }

  private readsOf(process: string): Reads {
    const known = this.reads.get(process) ?? new Reads();
    this.reads.set(process, known);
    return known;
  }

  private count(invariant: string): void {
    this.checks[invariant] = (this.checks[invariant] ?? 0) + 1;
  }
}

function isCommand(value: unknown): value is CloudCommand {
  return typeof value === 'object' && value !== null && 'name' in value;
}
