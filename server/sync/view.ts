import type { CloudVolume } from '../cloudstack/cloud';
import { stateOf } from '../cloudstack/volume-states';
import { rootDevices } from '../devices/correlation';
import type { Device, Holder, OtherDisk } from '../devices/device';
import { systemUsers } from '../devices/disk-users';
import { verifiedDevice, verifyIdentity } from '../devices/identity';
import { serialNames } from '../devices/serial';
import type { ConfiguredExport } from '../exports/export-server';
import { exportNameOf } from '../model/export-name';
import type { ExportRecord, Mapping } from '../model/operation';
import type { Observation } from './observation';

/**
 * A volume as CloudStack shows it; `absent`: proven to be gone, `unseen`: it could not be read or is not
 * shown.
 */
export type Seen = CloudVolume | 'absent' | 'unseen';

/** An observation with the look-ups that all checks share. Pure. */
export class View {
  private readonly volumes: ReadonlyMap<string, CloudVolume>;
  private readonly mappings: ReadonlyMap<string, Mapping>;
  private readonly records: ReadonlyMap<string, ExportRecord>;
  private readonly configured: ReadonlyMap<string, ConfiguredExport>;
  private readonly root: ReadonlySet<string>;

  constructor(readonly o: Observation) {
    this.volumes = new Map((o.volumes ?? []).map((volume) => [volume.id, volume]));
    this.mappings = new Map(o.mappings.map((mapping) => [mapping.volumeId, mapping]));
    this.records = new Map(o.exports.map((record) => [record.volumeId, record]));
    this.configured = new Map((o.configured ?? []).map((one) => [one.name, one]));
    this.root = o.guest ? rootDevices(o.guest) : new Set();
  }

  volume(id: string): Seen {
    return this.volumes.get(id) ?? (this.o.volumes !== null && this.o.absent.has(id) ? 'absent' : 'unseen');
  }

  mapping(volumeId: string): Mapping | null {
    return this.mappings.get(volumeId) ?? null;
  }

  record(volumeId: string): ExportRecord | null {
    return this.records.get(volumeId) ?? null;
  }

  /**
   * The export as the server has it configured; null also for an id of another program's row that is no UUID.
   */
  served(volumeId: string): ConfiguredExport | null {
    return this.configured.get(exportNameOf(volumeId)) ?? null;
  }

  isRoot(name: string): boolean {
    return this.root.has(name);
  }

  /**
   * True while CloudStack is changing the volume, unless it is stuck: its attachment is about to change. One
   * that another VM has is not about to come here, whatever CloudStack does with it there.
   */
  isMoving(volume: CloudVolume): boolean {
    if (volume.vmId !== null && volume.vmId !== this.o.applianceVmId) return false;
    return stateOf(volume).phase === 'moving' && this.o.stuckBefore.get(volume.id) !== volume.state;
  }

  /**
   * The disk of a volume in this guest: exactly one with its serial; else the mapping's own identity.
   * `unknown` while the guest or the serial of a device is not read, when two devices have it, when another
   * volume that should be here has it, or when the device that has it is the system's or provably another
   * volume's: then nothing is checked.
   */
  deviceOf(volumeId: string): Device | null | 'unknown' {
    if (this.o.guest === null) return 'unknown';
    const { devices } = this.o.guest;
    const named = devices.filter((device) => serialNames(volumeId, device.serial));
    const [only] = named;
    if (only)
      return named.length > 1 || this.hasNamesake(only, volumeId) || this.isTaken(only, volumeId)
        ? 'unknown'
        : only;
    const mapping = this.mapping(volumeId);
    if (mapping?.matchedBy === 'size') {
      const { device } = verifiedDevice(mapping, { devices, bootId: this.bootId });
      if (device) return device;
    }
    return this.hasSilentDisk ? 'unknown' : null;
  }

  /**
   * May the disk with the serial of the volume be the ghost of an earlier plug, because another one has not
   * told whose it is? Not the one that the mapping names.
   */
  mayBeGhost(device: Device, mapping: Mapping | null): boolean {
    const isProven = mapping !== null && verifyIdentity(mapping, device, this.bootId).ok;
    return !isProven && this.hasSilentDisk;
  }

  /**
   * The disk with the serial of the volume on a bus on which no volume is looked for; null: none is there.
   */
  onOtherBus(volumeId: string): OtherDisk | null {
    return this.o.guest?.others?.find(({ serial }) => serialNames(volumeId, serial)) ?? null;
  }

  /** Users that forbid publishing the disk. */
  systemUsers({ path }: Device): Holder[] {
    const holders = this.o.users.get(path);
    return systemUsers(holders ?? [{ kind: 'unknown', detail: 'its users were not looked at' }]);
  }

  get bootId(): string | null {
    return this.o.guest?.bootId ?? null;
  }

  /** Other volumes whose mapping has this path of the appliance. */
  sharingPath(volumeId: string, path: string): string[] {
    return this.o.mappings
      .filter(
        (mapping) =>
          mapping.devicePath === path &&
          mapping.vmId === this.o.applianceVmId &&
          mapping.volumeId !== volumeId,
      )
      .map((mapping) => mapping.volumeId);
  }

  private get hasSilentDisk(): boolean {
    const devices = this.o.guest?.devices ?? [];
    return devices.some(({ serialState }) => serialState === 'pending' || serialState === 'unreadable');
  }

  /** Does the serial name another volume as well that should be here? Their ids begin alike. */
  private hasNamesake({ serial }: Device, volumeId: string): boolean {
    const here = [...this.volumes.values(), ...this.mappings.values()].filter(
      ({ vmId }) => vmId === this.o.applianceVmId,
    );
    const ids = here.map((one) => ('volumeId' in one ? one.volumeId : one.id));
    return ids.some((id) => id !== volumeId && serialNames(id, serial));
  }

  private isTaken(device: Device, volumeId: string): boolean {
    if (this.isRoot(device.name)) return true;
    return this.sharingPath(volumeId, device.path).some((other) => {
      const mapping = this.mapping(other);
      return mapping !== null && verifyIdentity(mapping, device, this.bootId).ok;
    });
  }
}

/** Where the volume is according to CloudStack, as the end of a sentence. */
export function whereabouts(volume: CloudVolume | 'absent'): string {
  if (volume === 'absent') return 'does not exist';
  return volume.vmId === null ? 'is detached' : `is attached to VM ${volume.vmId}`;
}
