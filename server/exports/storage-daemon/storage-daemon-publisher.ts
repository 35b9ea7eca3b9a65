import { basename } from 'node:path';
import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { notTheDevice, unhealthy } from '../export-errors';
import { type ExportLinks, isBlockDevice } from '../export-links';
import type { ExportTarget } from '../export-server';
import { complaint, isRight } from '../judge-probe';
import type { Probes } from '../protocol/probes';
import {
  nodeName,
  persist,
  refusalOf,
  type StorageDaemonCommands,
  type StorageDaemonMonitor,
  type StorageExport,
} from './storage-daemon-monitor';
import type { StorageDaemonProcess } from './storage-daemon-process';

interface PublisherParts {
  readonly links: ExportLinks;
  readonly monitor: StorageDaemonMonitor;
  readonly process: StorageDaemonProcess;
  readonly probes: Probes;
  /** Which plug of a disk a device name is at the moment; null when the kernel does not count. */
  readonly diskseq: (deviceName: string) => number | null;
  readonly clock: Clock;
}

/** Opens disks in the running qemu-storage-daemon and offers them, and takes them away again. */
export class StorageDaemonPublisher {
  constructor(private readonly parts: PublisherParts) {}

  /** Changes nothing when it is right. QmpError, EXPORT_SERVER_UNHEALTHY, DEVICE_IDENTITY_MISMATCH. */
  async publish(target: ExportTarget): Promise<void> {
    const { monitor, probes } = this.parts;
    const { name, volumeId } = target;
    const { found, open } = await monitor.talk((commands) => commands.state(name, volumeId));
    if (found && (await this.isOfSameDisk(found, target)) && !found.shuttingDown) {
      if (isRight(await probes.probe(name), target)) return;
    }
    if (open) await this.remove(name, volumeId, false, target);
    await monitor.talk((commands) => this.add(commands, target));
    const seen = await probes.probe(name);
    if (isRight(seen, target)) return;
    await this.remove(name, volumeId, true);
    throw unhealthy(complaint(target, seen));
  }

  /** Is the device still the one that the caller verified? Throws DEVICE_IDENTITY_MISMATCH. */
  async verify({ devicePath, dev, diskseq }: ExportTarget): Promise<void> {
    await this.parts.links.verify(devicePath, dev);
    const now = this.parts.diskseq(basename(devicePath));
    if (diskseq !== undefined && diskseq !== null && now !== diskseq)
      throw notTheDevice(devicePath, `diskseq is ${now ?? 'unknown'}, the disk of the volume had ${diskseq}`);
  }

  /**
   * Takes the export away and closes the disk. Clients of a disk that is still plugged are cut only by
   * `force`: without it they are a reason to refuse. Throws QmpError, EXPORT_SERVER_UNHEALTHY.
   */
  async remove(
    name: string,
    volumeId: string,
    force: boolean,
    next: ExportTarget | null = null,
  ): Promise<void> {
    const { clock, monitor, probes } = this.parts;
    await probes.without(() =>
      monitor.talk(async (commands) => {
        const { found, open } = await commands.state(name, volumeId);
        if (found) {
          const mode = force || !(await this.isPlugged(found, next)) ? 'hard' : 'safe';
          const refusal = await persist(clock, LIMITS.EXPORT_CLIENT_LINGER_MS, () =>
            commands.withhold(found.id, mode),
          );
          if (refusal !== null)
            throw unhealthy(
              `export ${name} has a connected client (${refusal}); qemu-storage-daemon cannot withdraw it without cutting it off`,
            );
        }
        if (!open) return;
        const node = found?.node ?? nodeName(volumeId);
        const refusal = await persist(clock, LIMITS.EXPORT_RELOAD_SETTLE_MS, () => commands.close(node));
        if (refusal !== null) throw unhealthy(`the disk of export ${name} is still held: ${refusal}`);
      }),
    );
  }

  /** Nobody can read the disk before it has been verified once more with the server holding it. */
  private async add(commands: StorageDaemonCommands, target: ExportTarget): Promise<void> {
    const { name, volumeId, devicePath } = target;
    await commands.open(volumeId, devicePath, await isBlockDevice(devicePath));
    try {
      await this.verify(target);
      if ((await this.parts.process.holdsOpen(devicePath)) === false)
        throw notTheDevice(devicePath, 'qemu-storage-daemon has opened another disk');
      await commands.offer(name, volumeId, this.plugOf(target));
    } catch (error) {
      await refusalOf(commands.close(nodeName(volumeId)));
      throw error;
    }
  }

  private plugOf(target: ExportTarget): number | null {
    return target.diskseq ?? this.parts.diskseq(basename(target.devicePath));
  }

  private async isOfSameDisk(existing: StorageExport, target: ExportTarget): Promise<boolean> {
    return (
      existing.path === target.devicePath &&
      existing.diskseq === this.plugOf(target) &&
      (await this.parts.process.holdsOpen(target.devicePath)) !== false
    );
  }

  /** Is the disk that the server opened still plugged? A session on one that is not gets errors for ever. */
  private async isPlugged({ path, diskseq }: StorageExport, target: ExportTarget | null): Promise<boolean> {
    const { process } = this.parts;
    if (path === null) return false;
    // In a laboratory a disk may get another letter while it is plugged.
    if (target && (await process.holdsOpen(target.devicePath)) === true) return true;
    if ((await process.holdsOpen(path)) === false) return false;
    return diskseq === null || this.parts.diskseq(basename(path)) === diskseq;
  }
}
