import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderSync } from '../../core/durable-files';
import { messageOf } from '../../core/errors';
import type { Device } from '../device';
import { isVolumeSerial } from '../serial';
import { type Gaps, labelIn, readTable } from './kernel-files';

interface Places {
  /**
   * One file per disk that was exported (`markOf`): the udev rules look for it, also after a reboot, before
   * any file system but the root's is mounted.
   */
  readonly marksDir: string;
  /** `/run/udev/data` */
  readonly udevDir: string;
  /** Where udev reads rules. */
  readonly rulesDirs: readonly string[];
  /** `/proc/cmdline` */
  readonly cmdline: string;
}

const RULES = '59-volume-daemon.rules';

/** Whether the tools of this system keep their hands off the disks that are exported. */
export interface HandsOffState {
  readonly answer: 'yes' | 'no' | 'unknown';
  readonly reason: string;
}

const SECTOR_BYTES = 512;

/**
 * What the udev rules know a disk by: its serial, or on Xen, which has none, its place and size. Null: the
 * rules have no way to know it again.
 */
function markOf({ serial, bus, controller, size }: Device): string | null {
  if (bus === 'xen' && serial === null && controller !== null) return `${controller}-${size / SECTOR_BYTES}`;
  return serial !== null && isVolumeSerial(serial) ? serial : null;
}

/**
 * The daemon's part in keeping LVM, md, udisks and others away from migrated disks: it names the
 * exported disks to the udev rules of the package and looks whether the rules have worked. It never
 * deactivates anything.
 */
export class HandsOff {
  /** Marks that could not be set, and why. */
  private readonly unnamed = new Map<string, string>();

  constructor(private readonly places: Places) {}

  /** From now on this disk is a migrated one, until it is unplugged. Never throws: `state` tells. */
  keep(device: Device): void {
    const mark = markOf(device);
    if (mark !== null) this.set(mark);
  }

  /**
   * Drops the marks of disks that are not among these any more: nothing else ends one, because a migrated
   * disk stays one when its export is withdrawn. While the serial of any disk is not known, none is dropped:
   * it may be that disk's. Should it come back, it is plugged in again, which is reason enough for the rules:
   * a mark that cannot be removed does no harm. One that could not be set is set now. Never throws.
   */
  dropUnplugged(devices: readonly Device[]): void {
    if (devices.some(({ serialState }) => serialState === 'pending' || serialState === 'unreadable')) return;
    const plugged = new Set(devices.map(markOf));
    for (const mark of this.unnamed.keys()) {
      if (plugged.has(mark)) this.set(mark);
      else this.unnamed.delete(mark);
    }
    try {
      for (const mark of this.marks())
        if (!plugged.has(mark)) rmSync(join(this.places.marksDir, mark), { force: true });
    } catch {
      // They stay.
    }
  }

  /** Of the exported disks among these. Reads a small file per disk. */
  state(devices: readonly Device[]): HandsOffState {
    const { udevDir, rulesDirs } = this.places;
    if (!existsSync(udevDir)) return { answer: 'unknown', reason: 'udev does not run here' };
    if (!rulesDirs.some((dir) => existsSync(join(dir, RULES))))
      return { answer: 'no', reason: `${RULES} of the package is not installed` };
    const [trouble] = this.unnamed.values();
    if (trouble !== undefined)
      return { answer: 'no', reason: `an exported disk could not be named to udev: ${trouble}` };
    let marks: ReadonlySet<string>;
    try {
      marks = new Set(this.marks());
    } catch (error) {
      return { answer: 'unknown', reason: messageOf(error) };
    }
    const exported = devices.filter((device) => marks.has(markOf(device) ?? ''));
    const gaps: Gaps = [];
    const touched = exported.filter(({ dev }) => {
      const known = readTable(join(udevDir, `b${dev ?? ''}`), gaps) ?? '';
      // 0: the rules have found it on the list of own disks.
      return !/^E:VOLUME_DAEMON_HANDS_OFF=[01]$/m.test(known);
    });
    const [gap] = gaps;
    if (gap !== undefined) return { answer: 'unknown', reason: gap };
    if (touched.length === 0) {
      const risk = exported.length === 0 ? '' : this.bootRisk();
      return { answer: 'yes', reason: `${exported.length} exported disk(s) are left alone${risk}` };
    }
    const names = touched.map(({ path }) => path).join(', ');
    const reason = `${names}: plugged in before the rules were there; udevadm trigger --action=change applies them`;
    return { answer: 'no', reason };
  }

  /**
   * What finds `/` at a boot reads no rules of ours. A machine that was made from the same image has its
   * UUIDs and labels, and the last disk with them may be taken. The last `root=` counts.
   */
  private bootRisk(): string {
    const root = [...labelIn(this.places.cmdline).matchAll(/(?:^|\s)root=(\S+)/g)].at(-1)?.[1] ?? '';
    return /^(UUID|LABEL|PARTUUID|PARTLABEL)=/.test(root)
      ? `; but at a boot this system looks for root=${root.slice(0, 64)} on all disks, and that of a machine made from the same image has it as well: see "Whose disks" in docs/guides/install.md`
      : '';
  }

  private marks(): string[] {
    return existsSync(this.places.marksDir) ? readdirSync(this.places.marksDir) : [];
  }

  private set(mark: string): void {
    try {
      const path = join(this.places.marksDir, mark);
      // A file system that has become read-only has kept it.
      if (!existsSync(path)) {
        makeFolderSync(this.places.marksDir);
        writeFileSync(path, '');
      }
      this.unnamed.delete(mark);
    } catch (error) {
      this.unnamed.set(mark, messageOf(error));
    }
  }
}
