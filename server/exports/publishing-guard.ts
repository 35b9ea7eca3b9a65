import type { Clock } from '../core/clock';
import { DaemonError } from '../core/errors';
import { type Tracing, traced } from '../core/tracing';
import type { Device, DeviceSnapshot, Guest } from '../devices/device';
import { describeHolders, settledHolders, systemUsers } from '../devices/disk-users';
import { serialNames } from '../devices/serial';
import type { ExportServer, ExportTarget } from './export-server';

interface GuardParts {
  readonly guest: Pick<Guest, 'holders'>;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  readonly clock: Clock;
  readonly tracing: Tracing;
  /**
   * Asked before the look: tells afterwards whether this daemon has owned the appliance all the
   * time. A process that stood still wakes with what it had decided before, and the next owner may
   * have decided otherwise.
   */
  readonly tenure: () => () => boolean;
  /** True while an operation works on the volume that is not the one which publishes. */
  isTaken(volumeId: string): boolean;
  /** Told which disks are exported, so that the tools of this system leave them alone. */
  readonly handsOff?: { keep(device: Device): void };
}

/**
 * The same export server, which publishes no disk that the system uses: whoever publishes, and however long
 * ago the disk was found, its users are looked at right before. The look may take seconds; what else forbids
 * it is asked afterwards: that this daemon owns the appliance still, and that no operation has begun to work
 * on the volume, perhaps to take its disk away. A proxy, so that nobody who has the server can go around it
 * and everything else it can do stays as it is.
 *
 * `publish` also throws DEVICE_IN_USE, VOLUME_BUSY, and DEVICE_IDENTITY_MISMATCH when the disk has gone;
 * `publish` and `withdraw` LEASE_LOST.
 */
export function guardPublishing(server: ExportServer, parts: GuardParts): ExportServer {
  const { tracing, tenure, isTaken, handsOff } = parts;
  const publish: ExportServer['publish'] = async (target) => {
    const { name, volumeId, devicePath } = target;
    const attributes = { 'volume_daemon.volume.id': volumeId, 'volume_daemon.device': devicePath };
    await traced(tracing, 'export publish', { kind: 'internal', attributes }, async () => {
      const isOwner = tenure();
      const device = await requireUnused(parts, target);
      requireOwner(isOwner, name);
      if (isTaken(volumeId))
        throw new DaemonError(
          'VOLUME_BUSY',
          `An operation works on volume ${volumeId}; ${name} stays as it is`,
          { details: { volume_id: volumeId } },
        );
      handsOff?.keep(device);
      await server.publish(target);
    });
  };
  // Also while an operation works on the volume: an export that leads to a wrong disk is closed at once.
  const withdraw: ExportServer['withdraw'] = async (name, options) => {
    requireOwner(tenure(), name);
    const about = { kind: 'internal', attributes: { 'volume_daemon.export': name } } as const;
    await traced(tracing, 'export withdraw', about, () => server.withdraw(name, options));
  };
  return new Proxy(server, {
    get(real, key) {
      if (key === 'publish') return publish;
      if (key === 'withdraw') return withdraw;
      const value: unknown = Reflect.get(real, key);
      return typeof value === 'function' ? value.bind(real) : value;
    },
  });
}

function requireOwner(isOwner: () => boolean, name: string): void {
  if (!isOwner())
    throw new DaemonError('LEASE_LOST', `The lease of the appliance has ended; ${name} stays as it is`);
}

async function requireUnused({ guest, watcher, clock }: GuardParts, target: ExportTarget): Promise<Device> {
  const { name, volumeId, devicePath } = target;
  const device = requireDisk(target, await watcher.scan());
  const holders = (await settledHolders(guest, clock, [device])).get(devicePath);
  const users = systemUsers(holders ?? [{ kind: 'unknown', detail: 'its users were not looked at' }]);
  // The look may have lasted. Numbered plugs are compared again where the link is made.
  if (users.length > 0 || device.diskseq === null) requireDisk(target, await watcher.scan());
  if (users.length === 0) return device;
  throw new DaemonError(
    'DEVICE_IN_USE',
    `${name} is not published, because ${devicePath} is used by this system: ${describeHolders(users)}`,
    { details: { volume_id: volumeId, holders: users.map(({ kind, detail }) => ({ kind, detail })) } },
  );
}

/**
 * The disk that was verified; where plugs are not numbered, only its serial tells it from the next one there.
 */
function requireDisk(
  { name, volumeId, devicePath, diskseq }: ExportTarget,
  { devices }: Pick<DeviceSnapshot, 'devices'>,
): Device {
  const device = devices.find(({ path }) => path === devicePath);
  const isSame =
    device?.diskseq == null ? serialNames(volumeId, device?.serial ?? null) : device.diskseq === diskseq;
  if (device && isSame) return device;
  throw new DaemonError(
    'DEVICE_IDENTITY_MISMATCH',
    `${name} is not published: the disk that was ${devicePath} has gone`,
    { details: { volume_id: volumeId } },
  );
}
