import { link, mkdir, open, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Disk, SimulatedGuest } from './guest';

export interface SysfsGuestOptions {
  /** Everything lives below this folder. */
  readonly dir: string;
  /** SMBIOS UUID to show; none by default. */
  readonly productUuid?: string;
  /** Set false to model hypervisors that set no serial. */
  readonly serials?: boolean;
}

interface Slot {
  readonly name: string;
  readonly disk: Disk;
  readonly diskseq: number;
}

/**
 * A guest made of files: a /sys/block-shaped tree as measured on a real one (facts on virtio), and a backing file per volume. The
 * lowest free letter is reused at once, diskseq never is. The device node is a hard link to the backing file, so that what is
 * written through `dev/vdb` is in `volumes/<id>.raw`, and a link to the node does not lead out of `dev`.
 */
export class SysfsGuest implements SimulatedGuest {
  readonly sysBlockDir: string;
  readonly devDir: string;
  readonly procDir: string;
  readonly dmiDir: string;
  private readonly volumesDir: string;
  private slots: Slot[] = [];
  private nextDiskseq = 1;
  private chain: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: SysfsGuestOptions) {
    this.sysBlockDir = join(options.dir, 'sys/block');
    this.devDir = join(options.dir, 'dev');
    this.procDir = join(options.dir, 'proc');
    this.dmiDir = join(options.dir, 'dmi');
    this.volumesDir = join(options.dir, 'volumes');
  }

  async boot(): Promise<void> {
    for (const dir of [
      this.sysBlockDir,
      this.devDir,
      this.dmiDir,
      this.volumesDir,
      join(this.procDir, 'sys/kernel/random'),
    ])
      await mkdir(dir, { recursive: true });
    if (this.options.productUuid)
      await writeFile(join(this.dmiDir, 'product_uuid'), `${this.options.productUuid}\n`);
    await writeFile(join(this.procDir, 'mounts'), '');
    await writeFile(join(this.procDir, 'swaps'), 'Filename\tType\tSize\tUsed\tPriority\n');
    await this.newBootId();
    await this.plug({
      volumeId: '00000000-0000-4000-8000-000000000000',
      size: 8 * 1024 ** 3,
      serial: '00000000000040008000',
    });
  }

  plug(disk: Disk): Promise<void> {
    return this.serialised(() => this.plugNow(disk));
  }

  unplug(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      const slot = this.slots.find(({ disk }) => disk.volumeId === volumeId);
      if (!slot) return;
      this.slots = this.slots.filter((other) => other !== slot);
      await rm(join(this.devDir, slot.name), { force: true });
      // Renamed away first: a reader sees the whole device or none.
      const gone = join(this.options.dir, `.gone-${slot.diskseq}`);
      await rename(join(this.sysBlockDir, slot.name), gone);
      await rm(gone, { recursive: true });
    });
  }

  resize(volumeId: string, size: number): Promise<void> {
    return this.serialised(async () => {
      await truncate(this.backingFile(volumeId), size);
      const slot = this.slots.find(({ disk }) => disk.volumeId === volumeId);
      if (!slot) return;
      this.slots = this.slots.map((other) =>
        other === slot ? { ...slot, disk: { ...slot.disk, size } } : other,
      );
      await writeFile(join(this.sysBlockDir, slot.name, 'size'), `${size / 512}\n`);
    });
  }

  plugged(): readonly string[] {
    return this.slots.slice(1).map(({ disk }) => disk.volumeId);
  }

  /** `/dev/vdX` of a plugged volume, null when it is not plugged. For tests that look behind the scenes. */
  devicePath(volumeId: string): string | null {
    const slot = this.slots.find(({ disk }) => disk.volumeId === volumeId);
    return slot ? join(this.devDir, slot.name) : null;
  }

  /** The file that holds a volume's content, plugged or not. */
  backingFile(volumeId: string): string {
    return join(this.volumesDir, `${volumeId}.raw`);
  }

  /** New boot id, diskseq counted anew, and the data disks in another order. */
  reboot(
    order: (disks: readonly Disk[]) => readonly Disk[] = (disks) => [...disks].reverse(),
  ): Promise<void> {
    return this.serialised(async () => {
      const [root, ...data] = this.slots.map(({ disk }) => disk);
      for (const { name } of this.slots) {
        await rm(join(this.devDir, name), { force: true });
        await rm(join(this.sysBlockDir, name), { recursive: true, force: true });
      }
      this.slots = [];
      this.nextDiskseq = 1;
      await this.newBootId();
      for (const disk of [...(root ? [root] : []), ...order(data)]) await this.plugNow(disk);
    });
  }

  private async plugNow(disk: Disk): Promise<void> {
    if (this.slots.some((slot) => slot.disk.volumeId === disk.volumeId))
      throw new Error(`target of ${disk.volumeId} already exists`);
    const index = this.freeIndex();
    const slot: Slot = { name: `vd${letters(index)}`, disk, diskseq: this.nextDiskseq };
    this.nextDiskseq += 1;
    await this.makeBackingFile(disk);
    await link(this.backingFile(disk.volumeId), join(this.devDir, slot.name));
    const aside = join(this.options.dir, `.new-${slot.diskseq}`);
    await mkdir(aside);
    await writeFile(join(aside, 'size'), `${disk.size / 512}\n`);
    await writeFile(join(aside, 'serial'), this.options.serials === false ? '' : disk.serial.slice(0, 20));
    await writeFile(join(aside, 'diskseq'), `${slot.diskseq}\n`);
    await writeFile(join(aside, 'dev'), `253:${index * 16}\n`);
    await mkdir(join(aside, 'holders'));
    await symlink(`../../../virtio${index + 2}`, join(aside, 'device'));
    await rename(aside, join(this.sysBlockDir, slot.name));
    this.slots.push(slot);
  }

  private async makeBackingFile({ volumeId, size }: Disk): Promise<void> {
    const file = await open(this.backingFile(volumeId), 'a');
    const { size: present } = await file.stat();
    if (present < size) await file.truncate(size);
    await file.close();
  }

  private freeIndex(): number {
    const taken = new Set(this.slots.map(({ name }) => name));
    for (let index = 0; ; index += 1) if (!taken.has(`vd${letters(index)}`)) return index;
  }

  private async newBootId(): Promise<void> {
    await writeFile(join(this.procDir, 'sys/kernel/random/boot_id'), `${crypto.randomUUID()}\n`);
  }

  private serialised<T>(work: () => Promise<T>): Promise<T> {
    const next = this.chain.then(work, work);
    this.chain = next.catch(() => undefined);
    return next;
  }
}

/** 0 → a, 25 → z, 26 → aa: as the kernel counts. */
function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

export async function createSysfsGuest(options: SysfsGuestOptions): Promise<SysfsGuest> {
  const guest = new SysfsGuest(options);
  await guest.boot();
  return guest;
}
