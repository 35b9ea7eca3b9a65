import type { Disk } from '~/lab/guest/guest';
import { MemoryGuest, type MemoryGuestOptions } from '~/lab/guest/memory-guest';
import type { Device } from '~/server/devices/device';

export interface SimulatedGuestOptions extends MemoryGuestOptions {
  /** ms until the serial of a new disk can be read; null = at once. */
  readonly serialDelay: (() => number) | null;
  readonly later: (ms: number, work: () => void) => void;
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

  constructor(private readonly simulated: SimulatedGuestOptions) {
    super(simulated);
  }

  override async plug(disk: Disk): Promise<void> {
    await super.plug(disk);
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

  changed(): void {
    this.version += 1;
    this.changedAt = this.simulated.clock.monotonic();
  }

  override async look(): Promise<{ bootId: string; devices: Device[] }> {
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
