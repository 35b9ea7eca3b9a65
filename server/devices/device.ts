import type { Evidence } from '../model/evidence';

/** Buses on which the disk of a volume is looked for; `xen` has no serials. */
export const DISK_BUSES = ['virtio', 'virtio-scsi', 'xen'] as const;
export type DiskBus = (typeof DISK_BUSES)[number];

/** `unreadable`: the read failed or timed out (a dying device). Only `read` and `absent` are facts. */
export const SERIAL_STATES = ['read', 'absent', 'unreadable', 'pending'] as const;
export type SerialState = (typeof SERIAL_STATES)[number];

/** What the guest shows of its disks (`/sys/block/vdX/{size,serial,diskseq,dev,device}`). */
export interface Device {
  /** `vdb` */
  readonly name: string;
  /** `/dev/vdb` (DEV_DIR + name): what callers open. */
  readonly path: string;
  /** Bytes (sysfs sectors × 512). */
  readonly size: number;
  /** Trimmed; at most 20 bytes on virtio, the whole UUID may come on virtio-scsi; null when there is none. */
  readonly serial: string | null;
  readonly serialState: SerialState;
  /** Unique per plug since boot; null before kernel 5.15. */
  readonly diskseq: number | null;
  /** `major:minor` */
  readonly dev: string | null;
  /** `virtio4`, null when unknown. */
  readonly controller: string | null;
  /** Absent in an inventory of a version that knew virtio only. */
  readonly bus?: DiskBus | undefined;
  /** True for the disk this system runs from (it holds `/`): never a candidate for a volume. */
  readonly root?: boolean;
}

/**
 * A disk on a bus on which no volume is looked for: never mapped or exported. It is named when the disk of a
 * volume does not come, and nobody takes it away while it is used: a volume may have come there by hand.
 */
export interface OtherDisk extends Omit<Device, 'bus' | 'root'> {
  /** `sata or ide`, `nvme`, … */
  readonly bus: string;
}

/** As a device that can be looked at. */
export function asDevice({ bus: _, ...disk }: OtherDisk): Device {
  return disk;
}

export interface DeviceSnapshot {
  readonly bootId: string | null;
  /** Ordered by name length, then name (vdz before vdaa). */
  readonly devices: readonly Device[];
  /** Wall clock ms. */
  readonly at: number;
  /** False before the first look of this process, and while looks fail for so long that this one is old. */
  readonly scanned: boolean;
  /** Without the system's own. Not in a stored inventory. */
  readonly others?: readonly OtherDisk[];
  /** When disks were seen to appear; not those that the very first look found. Survives restarts. */
  readonly appearances?: readonly Appearance[];
}

/** The moment one plug of a disk was seen for the first time. */
export interface Appearance {
  readonly name: string;
  readonly diskseq: number | null;
  /** Wall clock ms. */
  readonly at: number;
  /** ms since the guest was booted: tells whether the wall clock was set in between. */
  readonly uptime: number;
}

/** The devices port: one look at the guest. Real: ./sysfs/sysfs-guest.ts. */
export interface Guest {
  /**
   * Never blocks on a serial: slow serials are `pending` and come with a later look. Throws when /sys/block
   * cannot be read.
   */
  look(): Promise<{ bootId: string | null; devices: Device[]; others?: OtherDisk[] }>;
  /** Rings when /dev changes (a doorbell, not a truth); returns the unsubscribe function. */
  onHint(ring: () => void): () => void;
  /**
   * Who uses each of these devices, by path; a device without users has an empty list. What could not be
   * looked at is a user of the kind `unknown`. One look for all of them costs little more than for one.
   *
   * @example
   * const users = (await guest.holders([device])).get(device.path) ?? [];
   */
  holders(devices: readonly Device[]): Promise<ReadonlyMap<string, readonly Holder[]>>;
  /** The hot-plug slots; unknown when the guest does not show them. Never throws. */
  slots(): Promise<Evidence<PciSlots>>;
  /** The SMBIOS UUID, lower case, or null. On CloudStack/KVM it is the VM's id. */
  productUuid(): Promise<string | null>;
}

/** Where another disk can be plugged into this guest. */
export interface PciSlots {
  readonly free: number;
  /** Taken by a disk that the kernel does not show yet. */
  readonly arriving: number;
}

export interface Holder {
  /**
   * holder: stacked on it (LVM, md, dm, bcache, loop, btrfs). claimed: the kernel refuses an exclusive open,
   * for a reason that nothing else shows. configured: fstab, crypttab or LVM's list of devices names it. own:
   * the list of own disks names it. unknown: something could not be looked at.
   */
  readonly kind:
    | 'mount'
    | 'swap'
    | 'holder'
    | 'open'
    | 'claimed'
    | 'configured'
    | 'own'
    | 'nbd-client'
    | 'unknown';
  /** Human text: mount point, dm name, "pid 123 (dd)". */
  readonly detail: string;
  /** Only of `open`: the process has it open for reading only. */
  readonly readOnly?: true;
  /** Only of `nbd-client`: see ClientState. */
  readonly leaving?: true;
}

/**
 * Of a process that serves a client of an export: the client's connection stands, or the client has certainly
 * left and the process is about to end. What cannot be seen counts as connected.
 */
export type ClientState = 'connected' | 'leaving';

export const DEVICE_EVENT_TYPES = ['added', 'removed', 'changed'] as const;
export type DeviceEventType = (typeof DEVICE_EVENT_TYPES)[number];

/** Specification, "Event Types": added, removed, changed. */
export interface DeviceEvent {
  /** 1, 2, … since start. */
  readonly sequence: number;
  readonly type: DeviceEventType;
  readonly device: Device;
  /** Wall clock ms of detection. */
  readonly at: number;
  /** Monotonic ms of detection; what the 5 s window is measured with. */
  readonly monotonic: number;
}
