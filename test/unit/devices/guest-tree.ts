import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ClientState } from '~/server/devices/device';
import { BOOT } from './worlds';

export interface DiskFiles {
  /** 512-byte sectors. */
  readonly sectors?: number | string;
  readonly serial?: string | null;
  readonly diskseq?: number | null;
  readonly dev?: string;
  readonly controller?: string;
}

/** A page of vital product data as a SCSI disk gives it. */
export function page(code: number, body: Buffer): Buffer {
  const header = Buffer.from([0, code, 0, 0]);
  header.writeUInt16BE(body.length, 2);
  return Buffer.concat([header, body]);
}

/** Folders with the shape of /sys/block, /dev, /proc and /sys/class/dmi/id. */
export class GuestTree {
  readonly root = mkdtempSync(join(tmpdir(), 'guest-'));
  readonly sysBlockDir = join(this.root, 'sys');
  readonly devDir = join(this.root, 'dev');
  readonly procDir = join(this.root, 'proc');
  readonly dmiDir = join(this.root, 'dmi');
  readonly etcDir = join(this.root, 'etc');
  /** Nobody, unless a test says otherwise. */
  exportClients = async (): Promise<ReadonlyMap<string, ClientState>> => new Map();
  private staged = 0;

  constructor() {
    for (const dir of [this.sysBlockDir, this.devDir, this.procDir, this.dmiDir]) mkdirSync(dir);
    this.write('proc/sys/kernel/random/boot_id', `${BOOT}\n`);
    this.write('proc/self/mountinfo', '');
  }

  write(path: string, text: string | Buffer): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }

  link(path: string, target: string): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    symlinkSync(target, full);
  }

  /** The folder appears at once, as in sysfs. */
  plug(name: string, files: DiskFiles = {}): void {
    const {
      sectors = 2048,
      serial = 'serial-of-the-disk',
      diskseq = 7,
      dev = '253:16',
      controller = 'virtio4',
    } = files;
    this.staged += 1;
    const stage = `staged/${this.staged}`;
    this.write(`${stage}/size`, `${sectors}\n`);
    this.write(`${stage}/dev`, `${dev}\n`);
    if (diskseq !== null) this.write(`${stage}/diskseq`, `${diskseq}\n`);
    if (serial !== null) this.write(`${stage}/serial`, serial);
    this.link(`${stage}/device`, `../../devices/pci0000:00/${controller}`);
    renameSync(join(this.root, stage), join(this.sysBlockDir, name));
    this.write(`dev/${name}`, '');
  }

  unplug(name: string): void {
    this.staged += 1;
    // Kept aside: sysfs numbers its folders in sequence, so the next one must not get this inode number.
    renameSync(join(this.sysBlockDir, name), join(this.root, `grave-${this.staged}`));
    rmSync(join(this.devDir, name), { force: true });
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
