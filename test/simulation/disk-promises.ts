import type { CloudModel } from '~/lab/cloudstack/model';
import type { MemoryStore } from '~/lab/ledger/memory-store';
import type { CloudCommand } from '~/server/cloudstack/cloud';
import type { Device } from '~/server/devices/device';
import type { ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';
import type { JournalEntry, Operation } from '~/server/model/operation';
import type { SimulatedGuest, Use } from './guest';
import { allTellSerials, type Script } from './script-items';

/** How much larger than its volume a disk may be. */
export const SIZE_TOLERANCE_BYTES = 3 * 1024 ** 3;
/** Virtual ms for which a passing user may stay without anybody being refused for it. */
const PASSES_MS = 4_000;
/** Virtual ms within which an operation may go by the size that it has read before a resize. */
const RESIZE_SEEN_MS = 60_000;
/** Virtual ms after which every daemon that watches has seen what has happened. */
const SHAKEN_MS = 3_000;
/** Virtual ms for which an operation that has ended may still count for others. */
const ENDED_MS = 2_000;

/** The part of the world in which disks are. */
interface DisksWorld {
  readonly script: Script;
  readonly scheduler: { readonly time: number };
  readonly model: CloudModel;
  readonly store: MemoryStore;
  readonly guest: SimulatedGuest;
  readonly server: { readonly served: ReadonlyMap<string, unknown> };
  readonly applianceVmId: string;
  readonly forced: ReadonlySet<string>;
  readonly muted: ReadonlySet<string>;
  readonly disturbed: ReadonlyMap<string, number>;
  fail(invariant: string, message: string): void;
}

/** What is known of an operation from its journal. */
interface Story {
  readonly begunAt: number;
  /** Job id → step. */
  readonly intents: ReadonlyMap<string, string>;
}

/**
 * Holds what a daemon exports, begins and refuses to the promises about the disks of this guest: none in use,
 * none too small, none that does not fit in; and nobody is refused without need.
 */
export class DiskPromises {
  readonly checks: Record<string, number> = {};
  /** Process → volume → bytes that CloudStack has told it last. */
  private readonly told = new Map<string, Map<string, number>>();
  /** Process → path → when what it has heard last of the users of the disk was true. */
  private readonly looks = new Map<string, Map<string, number>>();
  private readonly lookedAt = new WeakMap<object, number>();
  private readonly resizedAt = new Map<string, number>();
  /** Since when no further disk fits. */
  private fullSince: number | null = null;
  /** When there were last more disks, plugged or on their way, than fit. */
  private tightAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly world: DisksWorld) {}

  /** A call has had its effect. */
  happened(what: string, value: unknown): void {
    if (what === 'guest.holders' && value instanceof Map) this.lookedAt.set(value, this.now);
  }

  /** `process` has heard the answer of its call. */
  answered(process: string, what: string, args: readonly unknown[], value: unknown): void {
    if (what === 'cloud.readVolume' && isSeen(value)) this.hear(process, [value.value]);
    if (what === 'cloud.listVolumes' && Array.isArray(value)) this.hear(process, value);
    if (what !== 'guest.holders' || !(value instanceof Map)) return;
    const looks = entryOf(this.looks, process);
    const devices = args[0] as readonly Device[];
    for (const { path } of devices) looks.set(path, this.lookedAt.get(value) ?? this.now);
  }

  private hear(process: string, volumes: readonly { id: string; size: number | null }[]): void {
    for (const { id, size } of volumes) if (size !== null) entryOf(this.told, process).set(id, size);
  }

  /** A call of `process` leaves. */
  departs(process: string, what: string, args: readonly unknown[]): void {
    if (what === 'exports.publish') this.checkPublish(process, args);
    if (what !== 'cloud.submit' || !isCommand(args[0])) return;
    const [command, jobId] = args;
    if (command.name === 'detachVolume' && typeof jobId === 'string')
      this.checkTaking(process, command.volumeId, jobId);
    if (command.name === 'attachVolume') this.checkLeft(command.volumeId, command.vmId);
  }

  /** Nobody who was there at the last look loses the disk, but on request. */
  private checkTaking(process: string, volumeId: string, jobId: string): void {
    const { guest, model, applianceVmId, forced } = this.world;
    const path = guest.devicePath(volumeId);
    const volume = model.volumes.find(({ id }) => id === volumeId);
    if (path === null || volume?.vmId !== applianceVmId || forced.has(jobId) || this.isShaken(volumeId))
      return;
    this.count('no-disk-in-use-is-taken');
    const lookedAt = this.looks.get(process)?.get(path);
    const users = guest.usesOf(volumeId).filter(({ from }) => lookedAt === undefined || from < lookedAt);
    if (users.length > 0)
      this.world.fail('no-disk-in-use-is-taken', `${path} of ${volumeId} is taken: ${said(users)}`);
  }

  /** What still has its disk here is given to no other VM, where disks tell whose they are. */
  private checkLeft(volumeId: string, vmId: string): void {
    const { guest, applianceVmId, script, muted } = this.world;
    if (vmId === applianceVmId || !allTellSerials(script.world) || muted.has(volumeId)) return;
    this.count('no-second-vm-gets-a-disk');
    const path = guest.devicePath(volumeId);
    if (path === null || this.isShaken(volumeId)) return;
    this.world.fail('no-second-vm-gets-a-disk', `${volumeId} goes to VM ${vmId}, and is ${path} here`);
  }

  /** So much has just happened that the last look may not have seen it. */
  private isShaken(volumeId: string): boolean {
    const at = Math.max(this.world.guest.changedAt, this.world.disturbed.get(volumeId) ?? 0);
    return this.now - at < SHAKEN_MS;
  }

  private checkPublish(process: string, args: readonly unknown[]): void {
    const { name, volumeId, devicePath, size } = args[0] as ExportTarget;
    this.count('no-disk-in-use-is-exported');
    const lookedAt = this.looks.get(process)?.get(devicePath);
    // A disk that has gone is used by nobody here; its publication fails at the letter.
    const isThere = this.world.guest.devicePath(volumeId) === devicePath;
    const users = isThere ? this.world.guest.usesOf(volumeId) : [];
    if (lookedAt === undefined || users.some(({ from }) => from < lookedAt))
      this.world.fail(
        'no-disk-in-use-is-exported',
        `${devicePath} of ${volumeId} is published: ${lookedAt === undefined ? 'nobody has looked who uses it' : said(users)}`,
      );
    this.count('no-disk-smaller-than-its-volume-is-exported');
    const told = this.told.get(process)?.get(volumeId);
    // What is configured already is served again as it was, while CloudStack cannot be asked.
    const isNew = !this.world.server.served.has(name);
    if (told !== undefined && size < told && isNew && !this.isUnderWay(volumeId))
      this.world.fail(
        'no-disk-smaller-than-its-volume-is-exported',
        `${devicePath} of ${volumeId} is published with ${size} bytes, and CloudStack has said ${told}`,
      );
  }

  /** A volume was resized in CloudStack. */
  resized(volumeId: string): void {
    this.resizedAt.set(volumeId, this.now);
  }

  /** When it was last resized, by whom ever. */
  resizedAtOf(volumeId: string): number | undefined {
    return this.resizedAt.get(volumeId);
  }

  /**
   * Resized in the middle of an operation, which has read the size before: the next sync closes the export.
   */
  private isUnderWay(volumeId: string): boolean {
    const isBusy = [...this.world.store.operations.values()].some(
      ({ operation }) => operation.volumeId === volumeId && operation.status === 'executing',
    );
    return isBusy && this.now - (this.resizedAt.get(volumeId) ?? Number.NEGATIVE_INFINITY) < RESIZE_SEEN_MS;
  }

  /** After every event that has changed anything. */
  afterEvent(): void {
    const { slots } = this.world.script.world;
    if (!slots) return;
    const plugged = this.world.guest.plugged().length;
    if (plugged < slots.count) this.fullSince = null;
    else this.fullSince ??= this.now;
    const coming = [...this.world.store.operations.values()].filter(({ operation }) =>
      this.takesSlot(operation),
    );
    if (plugged + coming.length > slots.count) this.tightAt = this.now;
  }

  private takesSlot({ status, ...operation }: Operation): boolean {
    if (status !== 'executing') return false;
    return (
      operation.type === 'cleanup' ||
      (operation.type === 'attach' && operation.request.vm_id === this.world.applianceVmId)
    );
  }

  /** The first intent of an attach to a guest that has been full all along. */
  intended({ begunAt, intents }: Story, { step, state, data }: JournalEntry): void {
    const { slots } = this.world.script.world;
    if (!slots?.shown || step !== 'attach-volume' || state !== 'intent') return;
    if (data.vm_id !== this.world.applianceVmId || [...intents.values()].includes(step)) return;
    this.count('no-attach-begins-on-a-full-vm');
    const volumeId = typeof data.volume_id === 'string' ? data.volume_id : '';
    const isIn = this.world.guest.devicePath(volumeId) !== null;
    if (this.fullSince !== null && this.fullSince < begunAt && !isIn)
      this.world.fail(
        'no-attach-begins-on-a-full-vm',
        `${volumeId} is attached, and the ${slots.count} slots have been full since ${this.fullSince}`,
      );
  }

  /** Whoever was refused was refused for a reason that was there while he asked. */
  ended({ status, errorCode, id, type }: Operation, { begunAt }: Story): void {
    const serials = allTellSerials(this.world.script.world);
    // Without serials nobody can tell whose disk it is that somebody uses, or that takes a slot.
    if (status !== 'failed' || !serials || type !== 'attach') return;
    if (errorCode === 'NO_FREE_SLOT') {
      this.count('no-needless-refusal');
      if (this.tightAt < begunAt - ENDED_MS)
        this.world.fail('no-needless-refusal', `attach ${id} found no slot, and there was room all along`);
    }
    if (errorCode === 'DEVICE_IN_USE') {
      this.count('no-needless-refusal');
      if (!this.wasInTheWay(begunAt))
        this.world.fail('no-needless-refusal', `attach ${id} found its disk in use, and nobody stayed`);
    }
  }

  private wasInTheWay(since: number): boolean {
    const during = this.world.guest.uses.filter(({ to }) => to === null || to >= since);
    const passing = during.filter(({ holder }) => ['open', 'claimed', 'unknown'].includes(holder.kind));
    const ms = passing.reduce((sum, { from, to }) => sum + (to ?? this.now) - from, 0);
    return passing.length < during.length || ms > PASSES_MS;
  }

  /** Nothing goes wrong any more, and a sync has repaired what it may. */
  async atRest(): Promise<void> {
    const { script, model, applianceVmId, guest } = this.world;
    if (!script.world.exports) return;
    const { devices } = await guest.look();
    // Nobody knows whose a disk is whose serial never comes: after a reboot none does where they come late.
    // Nor is a disk given to anybody by sync while another one does not tell, or has failed.
    const told = new Set(devices.filter((one) => one.serialState !== 'pending').map(({ path }) => path));
    const allTell = allTellSerials(script.world) && devices.every((one) => one.serialState === 'read');
    // Where one hangs, sync judges none; an export whose disk is in use lets no new client in all the same.
    if (devices.some((one) => one.serialState === 'unreadable')) return;
    for (const { id, vmId, size } of model.volumes) {
      const path = vmId === applianceVmId ? guest.devicePath(id) : null;
      if (path !== null && told.has(path)) this.checkAtRest(id, path, size, allTell);
    }
  }

  private checkAtRest(volumeId: string, path: string, volumeBytes: number, allTell: boolean): void {
    const { guest, server, store } = this.world;
    const bytes = guest.sizeOf(volumeId);
    const users = guest.usesOf(volumeId);
    const isServed = server.served.has(exportName(volumeId));
    const isSmaller = bytes < volumeBytes;
    for (const promise of AT_REST) this.count(promise);
    if (isServed && isSmaller)
      this.world.fail(AT_REST[0], `${path} of ${volumeId} is exported with ${bytes} of ${volumeBytes} bytes`);
    if (isServed && users.some(({ holder }) => holder.kind !== 'unknown'))
      this.world.fail(AT_REST[1], `${path} of ${volumeId} is exported: ${said(users)}`);
    const isLarger = bytes > volumeBytes + SIZE_TOLERANCE_BYTES;
    const mapping = store.mappings.get(volumeId);
    // Without serials the disk of a volume may not be known, and a disk with its serial may be the ghost of
    // one that has not told its own; then there is no mapping, and nothing to export.
    const isTold = this.world.script.world.twins !== true && mapping?.linuxState === 'detected';
    const isKnown = allTell || isTold;
    const isTheirs = mapping !== undefined && mapping.vmId !== this.world.applianceVmId;
    const isWithdrawn = store.exports.get(volumeId)?.metadata.withdrawn === 'true';
    if (isSmaller || isLarger || users.length > 0 || !isKnown || isWithdrawn || isTheirs) return;
    if (!isServed)
      this.world.fail(
        AT_REST[2],
        `${path} of ${volumeId} is free and as large as it should be, and not exported`,
      );
    else if (mapping?.size !== bytes)
      this.world.fail(
        AT_REST[3],
        `${path} has ${bytes} bytes, the mapping of ${volumeId} says ${mapping?.size}`,
      );
  }

  private get now(): number {
    return this.world.scheduler.time;
  }

  private count(promise: string): void {
    this.checks[promise] = (this.checks[promise] ?? 0) + 1;
  }
}

const AT_REST = [
  'no-disk-smaller-than-its-volume-is-exported',
  'no-disk-in-use-is-exported',
  'no-needless-refusal',
  'a-mapping-follows-a-resize',
] as const;

function entryOf(maps: Map<string, Map<string, number>>, process: string): Map<string, number> {
  const known = maps.get(process) ?? new Map<string, number>();
  maps.set(process, known);
  return known;
}

function isCommand(value: unknown): value is CloudCommand {
  return typeof value === 'object' && value !== null && 'name' in value;
}

function isSeen(value: unknown): value is { value: { id: string; size: number | null } } {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'seen';
}

function said(users: readonly Use[]): string {
  return users.map(({ holder }) => `${holder.kind}: ${holder.detail}`).join('; ');
}
