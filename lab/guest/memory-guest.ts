import type { Clock, Random } from '~/server/core/clock';
import type { Device, DiskBus, Guest, Holder, OtherDisk, PciSlots } from '~/server/devices/device';
import type { CounterReader, DiskCounters, Plug } from '~/server/devices/disk-counters';
import { absent, type Evidence, seen, unknown } from '~/server/model/evidence';
import { type Disk, ROOT_DISK, type SimulatedGuest } from './guest';
import { reversed, type Shuffle, type Slot, Slots } from './slots';

export interface MemoryGuestOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** SMBIOS UUID; null by default. */
  readonly productUuid?: string;
  /**
   * Set false to model hypervisors that set no serial, `root` for those that set one on the root disk only.
   */
  readonly serials?: boolean | 'root';
  /** The serial of a new disk is `pending` until `releaseSerial`. */
  readonly holdSerials?: boolean;
  /**
   * The bus of all disks; virtio by default. A SCSI disk shows the serial of its volume whole, a
   * Xen disk shows none.
   */
  readonly bus?: DiskBus;
  /** The data disks are on this bus instead (`sata or ide`), on which no volume is looked for. */
  readonly otherBus?: string;
  /** PCI slots for data disks; without it the guest takes any number. */
  readonly slots?: number;
  /** Set false for a guest that has slots and does not show them. */
  readonly showsSlots?: boolean;
  /** ms from a reboot until the disks are there again. */
  readonly bootDelay?: number;
  /** ms that plugging and unplugging take in the guest. */
  readonly latency?: { readonly plug?: number; readonly unplug?: number };
}

/**
 * The same guest without files, for the in-process simulation: CloudStack plugs into it, and the daemon looks
 * at it through the devices port.
 */
export class MemoryGuest implements SimulatedGuest, Guest, CounterReader {
  private readonly plugs: Slots;
  private readonly rings = new Set<() => void>();
  /** diskseq of the disks whose serial does not come. */
  private readonly held = new Set<number>();
  /** What has become of the serial of disks, by diskseq. */
  private readonly mute = new Map<number, 'unreadable' | 'absent'>();
  private readonly inUse = new Map<string, Holder[]>();
  /** What was transferred, and what is still in the page cache, by diskseq. */
  private readonly counted = new Map<number, DiskCounters>();
  private readonly cached = new Map<number, number>();
  private bootId: string;
  private unreadable: Error | null = null;
  private chain: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: MemoryGuestOptions) {
    this.bootId = options.random.uuid();
    this.plugs = new Slots(({ virtio: 'vd', 'virtio-scsi': 'sd', xen: 'xvd' } as const)[this.bus]);
    this.plugs.plug(ROOT_DISK);
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
      if (this.plugs.unplug(volumeId)) this.ring();
    });
  }

  /** After a reboot that is going on: the hypervisor knows the new size however long the guest boots. */
  resize(volumeId: string, size: number): Promise<void> {
    return this.serialised(async () => {
      if (this.plugs.resize(volumeId, size)) this.ring();
    });
  }

  plugged(): readonly string[] {
    return this.plugs.data().map(({ disk }) => disk.volumeId);
  }

  // ---- behind the scenes --------------------------------------------------------------------------------------------

  /** Gone at once, without CloudStack having asked for it. */
  surpriseUnplug(volumeId: string): void {
    if (!this.plugs.unplug(volumeId)) throw new Error(`${volumeId} is not plugged`);
    this.ring();
  }

  /** New boot id, diskseq counted anew, and the data disks in another order (by default the reverse). */
  reboot({ shuffle = reversed }: { readonly shuffle?: Shuffle } = {}): Promise<void> {
    return this.serialised(async () => {
      const [root, ...data] = this.plugs.clear();
      for (const remembered of [this.held, this.mute, this.inUse, this.counted, this.cached])
        remembered.clear();
      this.bootId = this.options.random.uuid();
      await this.wait(this.options.bootDelay);
      for (const disk of [...(root ? [root] : []), ...shuffle(data)]) this.plugNow(disk);
      this.ring();
    });
  }

  releaseSerial(volumeId: string): void {
    const slot = this.plugs.find(volumeId);
    if (slot && this.held.delete(slot.diskseq)) this.ring();
  }

  /**
   * Until the next boot the serial of the disk cannot be read, because it hangs, or is empty, because it
   * fails every request: the kernel shows that as none.
   */
  spoilSerial(volumeId: string, becomes: 'unreadable' | 'absent' = 'unreadable'): void {
    const slot = this.plugs.find(volumeId);
    if (!slot) throw new Error(`${volumeId} is not plugged`);
    this.mute.set(slot.diskseq, becomes);
    this.ring();
  }

  /** What `holders` answers for the volume's device from now on. */
  hold(volumeId: string, holders: readonly Holder[]): void {
    this.inUse.set(volumeId, [...holders]);
  }

  /** Somebody reads and writes so many bytes, in one request each. */
  transfer(volumeId: string, { read = 0, written = 0 }: { read?: number; written?: number }): void {
    const diskseq = this.plugs.find(volumeId)?.diskseq;
    if (diskseq === undefined) throw new Error(`${volumeId} is not plugged`);
    const before = this.countersOf(diskseq);
    this.counted.set(diskseq, {
      readBytes: before.readBytes + read,
      writtenBytes: before.writtenBytes + written,
      requests: before.requests + (read > 0 ? 1 : 0) + (written > 0 ? 1 : 0),
      inFlight: 0,
    });
  }

  /** Written to the page cache only: the disk sees it at the next flush. */
  writeCached(volumeId: string, bytes: number): void {
    const diskseq = this.plugs.find(volumeId)?.diskseq;
    if (diskseq !== undefined) this.cached.set(diskseq, (this.cached.get(diskseq) ?? 0) + bytes);
  }

  /** Looking fails with this error until it is called with null. */
  breakLooks(error: Error | null): void {
    this.unreadable = error;
  }

  /** `/dev/vdX` of a plugged volume, null when it is not plugged. */
  devicePath(volumeId: string): string | null {
    const slot = this.plugs.find(volumeId);
    return slot ? `/dev/${slot.name}` : null;
  }

  // ---- the daemon's side --------------------------------------------------------------------------------------------

  async look(): Promise<{ bootId: string; devices: Device[]; others: OtherDisk[] }> {
    if (this.unreadable) throw this.unreadable;
    const byName = (a: Device, b: Device) =>
      a.name.length - b.name.length || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
    const all = this.plugs
      .all()
      .map((slot) => this.deviceOf(slot))
      .sort(byName);
    const { otherBus: bus } = this.options;
    if (bus === undefined) return { bootId: this.bootId, devices: all, others: [] };
    const others = all.filter(({ root }) => !root).map(({ root: _, ...disk }) => ({ ...disk, bus }));
    return { bootId: this.bootId, devices: all.filter(({ root }) => root), others };
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
      this.plugs.all().find(({ diskseq }) => diskseq === device.diskseq)?.disk.volumeId ?? '';
    return new Map(devices.map((device) => [device.path, [...(this.inUse.get(volumeOf(device)) ?? [])]]));
  }

  read({ name, path, diskseq }: Plug): Evidence<DiskCounters> {
    const at = this.options.clock.now();
    if (this.unreadable) return unknown(this.unreadable.message, at, 'guest');
    if (diskseq === null) return unknown(`the plugs of ${path} are not numbered`, at, 'guest');
    const slot = this.plugs.all().find((one) => one.name === name && one.diskseq === diskseq);
    if (!slot) return absent(`the disk that was ${path} (diskseq ${diskseq}) has left`, at, 'guest');
    return seen(this.countersOf(diskseq), at, 'guest');
  }

  async flush({ path }: Plug): Promise<void> {
    const slot = this.plugs.all().find(({ name }) => `/dev/${name}` === path);
    if (!slot) throw new Error(`there is no ${path}`);
    const written = this.cached.get(slot.diskseq) ?? 0;
    this.cached.delete(slot.diskseq);
    this.transfer(slot.disk.volumeId, { written });
  }

  async slots(): Promise<Evidence<PciSlots>> {
    const at = this.options.clock.now();
    const { slots, showsSlots = true } = this.options;
    if (slots === undefined || !showsSlots) return unknown('the guest shows no hot-plug slots', at, 'guest');
    return seen({ free: slots - this.plugs.data().length, arriving: 0 }, at, 'guest');
  }

  async productUuid(): Promise<string | null> {
    return this.options.productUuid?.toLowerCase() ?? null;
  }

  private get bus(): DiskBus {
    return this.options.bus ?? 'virtio';
  }

  /** virtio carries 20 bytes. */
  private serialOf({ serial, volumeId }: Disk): string {
    const { serials = true } = this.options;
    const isTold = serials === 'root' ? volumeId === ROOT_DISK.volumeId : serials;
    if (!isTold || this.bus === 'xen' || serial === '') return '';
    if (this.bus === 'virtio') return serial.slice(0, 20);
    const whole = volumeId.replaceAll('-', '');
    return whole.startsWith(serial) ? whole : serial;
  }

  private deviceOf(slot: Slot): Device {
    const { name, disk, diskseq, dev, controller } = slot;
    const serial = this.serialOf(disk);
    const state = this.held.has(diskseq) ? 'pending' : (this.mute.get(diskseq) ?? null);
    return {
      name,
      path: `/dev/${name}`,
      size: disk.size,
      serial: state !== null || serial === '' ? null : serial,
      serialState: state ?? (serial === '' ? 'absent' : 'read'),
      diskseq,
      dev,
      controller,
      bus: this.bus,
      root: disk.volumeId === ROOT_DISK.volumeId,
    };
  }

  private countersOf(diskseq: number): DiskCounters {
    return this.counted.get(diskseq) ?? { readBytes: 0, writtenBytes: 0, requests: 0, inFlight: 0 };
  }

  private plugNow(disk: Disk): void {
    if (this.plugs.data().length >= (this.options.slots ?? Number.POSITIVE_INFINITY))
      throw new Error('org.libvirt.LibvirtException: internal error: No more available PCI slots');
    const { diskseq } = this.plugs.plug(disk);
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
