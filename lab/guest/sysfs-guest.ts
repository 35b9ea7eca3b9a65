import { execFile } from 'node:child_process';
import { link, mkdir, open, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Clock, systemClock } from '~/server/core/clock';
import { type Disk, ROOT_DISK, type SimulatedGuest } from './guest';
import { reversed, type Shuffle, type Slot, Slots } from './slots';

export interface SysfsGuestOptions {
  /** Everything lives below this folder. */
  readonly dir: string;
  /** SMBIOS UUID to show; none by default. */
  readonly productUuid?: string;
  /** Set false to model hypervisors that set no serial. */
  readonly serials?: boolean;
  /**
   * Readers of the serial of a new disk block until `releaseSerial`: a disk that answers slowly or not at
   * all.
   */
  readonly holdSerials?: boolean;
  /** ms from a reboot until the disks are there again; plugs and unplugs wait for it. */
  readonly bootDelay?: number;
  /** ms that plugging and unplugging take in the guest. */
  readonly latency?: { readonly plug?: number; readonly unplug?: number };
  readonly clock?: Clock;
}

const SECTOR = 512;
const run = promisify(execFile);

/**
 * A guest made of files: a /sys/block-shaped tree as measured on a real one, and a backing file per volume
 * that outlives its plugs. The device node is a *hard link* to the backing file: what is written through
 * `dev/vdb` is in `volumes/<id>.raw`, and a link that points to the node does not lead out of `dev`, as a
 * symbolic link in its place would. One thing differs from a real guest: a descriptor that is still open on
 * an unplugged disk goes on reading and writing the file.
 */
export class SysfsGuest implements SimulatedGuest {
  readonly sysBlockDir: string;
  readonly devDir: string;
  readonly procDir: string;
  readonly dmiDir: string;
  readonly etcDir: string;
  private readonly volumesDir: string;
  private readonly slots = new Slots();
  private readonly clock: Clock;
  /** diskseq of the disks whose serial is held back. */
  private readonly held = new Set<number>();
  private staged = 0;
  private chain: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: SysfsGuestOptions) {
    this.sysBlockDir = join(options.dir, 'sys/block');
    this.devDir = join(options.dir, 'dev');
    this.procDir = join(options.dir, 'proc');
    this.dmiDir = join(options.dir, 'dmi');
    this.etcDir = join(options.dir, 'etc');
    this.volumesDir = join(options.dir, 'volumes');
    this.clock = options.clock ?? systemClock;
  }

  /** The first boot: the folders, and the root disk as vda. */
  async boot(): Promise<void> {
    const random = join(this.procDir, 'sys/kernel/random');
    const folders = [this.sysBlockDir, this.devDir, this.dmiDir, this.volumesDir, random, this.selfDir()];
    for (const dir of folders) await mkdir(dir, { recursive: true });
    if (this.options.productUuid)
      await writeFile(join(this.dmiDir, 'product_uuid'), `${this.options.productUuid}\n`);
    await writeFile(join(this.procDir, 'swaps'), 'Filename\tType\tSize\tUsed\tPriority\n');
    await writeFile(join(this.procDir, 'mounts'), '/dev/vda / ext4 rw,relatime 0 0\n');
    await writeFile(join(this.selfDir(), 'mountinfo'), '1 0 253:0 / / rw,relatime - ext4 /dev/vda rw\n');
    await this.newBootId();
    await this.plugNow(ROOT_DISK);
  }

  plug(disk: Disk): Promise<void> {
    return this.serialised(async () => {
      await this.wait(this.options.latency?.plug);
      await this.plugNow(disk);
    });
  }

  unplug(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      await this.wait(this.options.latency?.unplug);
      const slot = this.slots.unplug(volumeId);
      if (slot) await this.takeAway(slot);
    });
  }

  /** Gone without CloudStack having asked for it. */
  surpriseUnplug(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      const slot = this.slots.unplug(volumeId);
      if (!slot) throw new Error(`${volumeId} is not plugged`);
      await this.takeAway(slot);
    });
  }

  resize(volumeId: string, size: number): Promise<void> {
    return this.serialised(async () => {
      await truncate(this.backingFile(volumeId), size);
      const slot = this.slots.resize(volumeId, size);
      if (slot) await this.replace(join(this.sysBlockDir, slot.name, 'size'), `${size / SECTOR}\n`);
    });
  }

  /** From now on the kernel has counted so many bytes for the disk since it was plugged in. */
  count(volumeId: string, { read = 0, written = 0 }: { read?: number; written?: number }): Promise<void> {
    return this.serialised(async () => {
      const slot = this.slots.find(volumeId);
      if (slot) await this.replace(join(this.sysBlockDir, slot.name, 'stat'), statText(read, written));
    });
  }

  plugged(): readonly string[] {
    return this.slots.data().map(({ disk }) => disk.volumeId);
  }

  /** `dev/vdX` of a plugged volume, null when it is not plugged. For tests that look behind the scenes. */
  devicePath(volumeId: string): string | null {
    const slot = this.slots.find(volumeId);
    return slot ? join(this.devDir, slot.name) : null;
  }

  /** The file that holds a volume's content, plugged or not. */
  backingFile(volumeId: string): string {
    return join(this.volumesDir, `${volumeId}.raw`);
  }

  /** With `holdSerials`: the reader that waits gets the serial, and so does everybody after it. */
  releaseSerial(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      const slot = this.slots.find(volumeId);
      if (!slot || !this.held.delete(slot.diskseq)) return;
      const path = join(this.sysBlockDir, slot.name, 'serial');
      // Opened for both so that opening does not wait for a reader.
      const pipe = await open(path, 'r+');
      await this.replace(path, this.serialOf(slot));
      await pipe.writeFile(this.serialOf(slot));
      await pipe.close();
    });
  }

  /** New boot id, diskseq counted anew, and the data disks in another order (by default the reverse). */
  reboot({ shuffle = reversed }: { readonly shuffle?: Shuffle } = {}): Promise<void> {
    return this.serialised(async () => {
      for (const slot of this.slots.all()) await this.takeAway(slot);
      const [root, ...data] = this.slots.clear();
      await this.newBootId();
      await this.wait(this.options.bootDelay);
      for (const disk of [...(root ? [root] : []), ...shuffle(data)]) await this.plugNow(disk);
    });
  }

  /** Built aside and renamed: a reader sees the whole device or none. */
  private async plugNow(disk: Disk): Promise<void> {
    const slot = this.slots.plug(disk);
    await this.makeBackingFile(disk);
    await link(this.backingFile(disk.volumeId), join(this.devDir, slot.name));
    const aside = this.aside('new');
    await mkdir(join(aside, 'holders'), { recursive: true });
    await writeFile(join(aside, 'size'), `${disk.size / SECTOR}\n`);
    await writeFile(join(aside, 'diskseq'), `${slot.diskseq}\n`);
    await writeFile(join(aside, 'stat'), statText(0, 0));
    await writeFile(join(aside, 'dev'), `${slot.dev}\n`);
    await symlink(`../../../${slot.controller}`, join(aside, 'device'));
    if (this.options.holdSerials && disk !== ROOT_DISK) {
      await run('mkfifo', [join(aside, 'serial')]);
      this.held.add(slot.diskseq);
    } else await writeFile(join(aside, 'serial'), this.serialOf(slot));
    await rename(aside, join(this.sysBlockDir, slot.name));
  }

  /** Renamed away first, for the same reason. */
  private async takeAway(slot: Slot): Promise<void> {
    await rm(join(this.devDir, slot.name), { force: true });
    const gone = this.aside('gone');
    await rename(join(this.sysBlockDir, slot.name), gone);
    // A reader that still waits for the serial of the dying disk comes back with nothing.
    if (this.held.delete(slot.diskseq)) await (await open(join(gone, 'serial'), 'r+')).close();
    await rm(gone, { recursive: true });
  }

  private async makeBackingFile({ volumeId, size }: Disk): Promise<void> {
    const file = await open(this.backingFile(volumeId), 'a');
    try {
      const { size: present } = await file.stat();
      if (present < size) await file.truncate(size);
    } finally {
      await file.close();
    }
  }

  private async replace(path: string, text: string): Promise<void> {
    const aside = this.aside('file');
    await writeFile(aside, text);
    await rename(aside, path);
  }

  private async newBootId(): Promise<void> {
    await this.replace(join(this.procDir, 'sys/kernel/random/boot_id'), `${crypto.randomUUID()}\n`);
  }

  /** virtio-blk carries 20 bytes. */
  private serialOf({ disk }: Slot): string {
    return this.options.serials === false ? '' : disk.serial.slice(0, 20);
  }

  private selfDir(): string {
    return join(this.procDir, 'self');
  }

  private aside(what: string): string {
    this.staged += 1;
    return join(this.options.dir, `.${what}-${this.staged}`);
  }

  private async wait(ms: number | undefined): Promise<void> {
    if (ms !== undefined && ms > 0) await this.clock.sleep(ms);
  }

  private serialised<T>(work: () => Promise<T>): Promise<T> {
    const next = this.chain.then(work);
    this.chain = next.catch(() => undefined);
    return next;
  }
}

/** `/sys/block/<disk>/stat` as Linux 6.1 writes it, with one request for every 4 KiB. */
function statText(readBytes: number, writtenBytes: number): string {
  const of = (bytes: number) => [Math.ceil(bytes / 4096), 0, bytes / SECTOR, 0];
  const fields = [...of(readBytes), ...of(writtenBytes), 0, 0, 0, 0, 0, 0, 0, 0, 0];
  return `${fields.map((field) => String(field).padStart(8)).join(' ')}\n`;
}

/** A booted guest with its root disk as vda. */
export async function createSysfsGuest(options: SysfsGuestOptions): Promise<SysfsGuest> {
  const guest = new SysfsGuest(options);
  await guest.boot();
  return guest;
}
