import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '~/server/core/clock';
import type { Disk, SimulatedGuest } from './guest';
import type { Qmp } from './qmp';
import { reversed } from './slots';

/** `pc` plugs straight into its PCI bus; `q35` needs a root port per disk, made when the machine starts. */
export type MachineType = 'pc' | 'q35';

export type DiskBus = 'virtio' | 'virtio-scsi';

export interface QmpGuestOptions {
  readonly machineType: MachineType;
  /** Folder of the backing files. */
  readonly dir: string;
  /** Root ports `rp0` … of a q35 machine. */
  readonly ports: number;
}

/** A disk as it stands in the machine. */
interface Plugged {
  readonly disk: Disk;
  readonly port: number;
  readonly bus: DiskBus;
}

/**
 * How long a guest may take to give a disk back; a paused one takes for ever, and CloudStack's job fails. ms.
 */
const UNPLUG_PATIENCE_MS = 60_000;
/** virtio-blk carries this many bytes. */
const SERIAL_BYTES = 20;

/**
 * The guest of the simulated CloudStack as a real one: disks are plugged into a running QEMU through its
 * control socket. While the machine is off, plugging changes what the next boot brings. A volume's content is
 * `<dir>/<volume id>.raw`, plugged or not.
 */
export class QmpGuest implements SimulatedGuest {
  /**
   * Host time, ms since 1970, at which device_add was sent, per volume: where the measurement of a hot-plug
   * begins.
   */
  readonly pluggedAt = new Map<string, number>();
  /** The bus of the disks that are plugged from now on; virtio-scsi needs a controller `scsi`. */
  bus: DiskBus = 'virtio';
  private qmp: Qmp | null = null;
  private disks: Plugged[] = [];
  private chain: Promise<unknown> = Promise.resolve();
  /** Lets go of what waits for a machine that is being started. */
  private release = () => {};

  constructor(private readonly options: QmpGuestOptions) {}

  /** The machine has been started with `bootArguments()`. */
  connect(qmp: Qmp): void {
    this.qmp = qmp;
    this.release();
  }

  /** The machine is off. */
  disconnect(): void {
    this.qmp = null;
    this.release();
  }

  /**
   * QEMU arguments of the disks that are there when the machine starts; whoever plugs or unplugs now waits
   * until it is connected.
   */
  async bootArguments(): Promise<string[]> {
    const disks = await new Promise<readonly Plugged[]>((resolve) => {
      void this.serialised(() => {
        resolve(this.disks);
        return new Promise<void>((release) => (this.release = release));
      });
    });
    return disks.flatMap((plugged) => [
      '-blockdev',
      JSON.stringify(this.blockdev(plugged.disk)),
      '-device',
      JSON.stringify(this.device(plugged)),
    ]);
  }

  /** Another order for the next boot; the machine must be off. */
  shuffle(): void {
    if (this.qmp) throw new Error('the machine runs');
    const order = reversed(this.disks.map(({ disk }) => disk));
    const busOf = new Map(this.disks.map(({ disk, bus }) => [disk, bus]));
    this.disks = order.map((disk, port) => ({ disk, port, bus: busOf.get(disk) ?? this.bus }));
  }

  plug(disk: Disk): Promise<void> {
    return this.serialised(async () => {
      if (this.find(disk.volumeId)) throw new Error(`target of ${disk.volumeId} already exists`);
      await this.makeBackingFile(disk);
      const { qmp } = this;
      const plugged = { disk, port: this.freePort(), bus: this.bus };
      if (qmp) await this.plugInto(qmp, plugged);
      // Powered off meanwhile: the ports may have been given anew.
      this.disks.push(qmp === this.qmp ? plugged : { ...plugged, port: this.freePort() });
    });
  }

  unplug(volumeId: string): Promise<void> {
    return this.serialised(async () => {
      const plugged = this.find(volumeId);
      if (!plugged) return;
      if (this.qmp) await this.unplugFrom(this.qmp, plugged);
      this.disks = this.disks.filter((other) => other !== plugged);
    });
  }

  resize(volumeId: string, size: number): Promise<void> {
    return this.serialised(async () => {
      const plugged = this.find(volumeId);
      if (plugged && this.qmp)
        await this.qmp.run('block_resize', { 'node-name': nodeOf(plugged.disk), size });
      else await truncate(this.backingFile(volumeId), size);
      this.disks = this.disks.map((one) => (one === plugged ? { ...one, disk: { ...one.disk, size } } : one));
    });
  }

  plugged(): readonly string[] {
    return this.disks.map(({ disk }) => disk.volumeId);
  }

  /** The file that holds a volume's content. */
  backingFile(volumeId: string): string {
    return join(this.options.dir, `${volumeId}.raw`);
  }

  private async plugInto(qmp: Qmp, plugged: Plugged): Promise<void> {
    try {
      await qmp.run('blockdev-add', this.blockdev(plugged.disk));
      this.pluggedAt.set(plugged.disk.volumeId, Date.now());
      await qmp.run('device_add', this.device(plugged));
    } catch (error) {
      // Powered off meanwhile: the next boot brings the disk.
      if (this.qmp) throw error;
    }
  }

  /**
   * Asks the guest for the disk until it is gone: a guest that has just booted may not have heard the first
   * request.
   */
  private async unplugFrom(qmp: Qmp, { disk }: Plugged): Promise<void> {
    const id = deviceOf(disk);
    let gone = false;
    let wake = () => {};
    const end = qmp.onEvent(({ event, data }) => {
      if (event !== 'DEVICE_DELETED' || data.device !== id) return;
      gone = true;
      wake();
    });
    try {
      const deadline = performance.now() + UNPLUG_PATIENCE_MS;
      while (!gone) {
        if (performance.now() > deadline) throw new Error(`the guest does not give ${id} back`);
        await qmp.run('device_del', { id }).catch((error: unknown) => {
          // "already in the process of unplug": the guest has the request and is on it.
          if (!/in the process of unplug|not found/.test(String(error))) throw error;
        });
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), systemClock.sleep(5_000)]);
      }
    } finally {
      end();
    }
    await qmp.run('blockdev-del', { 'node-name': nodeOf(disk) });
  }

  private blockdev(disk: Disk): Record<string, unknown> {
    return {
      driver: 'raw',
      'node-name': nodeOf(disk),
      discard: 'unmap',
      // A power failure of the guest is no power failure of this host: its flushes need not reach our disk.
      cache: { 'no-flush': true },
      file: { driver: 'file', filename: this.backingFile(disk.volumeId) },
    };
  }

  private device({ disk, port, bus }: Plugged): Record<string, unknown> {
    if (bus === 'virtio-scsi')
      return {
        driver: 'scsi-hd',
        id: deviceOf(disk),
        drive: nodeOf(disk),
        bus: 'scsi.0',
        ...(disk.serial === '' ? {} : { serial: disk.serial }),
      };
    return {
      driver: 'virtio-blk-pci',
      id: deviceOf(disk),
      drive: nodeOf(disk),
      ...(disk.serial === '' ? {} : { serial: disk.serial.slice(0, SERIAL_BYTES) }),
      ...(this.options.machineType === 'q35' ? { bus: `rp${port}` } : {}),
    };
  }

  private find(volumeId: string): Plugged | undefined {
    return this.disks.find(({ disk }) => disk.volumeId === volumeId);
  }

  private freePort(): number {
    const taken = new Set(this.disks.map(({ port }) => port));
    for (let port = 0; port < this.options.ports; port += 1) if (!taken.has(port)) return port;
    throw new Error(`the machine has ${this.options.ports} ports, and all are taken`);
  }

  private async makeBackingFile({ volumeId, size }: Disk): Promise<void> {
    const file = await open(this.backingFile(volumeId), 'a');
    try {
      if ((await file.stat()).size < size) await file.truncate(size);
    } finally {
      await file.close();
    }
  }

  private serialised<T>(work: () => Promise<T>): Promise<T> {
    const next = this.chain.then(work);
    this.chain = next.catch(() => undefined);
    return next;
  }
}

function nodeOf(disk: Disk): string {
  // At most 31 characters.
  return `n${disk.volumeId.replaceAll('-', '').slice(0, 30)}`;
}

function deviceOf(disk: Disk): string {
  return `d${disk.volumeId.replaceAll('-', '')}`;
}
