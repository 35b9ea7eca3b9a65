import { link, lstat, readFile, readlink, rename, stat, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder, namesIn } from '../core/durable-files';
import { messageOf } from '../core/errors';
import { hasCode } from '../core/has-code';
import { deviceNumber } from '../devices/sysfs/block-target';
import { parseMountinfo } from '../devices/sysfs/mounts';
import { nodeKey } from '../devices/sysfs/process-table';
import { deviceIn, SECOND_NAMES } from '../devices/sysfs/second-names';
import { volumeIdOf } from '../model/export-name';
import { configFailed, notTheDevice } from './export-errors';
import type { ExportTarget } from './export-server';

const REAL_DEVICES = '/dev';

/** Where links are made, and what they may lead to. */
export interface Places {
  readonly runDir: string;
  readonly devDir: string;
  /** Which plug of the disk a device of this name is now; null where the kernel does not count plugs. */
  readonly diskseq: (deviceName: string) => number | null;
}

/** What of a target says which disk it is. */
type Disk = Pick<ExportTarget, 'devicePath' | 'dev' | 'diskseq'>;

/**
 * The per-volume links `<run dir>/exports/<export name>` → `<run dir>/plugs/<diskseq>.vdX.<export name>` →
 * `/dev/vdX`. The server opens them for every client anew, so they decide which disk the next client gets;
 * without them nobody gets one. The second one is named after the plug, a number that is given once: whoever
 * sees the disk leave can remove it, whatever leads where by then, and a udev rule does so also while the
 * daemon hangs or does not run. Where plugs are not numbered there is the first one only, which leads to the
 * disk (docs/reference/exports.md).
 *
 * Where the kernel itself makes the nodes (devtmpfs), the second link leads to
 * `/dev/volume-daemon/<its own name>`, a second name (hard link) of the disk's node: when the disk leaves,
 * the kernel takes all rights from its node, whatever it is called, before another disk can get the letter,
 * and that one gets a node of its own. So a server without CAP_DAC_OVERRIDE cannot open the next disk under
 * the old export, not even before anybody has seen the disk leave.
 */
export class ExportLinks {
  /** Of exports that can be written. */
  readonly writable: string;
  /** Of exports that cannot, for servers that decide by the folder; the same folder for others. */
  readonly readOnly: string;

  /** Of a server before this one that decided by the folder; null: this one does. */
  private readonly abandoned: string | null;
  /** Nothing is served from it. */
  private readonly plugs: string;
  /** Does the kernel make the nodes, and end all their names with the disk? null: not looked at yet. */
  private isOfKernel: boolean | null = null;
  /** Why the last second name could not be made; null: it could. The next publish tries again. */
  private refusal: string | null = null;

  constructor(
    private readonly places: Places,
    { apart }: { readonly apart: boolean },
  ) {
    const readOnly = join(places.runDir, 'exports-read-only');
    this.writable = join(places.runDir, 'exports');
    this.readOnly = apart ? readOnly : this.writable;
    this.abandoned = apart ? null : readOnly;
    this.plugs = join(places.runDir, 'plugs');
  }

  path({ name, readOnly = false }: { readonly name: string; readonly readOnly?: boolean }): string {
    return join(readOnly ? this.readOnly : this.writable, name);
  }

  /**
   * Where the link was made to lead, also when that disk has left; null when there is none, or when it leads
   * outside the device folder.
   */
  async read(name: string): Promise<string | null> {
    return (await this.follow(this.path({ name }))) ?? this.follow(this.path({ name, readOnly: true }));
  }

  /**
   * The plug (diskseq) for which the link was made; null when there is none, or when it leads to the disk
   * itself.
   */
  async plug(name: string): Promise<number | null> {
    const [plug] = await this.plugsOf(name);
    const [number] = /^\d+/.exec(basename(plug ?? '')) ?? [];
    return number === undefined ? null : Number(number);
  }

  /** Does the link that there is lie in a folder of exports that cannot be written? */
  async isReadOnly(name: string): Promise<boolean> {
    return (await this.follow(this.path({ name }))) === null && (await this.read(name)) !== null;
  }

  /** Does the export exist already, as it should be? */
  async isRight(target: ExportTarget): Promise<boolean> {
    const plug = this.plugOf(target);
    if (!(await this.leadsTo(target))) return false;
    return plug === null || (await textOf(plug)) === (await this.nodeOf(plug, target));
  }

  /**
   * Does the export exist already, and lead to this disk? An earlier version may have made it in another way.
   */
  async leadsTo(target: ExportTarget): Promise<boolean> {
    const plug = this.plugOf(target);
    const text = await textOf(this.path(target));
    if (plug === null) return text === target.devicePath;
    return text === plug && (await isSameNode(plug, target.devicePath));
  }

  /**
   * Verifies the device and points the link at it, atomically. Returns and throws as `verify`;
   * EXPORT_CONFIG_FAILED when the link cannot be made.
   */
  async point(target: ExportTarget): Promise<string> {
    const { name, devicePath, readOnly = false } = target;
    let node = await this.verify(target);
    const path = this.path(target);
    const plug = this.plugOf(target);
    const before = await this.plugsOf(name);
    if (plug !== null) {
      // Somebody has seen the disk leave: a link that leads there still must not come to life again.
      if (before.includes(plug) && !(await isSameNode(plug, devicePath))) await this.remove(name);
      const leadsTo = (await this.nameNode(plug, devicePath)) ?? devicePath;
      await this.makePlug(plug, leadsTo).catch(configFailed(plug, 'made'));
      // Whoever removes it when the disk leaves may have done so before it was there: that
      // disk has gone by now.
      node = await this.verify(target).catch(async (error: unknown) => {
        await this.removePlug(plug);
        throw error;
      });
      if (!(await isSameNode(leadsTo, devicePath)))
        throw notTheDevice(devicePath, 'another disk took its place meanwhile');
    }
    // Made where nothing is served from: a crash may leave it there, and it leads to whatever
    // disk gets the letter.
    const temporary = join(this.places.runDir, `.${name}.new`);
    const make = async () => {
      await symlink(plug ?? devicePath, temporary);
      // First the other one, so that an export is never both.
      if (this.path({ name, readOnly: !readOnly }) !== path)
        await unlinkIfThere(this.path({ name, readOnly: !readOnly }));
      await rename(temporary, path);
    };
    try {
      await make().catch(async () => {
        // Nobody has made the folder yet, or this was left behind.
        await unlinkIfThere(temporary);
        await makeFolder(dirname(path));
        await make();
      });
      for (const left of before) if (left !== plug) await this.removePlug(left);
      return node;
    } catch (error) {
      return configFailed(path, 'made')(error);
    }
  }

  /** Removes the link; a missing one is fine. Throws EXPORT_CONFIG_FAILED. */
  async remove(name: string): Promise<void> {
    const plugs = await this.plugsOf(name);
    await unlinkIfThere(this.path({ name }));
    await unlinkIfThere(this.path({ name, readOnly: true }));
    for (const plug of plugs) await this.removePlug(plug);
  }

  /**
   * Why the kernel does not end the exports of a disk that leaves, for people; null: it does. `isMendable`:
   * it would, if the names could be made. A laboratory has nothing to say.
   */
  async withoutSecondNames(): Promise<{ readonly reason: string; readonly isMendable: boolean } | null> {
    if (this.places.devDir !== REAL_DEVICES) return null;
    const reason = (await this.canNameNodes())
      ? this.refusal
      : `${REAL_DEVICES} is not the kernel's own (devtmpfs)`;
    return reason === null ? null : { reason, isMendable: this.refusal !== null };
  }

  /** Names of our exports that have a link. */
  async names(): Promise<string[]> {
    const names = await Promise.all(this.folders().map(entries));
    return names.flat().filter((name) => volumeIdOf(name) !== null);
  }

  /**
   * Whoever holds the socket: without its folder each nbdkit ends before it greets, and only a greeting lets
   * the first link be made. After a boot nobody else has made them: they are in /run. Throws
   * EXPORT_CONFIG_FAILED.
   */
  async makeFolders(): Promise<void> {
    for (const folder of this.folders()) await makeFolder(folder).catch(configFailed(folder, 'made'));
  }

  /**
   * At start: removes leftovers of a crash, links out of the device folder or to nothing, and whatever is no
   * link. Links to existing devices stay: a client may reconnect at any moment, and sync checks them. Not
   * those of a folder that nobody looks at any more.
   */
  async sweep(): Promise<string[]> {
    const removed: string[] = [];
    for (const folder of [...this.folders(), ...(this.abandoned === null ? [] : [this.abandoned])]) {
      for (const name of await entries(folder)) {
        const path = join(folder, name);
        const device =
          folder === this.abandoned || volumeIdOf(name) === null ? null : await this.follow(path);
        if (device !== null && (await isSameNode(path, device))) continue;
        if ((await lstat(path).catch(() => null))?.isDirectory()) continue;
        await unlinkIfThere(path);
        removed.push(name);
      }
    }
    await this.sweepPlugs();
    return removed;
  }

  /**
   * Is this the node of that device, in the plug that was verified? Directly inside the device folder, and on
   * a real machine a block device of that number; only a laboratory has files. Returns what tells the node
   * from every other one (`nodeKey`). Throws DEVICE_IDENTITY_MISMATCH.
   */
  async verify({ devicePath, dev, diskseq }: Disk): Promise<string> {
    if (!this.isDevicePath(devicePath))
      throw notTheDevice(devicePath, `it is not directly inside ${this.places.devDir}`);
    // lstat: a node that is itself a link could be turned round after this check.
    const node = await lstat(devicePath, { bigint: true }).catch((error: unknown) => {
      throw notTheDevice(devicePath, messageOf(error));
    });
    if (node.isSymbolicLink()) throw notTheDevice(devicePath, 'it is a link');
    const plug = this.places.diskseq(basename(devicePath));
    if (diskseq !== null && plug !== null && plug !== diskseq)
      throw notTheDevice(
        devicePath,
        `another disk was plugged there (diskseq ${plug} instead of ${diskseq})`,
      );
    // Its plug was numbered when it was verified: a kernel that shows none any more has no disk there.
    if (diskseq !== null && plug === null) throw notTheDevice(devicePath, 'the disk has left');
    if (this.places.devDir !== REAL_DEVICES) return nodeKey(node);
    if (!node.isBlockDevice()) throw notTheDevice(devicePath, 'it is not a block device');
    if (dev !== null && deviceNumber(node.rdev) !== dev)
      throw notTheDevice(devicePath, `the node is ${deviceNumber(node.rdev)}, the device is ${dev}`);
    return nodeKey(node);
  }

  /**
   * The device that this link names, by itself or by the name of a plug; null when it is none, or leads out
   * of the device folder.
   */
  async follow(path: string): Promise<string | null> {
    const text = await textOf(path);
    const device = text !== null && this.isPlug(text) ? this.deviceOf(text) : text;
    return device !== null && this.isDevicePath(device) ? device : null;
  }

  /**
   * The link between export and disk, of which there is one for each plug of a disk; null:
   * plugs are not numbered.
   */
  private plugOf({ name, devicePath, diskseq }: ExportTarget): string | null {
    return diskseq === null ? null : join(this.plugs, `${diskseq}.${basename(devicePath)}.${name}`);
  }

  private deviceOf(plug: string): string | null {
    const device = deviceIn(plug);
    return device === '' ? null : join(this.places.devDir, device);
  }

  private isPlug(path: string): boolean {
    return path === join(this.plugs, basename(path));
  }

  /** Those that the links of this export lead through. */
  private async plugsOf(name: string): Promise<string[]> {
    const paths = new Set([this.path({ name }), this.path({ name, readOnly: true })]);
    const texts = await Promise.all([...paths].map(textOf));
    return texts.flatMap((text) => (text !== null && this.isPlug(text) ? [text] : []));
  }

  private async makePlug(plug: string, node: string): Promise<void> {
    if ((await textOf(plug)) === node) return;
    await makeFolder(this.plugs);
    const temporary = `${plug}.new`;
    await unlinkIfThere(temporary);
    await symlink(node, temporary);
    // At once: an earlier version has let it lead to the disk, and clients come meanwhile.
    await rename(temporary, plug);
  }

  /**
   * The second name of the node, made where it is not there; null where that is not possible. It names a
   * plug, so it is never turned to another node: an export may lead there. Throws DEVICE_IDENTITY_MISMATCH.
   */
  private async nameNode(plug: string, devicePath: string): Promise<string | null> {
    if (!(await this.canNameNodes())) return null;
    const path = secondName(plug);
    try {
      if (!(await isSameNode(path, devicePath))) {
        await makeFolder(SECOND_NAMES);
        await link(devicePath, path);
      }
      this.refusal = null;
      return path;
    } catch (error) {
      if (hasCode(error, 'EEXIST', 'ENOENT')) throw notTheDevice(devicePath, 'the disk has left');
      this.refusal = messageOf(error);
      return null;
    }
  }

  /** Where the second link is to lead. */
  private async nodeOf(plug: string, { devicePath }: ExportTarget): Promise<string> {
    return (await this.canNameNodes()) ? secondName(plug) : devicePath;
  }

  private async canNameNodes(): Promise<boolean> {
    this.isOfKernel ??= this.places.devDir === REAL_DEVICES && (await isKernelsOwn(REAL_DEVICES));
    return this.isOfKernel;
  }

  private async removePlug(plug: string): Promise<void> {
    await unlinkIfThere(plug);
    // Nothing leads there any more: one that stays gives nobody anything, and ends with its disk.
    if (this.places.devDir === REAL_DEVICES) await unlink(secondName(plug)).catch(() => {});
  }

  /**
   * Those that no export leads through: of a crash, or of a disk that has left where no udev rule removes
   * them.
   */
  private async sweepPlugs(): Promise<void> {
    const used = new Set((await Promise.all((await this.names()).map((name) => this.plugsOf(name)))).flat());
    for (const name of await entries(this.plugs)) {
      const plug = join(this.plugs, name);
      if (!used.has(plug)) await this.removePlug(plug);
    }
  }

  private folders(): string[] {
    return [...new Set([this.writable, this.readOnly])];
  }

  private isDevicePath(path: string): boolean {
    return path === join(this.places.devDir, basename(path));
  }
}

const secondName = (plug: string) => join(SECOND_NAMES, basename(plug));

/** Do both lead to the same node, and is it there? */
async function isSameNode(path: string, other: string): Promise<boolean> {
  const nodes = [path, other].map((one) => stat(one, { bigint: true }).then(nodeKey, () => null));
  const [first, second] = await Promise.all(nodes);
  return first != null && first === second;
}

/**
 * Does the kernel make the nodes in this folder, and end them with their disks? A container
 * has nodes of its own.
 */
async function isKernelsOwn(folder: string): Promise<boolean> {
  const mounts = parseMountinfo(await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
  return mounts.findLast(({ target }) => target === folder)?.type === 'devtmpfs';
}

/** What a link says; null when it is none. */
const textOf = (path: string) => readlink(path).catch(() => null);

async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (!hasCode(error, 'ENOENT')) configFailed(path, 'removed')(error);
  });
}

const entries = (folder: string) => namesIn(folder).catch(configFailed(folder, 'read'));
