import { mkdir, readlink, rename, stat, symlink, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { deviceNumber } from '../devices/holders';
import { DaemonError, messageOf } from '../runtime/errors';
import { namesIn } from './files';

/**
 * The per-volume links: `<run dir>/exports/<export name>` → `/dev/vdX`. An export server opens its target anew for every client, so
 * the link decides which disk the next client gets, and without a link nobody gets any (docs/exports.md).
 */
export class ExportLinks {
  readonly folder: string;

  constructor(
    runDir: string,
    private readonly devDir: string,
  ) {
    this.folder = join(runDir, 'exports');
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Where the link leads; null when there is none, or when it leads outside the device folder (then it counts as none). */
  async read(name: string): Promise<string | null> {
    const target = await readlink(this.path(name)).catch(() => null);
    return target !== null && dirname(target) === this.devDir ? target : null;
  }

  /** Points the link at a device, atomically. The node must be the block device that sysfs spoke of. */
  async point(name: string, devicePath: string, dev: string | null): Promise<void> {
    await this.check(devicePath, dev);
    const temporary = join(this.folder, `.${name}.new`);
    try {
      await mkdir(this.folder, { recursive: true });
      await unlink(temporary).catch(() => undefined);
      await symlink(devicePath, temporary);
      await rename(temporary, this.path(name));
    } catch (error) {
      throw new DaemonError(
        'EXPORT_CONFIG_FAILED',
        `The export link ${this.path(name)} could not be made: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await unlink(this.path(name));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
      throw new DaemonError(
        'EXPORT_CONFIG_FAILED',
        `The export link ${this.path(name)} could not be removed: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  async names(): Promise<string[]> {
    return (await namesIn(this.folder)).filter((name) => !name.startsWith('.'));
  }

  /** On a real machine the node must be a block device with the number sysfs gave; only a laboratory has files instead. */
  private async check(devicePath: string, dev: string | null): Promise<void> {
    if (dirname(devicePath) !== this.devDir)
      throw mismatch(devicePath, `it is not directly inside ${this.devDir}`);
    const status = await stat(devicePath, { bigint: true }).catch((error: unknown) => {
      throw mismatch(devicePath, messageOf(error));
    });
    if (this.devDir !== '/dev') return;
    if (!status.isBlockDevice()) throw mismatch(devicePath, 'it is not a block device');
    if (dev !== null && deviceNumber(status.rdev) !== dev)
      throw mismatch(devicePath, `the node is ${deviceNumber(status.rdev)}, the device is ${dev}`);
  }
}

function mismatch(devicePath: string, reason: string): DaemonError {
  return new DaemonError('DEVICE_IDENTITY_MISMATCH', `${devicePath} is not exported: ${reason}`, {
    details: { device_path: devicePath },
  });
}
