import type { Disk } from '~/lab/guest/guest';
import { MemoryGuest, type MemoryGuestOptions } from '~/lab/guest/memory-guest';
import type { Holder } from '~/server/devices/device';

/** From when to when somebody used a disk, virtual ms. */
export interface Use {
  readonly volumeId: string;
  readonly holder: Holder;
  readonly from: number;
  to: number | null;
}

export interface SimulatedGuestOptions extends MemoryGuestOptions {
  /** ms until the serial of a new disk can be read; null = at once. */
  readonly serialDelay: (() => number) | null;
  readonly later: (ms: number, work: () => void) => void;
  /** Whether a disk that is plugged now gets a serial. */
  readonly givesSerials: () => boolean;
}

/**
 * The memory guest, remembering which plug of which disk was shown under which identity: the truth that
 * mappings are held to.
 */
export class SimulatedGuest extends MemoryGuest {
  /** Grows with every change of what is plugged. */
  version = 0;
  /** Virtual time of the last change. */
  changedAt = 0;
  /** `<boot id> <diskseq>` → volume id, of everything that a look has ever shown. */
  private readonly shown = new Map<string, string>();
  /** Who has used which disk. */
  readonly uses: Use[] = [];
  /** It reboots: nobody can begin to use a disk. */
  private isDown = false;
  /** Volume → bytes of its disk here. */
  private readonly sizes = new Map<string, number>();

  constructor(private readonly simulated: SimulatedGuestOptions) {
    super(simulated);
  }

  override async plug(disk: Disk): Promise<void> {
    await super.plug(this.simulated.givesSerials() ? disk : { ...disk, serial: '' });
    this.sizes.set(disk.volumeId, disk.size);
    this.changed();
    const { serialDelay, later } = this.simulated;
    if (serialDelay) later(serialDelay(), () => this.releaseSerial(disk.volumeId));
  }

  override async unplug(volumeId: string): Promise<void> {
    await super.unplug(volumeId);
    this.changed();
  }

  override surpriseUnplug(volumeId: string): void {
    super.surpriseUnplug(volumeId);
    this.changed();
  }

  override async resize(volumeId: string, size: number): Promise<void> {
    await super.resize(volumeId, size);
    this.sizes.set(volumeId, size);
    this.changed();
  }

  override async reboot(options: Parameters<MemoryGuest['reboot']>[0] = {}): Promise<void> {
    for (const use of this.uses) use.to ??= this.simulated.clock.monotonic();
    this.isDown = true;
    await super.reboot(options);
    this.isDown = false;
  }

  /** Bytes of the disk of a volume, as it was plugged last or resized since. */
  sizeOf(volumeId: string): number {
    return this.sizes.get(volumeId) ?? 0;
  }

  /**
   * Somebody uses the disk of the volume, also when it comes later, until the returned function is called.
   */
  use(volumeId: string, holder: Holder): () => void {
    if (this.isDown) return () => {};
    const { clock } = this.simulated;
    const use: Use = { volumeId, holder, from: clock.monotonic(), to: null };
    const show = () =>
      this.hold(
        volumeId,
        this.usesOf(volumeId).map((one) => one.holder),
      );
    this.uses.push(use);
    show();
    return () => {
      use.to ??= clock.monotonic();
      show();
    };
  }

  /** Who uses the disk of the volume now. */
  usesOf(volumeId: string): Use[] {
    return this.uses.filter((use) => use.volumeId === volumeId && use.to === null);
  }

  changed(): void {
    this.version += 1;
    this.changedAt = this.simulated.clock.monotonic();
  }

  override async look(): ReturnType<MemoryGuest['look']> {
    const seen = await super.look();
    const byPath = this.volumesByPath();
    for (const { path, diskseq } of seen.devices) {
      const volumeId = byPath.get(path);
      if (volumeId !== undefined) this.shown.set(`${seen.bootId} ${diskseq}`, volumeId);
    }
    return seen;
  }

  /** Whose disk was shown under this identity; null when nobody's. */
  volumeOf(bootId: string | null, diskseq: number | null): string | null {
    return this.shown.get(`${bootId} ${diskseq}`) ?? null;
  }

  /** Device path → volume, of what is plugged now. */
  volumesByPath(): Map<string, string> {
    const paths = new Map<string, string>();
    for (const volumeId of this.plugged()) paths.set(this.devicePath(volumeId) ?? '', volumeId);
    return paths;
  }
}
