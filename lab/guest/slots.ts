import type { Disk } from './guest';

/** A plugged disk as the kernel names it. */
export interface Slot {
  /** `vdb` */
  readonly name: string;
  readonly disk: Disk;
  /** Unique per plug since boot. */
  readonly diskseq: number;
  /** `major:minor` */
  readonly dev: string;
  /** `virtio3` */
  readonly controller: string;
}

const VIRTIO_MAJOR = 253;
const MINORS = 16;
/** virtio0 is the network card, virtio1 the memory balloon. */
const FIRST_VIRTIO = 2;

/**
 * Which disk is where: the lowest free letter (and virtioN) is given again at once, diskseq never. Measured
 * on real guests; the first disk plugged is the root disk.
 */
export class Slots {
  /** What the kernel begins the names of the disks with. */
  constructor(private readonly prefix: 'vd' | 'sd' | 'xvd' = 'vd') {}

  private slots: Slot[] = [];
  private lastDiskseq = 0;

  all(): readonly Slot[] {
    return this.slots;
  }

  /** All but the disk the guest runs from. */
  data(): readonly Slot[] {
    return this.slots.slice(1);
  }

  find(volumeId: string): Slot | null {
    return this.slots.find(({ disk }) => disk.volumeId === volumeId) ?? null;
  }

  /** Throws when the disk is plugged already. */
  plug(disk: Disk): Slot {
    if (this.find(disk.volumeId)) throw new Error(`target of ${disk.volumeId} already exists`);
    const taken = new Set(this.slots.map(({ name }) => name));
    let index = 0;
    while (taken.has(`${this.prefix}${letters(index)}`)) index += 1;
    this.lastDiskseq += 1;
    const slot: Slot = {
      name: `${this.prefix}${letters(index)}`,
      disk,
      diskseq: this.lastDiskseq,
      dev: `${VIRTIO_MAJOR}:${index * MINORS}`,
      controller: `virtio${index + FIRST_VIRTIO}`,
    };
    this.slots.push(slot);
    return slot;
  }

  /** null when it is not plugged. */
  unplug(volumeId: string): Slot | null {
    const slot = this.find(volumeId);
    this.slots = this.slots.filter((other) => other !== slot);
    return slot;
  }

  /** null when it is not plugged. */
  resize(volumeId: string, size: number): Slot | null {
    const slot = this.find(volumeId);
    if (!slot) return null;
    const resized = { ...slot, disk: { ...slot.disk, size } };
    this.slots = this.slots.map((other) => (other === slot ? resized : other));
    return resized;
  }

  /** Everything out, diskseq counted anew; returns what was plugged, the root disk first. */
  clear(): Disk[] {
    const disks = this.slots.map(({ disk }) => disk);
    this.slots = [];
    this.lastDiskseq = 0;
    return disks;
  }
}

/** 0 → a, 25 → z, 26 → aa: as the kernel counts. */
export function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

/** What a reboot does to the order of the data disks; the root disk stays first. */
export type Shuffle = (disks: readonly Disk[]) => readonly Disk[];
export const reversed: Shuffle = (disks) => [...disks].reverse();
