import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import type { Device } from '../device';
import { isVolumeSerial, serialNames } from '../serial';
import { type Gaps, readTable } from './kernel-files';

interface Places {
  /** One file per exported disk, named after its serial: the udev rules look for it, also after a reboot. */
  readonly marksDir: string;
  /** `/run/udev/data` */
  readonly udevDir: string;
  /** Where udev reads rules. */
  readonly rulesDirs: readonly string[];
}

const RULES = '59-volume-daemon.rules';

/** Whether the tools of this system keep their hands off the disks that are exported. */
export interface HandsOffState {
  readonly answer: 'yes' | 'no' | 'unknown';
  readonly reason: string;
}

/**
 * The daemon's part in keeping LVM, md, udisks and others away from migrated disks: it names the exported disks
 * to the udev rules of the package and looks whether the rules have worked. It never deactivates anything.
 */
export class HandsOff {
  /** Why the last mark could not be set; null when it could. */
  private trouble: string | null = null;

  constructor(private readonly places: Places) {}

  /** From now on the disk with this serial is a migrated one. Never throws: `state` tells. */
  keep(serial: string | null): void {
    if (serial === null || !isVolumeSerial(serial)) return;
    this.change(() => {
      mkdirSync(this.places.marksDir, { recursive: true });
      writeFileSync(join(this.places.marksDir, serial), '');
    });
  }

  /** Ends that for the disk of this volume. Never throws. */
  drop(volumeId: string): void {
    this.change(() => {
      for (const serial of this.marks())
        if (serialNames(volumeId, serial)) rmSync(join(this.places.marksDir, serial), { force: true });
    });
  }

  /** Of the exported disks among these. Reads a small file per disk. */
  state(devices: readonly Device[]): HandsOffState {
    const { udevDir, rulesDirs } = this.places;
    if (!existsSync(udevDir)) return { answer: 'unknown', reason: 'udev does not run here' };
    if (!rulesDirs.some((dir) => existsSync(join(dir, RULES))))
      return { answer: 'no', reason: `${RULES} of the package is not installed` };
    if (this.trouble !== null)
      return { answer: 'no', reason: `an exported disk could not be named to udev: ${this.trouble}` };
    const marks = new Set(this.marks());
    const exported = devices.filter(({ serial }) => serial !== null && marks.has(serial));
    const gaps: Gaps = [];
    const touched = exported.filter(({ dev }) => {
      const known = readTable(join(udevDir, `b${dev ?? ''}`), gaps) ?? '';
      return !/^E:VOLUME_DAEMON_HANDS_OFF=1$/m.test(known);
    });
    const [gap] = gaps;
    if (gap !== undefined) return { answer: 'unknown', reason: gap };
    if (touched.length === 0)
      return { answer: 'yes', reason: `${exported.length} exported disk(s) are left alone` };
    const names = touched.map(({ path }) => path).join(', ');
    const reason = `${names}: plugged in before the rules were there; udevadm trigger --action=change applies them`;
    return { answer: 'no', reason };
  }

  private marks(): string[] {
    return existsSync(this.places.marksDir) ? readdirSync(this.places.marksDir) : [];
  }

  private change(work: () => void): void {
    try {
      work();
      this.trouble = null;
    } catch (error) {
      this.trouble = messageOf(error);
    }
  }
}
