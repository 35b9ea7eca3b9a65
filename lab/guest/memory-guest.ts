import type { Clock, Random } from '~/server/core/clock';
import type { Device, Guest, Holder } from '~/server/devices/device';
import { type Disk, ROOT_DISK, type SimulatedGuest } from './guest';
import { reversed, type Shuffle, type Slot, Slots } from './slots';

export interface MemoryGuestOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** SMBIOS UUID; null by default. */
  readonly productUuid?: string;
  /** Set false to model hypervisors that set no serial. */
  readonly serials?: boolean;
  /** The serial of a new disk is `pending` until `releaseSerial`. */
  readonly holdSerials?: boolean;
  /** ms from a reboot until the disks are there again. */
  readonly bootDelay?: number;
  /** ms that plugging and unplugging take in the guest. */
  readonly latency?: { readonly plug?: number; readonly unplug?: number };
}

/**
 * The same guest without files, for the in-process simulation: CloudStack plugs into it, and the daemon looks
 * at it through the devices port.
 */
export class MemoryGuest implements SimulatedGuest, Guest {
  private readonly slots = new Slots();
  private readonly rings = new Set<() => void>();
  /** diskseq of the disks whose serial does not come. */
  private readonly held = new Set<number>();
  private readonly inUse = new Map<string, Holder[]>();
  private bootId: string;
  private unreadable: Error | null = null;
  private chain: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: MemoryGuestOptions) {
    this.bootId = options.random.uuid();
    this.slots.plug(ROOT_DISK);
  }

  // ---- the hypervisor's side ----------------------------------------------------------------------------------------

  plug(disk: Disk): Promise<void> {
    return this.serialised(async () => {
      await this.wait(this.options.latency?.plug);
      this.plugNow(disk);
      this.ring();
    });
  }

  unplug(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      await this.wait(this.options.latency?.unplug);
      if (this.slots.unplug(volumeId)) this.ring();
    });
  }

  async resize(volumeId: string, size: number): Promise<void> {
    if (this.slots.resize(volumeId, size)) this.ring();
  }

  plugged(): readonly string[] {
    return this.slots.data().map(({ disk }) => disk.volumeId);
  }

  // ---- behind the scenes --------------------------------------------------------------------------------------------

  /** Gone at once, without CloudStack having asked for it. */
  surpriseUnplug(volumeId: string): void {
    if (!this.slots.unplug(volumeId)) throw new Error(`${volumeId} is not plugged`);
    this.ring();
  }

  /** New boot id, diskseq counted anew, and the data disks in another order (by default the reverse). */
  reboot({ shuffle = reversed }: { readonly shuffle?: Shuffle } = {}): Promise<void> {
    return this.serialised(async () => {
      const [root, ...data] = this.slots.clear();
      this.held.clear();
      this.inUse.clear();
      this.bootId = this.options.random.uuid();
      await this.wait(this.options.bootDelay);
      for (const disk of [...(root ? [root] : []), ...shuffle(data)]) this.plugNow(disk);
      this.ring();
    });
  }

  releaseSerial(volumeId: string): void {
    const slot = this.slots.find(volumeId);
    if (slot && this.held.delete(slot.diskseq)) this.ring();
  }

  /** What `holders` answers for the volume's device from now on. */
  hold(volumeId: string, holders: readonly Holder[]): void {
    this.inUse.set(volumeId, [...holders]);
  }

  /** Looking fails with this error until it is called with null. */
  breakLooks(error: Error | null): void {
    this.unreadable = error;
  }

  /** `/dev/vdX` of a plugged volume, null when it is not plugged. */
  devicePath(volumeId: string): string | null {
    const slot = this.slots.find(volumeId);
    return slot ? `/dev/${slot.name}` : null;
  }

  // ---- the daemon's side --------------------------------------------------------------------------------------------

  async look(): Promise<{ bootId: string; devices: Device[] }> {
    if (this.unreadable) throw this.unreadable;
    const devices = this.slots.all().map((slot) => this.deviceOf(slot));
    const byName = (a: Device, b: Device) =>
      a.name.length - b.name.length || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
    return { bootId: this.bootId, devices: devices.sort(byName) };
  }

  onHint(ring: () => void): () => void {
    this.rings.add(ring);
    return () => void this.rings.delete(ring);
  }

  /**
   * By diskseq, so that a device of an earlier plug is never confused with the one that has its letter now.
   */
  async holders(devices: readonly Device[]): Promise<Map<string, Holder[]>> {
    const volumeOf = (device: Device) =>
      this.slots.all().find(({ diskseq }) => diskseq === device.diskseq)?.disk.volumeId ?? '';
    return new Map(devices.map((device) => [device.path, [...(this.inUse.get(volumeOf(device)) ?? [])]]));
  }

  async productUuid(): Promise<string | null> {
    return this.options.productUuid?.toLowerCase() ?? null;
  }

  private deviceOf(slot: Slot): Device {
    const { name, disk, diskseq, dev, controller } = slot;
    const serial = this.options.serials === false ? '' : disk.serial.slice(0, 20);
    const pending = this.held.has(diskseq);
    return {
      name,
      path: `/dev/${name}`,
      size: disk.size,
      serial: pending || serial === '' ? null : serial,
      serialState: pending ? 'pending' : serial === '' ? 'absent' : 'read',
      diskseq,
      dev,
      controller,
      root: disk.volumeId === ROOT_DISK.volumeId,
    };
  }

  private plugNow(disk: Disk): void {
    const { diskseq } = this.slots.plug(disk);
    if (this.options.holdSerials && disk.volumeId !== ROOT_DISK.volumeId) this.held.add(diskseq);
  }

  private ring(): void {
    for (const ring of [...this.rings]) ring();
  }

  private async wait(ms: number | undefined): Promise<void> {
    if (ms !== undefined && ms > 0) await this.options.clock.sleep(ms);
  }

  private serialised<T>(work: () => Promise<T>): Promise<T> {
    const next = this.chain.then(work);
    this.chain = next.catch(() => undefined);
    return next;
  }
}
