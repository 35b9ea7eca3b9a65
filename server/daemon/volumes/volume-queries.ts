import { type Cloud, CloudError, type CloudSnapshot, type CloudVolume } from '../../cloudstack/cloud';
import { requireVolume } from '../../cloudstack/look-up';
import type { Clock } from '../../core/clock';
import type { ClockSteps } from '../../core/clock-steps';
import { DaemonError } from '../../core/errors';
import type { Device, DeviceEvent, Guest } from '../../devices/device';
import type { DeviceWatcher } from '../../devices/device-watcher';
import { checkedMapping, verifiedDevice } from '../../devices/identity';
import type { ExportServer } from '../../exports/export-server';
import { shownExport } from '../../model/export-metadata';
import type { Ledger, MappingPlace } from '../../model/ledger';
import type { ExportRecord, Mapping, Operation } from '../../model/operation';
import { parsePlaceholderPath } from '../../model/placeholder-path';
import type { VolumeCatalogue } from '../../sync/volume-catalogue';
import { Unknowns } from '../unknowns';
import { type ResolvedVolume, resolveVolume } from './resolve-volume';
import { gatherEvidence, lookUpShown, type VolumeEvidence } from './volume-evidence';
import { sliceOf, type VolumeFilter, type VolumePage } from './volume-list';
import { byRows, type VmVolumes, withUnmapped } from './volumes-of-vm';

interface VolumeParts {
  readonly exports: ExportServer;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  ledger(): Ledger;
  readonly cloud: Cloud;
  readonly catalogue: VolumeCatalogue;
  readonly watcher: Pick<DeviceWatcher, 'snapshot' | 'channelEvents' | 'onEvent'>;
  readonly guest: Pick<Guest, 'holders'>;
  readonly devDir: string;
  applianceVmId(): string | null;
}

/** The content of GET /volumes/{id}: what CloudStack, the guest and the ledger say of one volume. */
export interface VolumeDescription {
  readonly volume: CloudVolume;
  readonly mapping: Mapping | null;
  /** The guest's device when its identity is verified. */
  readonly device: { path: string; size: number; controller: string | null } | null;
  readonly export: ExportRecord | null;
  readonly lastOperation: Operation | null;
  readonly evidence: VolumeEvidence;
}

/**
 * Queries about volumes, devices and mappings. The identity of a device is verified for every answer; while
 * the guest was not read yet, answers about disks of this appliance throw DEVICES_UNREADABLE.
 */
export class VolumeQueries {
  private readonly unknowns = new Unknowns();

  constructor(private readonly parts: VolumeParts) {}

  /**
   * Throws VOLUME_NOT_FOUND when there is none, VOLUME_NOT_VISIBLE when that cannot be known, and CloudError.
   */
  async describe(volumeId: string): Promise<VolumeDescription> {
    const evidence = await this.evidence(volumeId);
    const { cloudstack, database, lastOperation } = evidence;
    // Looked up again so that an error of CloudStack is thrown: that it is away says nothing about the
    // volume.
    const volume = requireVolume(
      cloudstack.kind === 'unknown' ? await lookUpShown(this.parts, volumeId) : cloudstack,
      volumeId,
    );
    const { mapping, export: record } =
      database.kind === 'seen' ? database.value : { mapping: null, export: null };
    if (database.kind === 'unknown') await this.parts.ledger().ping();
    const device = mapping ? this.deviceOf(mapping) : null;
    const checked = mapping && this.checked(mapping);
    return {
      volume,
      mapping: checked,
      device: device ? { path: device.path, size: device.size, controller: device.controller } : null,
      export: shownExport(record, checked),
      lastOperation,
      evidence,
    };
  }

  /**
   * The snapshots of a volume, newest first; they may outlive it. Without any it throws VOLUME_NOT_FOUND and
   * VOLUME_NOT_VISIBLE as `describe`, because an empty list alone proves nothing. Throws CloudError.
   */
  async snapshots(volumeId: string): Promise<CloudSnapshot[]> {
    const { cloud } = this.parts;
    const listed = await cloud.listSnapshots({ volumeId }).catch((error: unknown) => {
      // CloudStack refuses the list of a volume that never was.
      if (error instanceof CloudError && error.kind === 'parameter') return [];
      throw error;
    });
    if (listed.length === 0) requireVolume(await lookUpShown(this.parts, volumeId), volumeId);
    const takenAt = ({ created }: CloudSnapshot) => (created === null ? 0 : Date.parse(created));
    return listed.sort((a, b) => takenAt(b) - takenAt(a));
  }

  /** What CloudStack, the guest, the database and the export server say of the volume. Never throws. */
  evidence(volumeId: string): Promise<VolumeEvidence> {
    return gatherEvidence({ ...this.parts, unknowns: this.unknowns }, volumeId);
  }

  /** Throws MAPPING_NOT_FOUND. When the device is another disk, the mapping's linux_state is `missing`. */
  async mapping(volumeId: string): Promise<Mapping> {
    const mapping = await this.parts.ledger().readMapping(volumeId);
    if (!mapping)
      throw new DaemonError(
        'MAPPING_NOT_FOUND',
        `Device mapping of volume ${volumeId} not found: it is not attached`,
        { details: { volume_id: volumeId } },
      );
    return this.checked(mapping);
  }

  /**
   * By device name (`vdb`) or path (`/dev/vdb`) on this appliance, or by a remote placeholder path. Throws
   * MAPPING_NOT_FOUND.
   */
  async mappingByDevice(path: string): Promise<Mapping> {
    const vmId = this.parts.applianceVmId();
    const devicePath = this.normalise(path);
    const local = vmId === null ? null : await this.parts.ledger().readMappingByDevice(vmId, devicePath);
    const mapping = local ?? (await this.remoteByPath(path));
    if (!mapping || this.checked(mapping).linuxState === 'missing') {
      throw new DaemonError(
        'MAPPING_NOT_FOUND',
        `No volume is mapped to device ${devicePath}: mapping not found`,
        { details: { device_path: devicePath } },
      );
    }
    return mapping;
  }

  /** A page of all mappings, in the order of their paths; `next` is where the following one begins. */
  async devices(
    limit: number,
    after: MappingPlace | null,
  ): Promise<{ mappings: Mapping[]; next: MappingPlace | null }> {
    // One more than asked for tells whether there is a next page.
    const found = await this.parts.ledger().pageOfMappings(limit + 1, after);
    const mappings = found.slice(0, limit).map((mapping) => this.checked(mapping));
    return { mappings, next: found.length > limit ? (mappings.at(-1) ?? null) : null };
  }

  /**
   * A page of all volumes that the key sees, from the catalogue: with its age, and without a request to
   * CloudStack once it is there. Throws as `VolumeCatalogue.current`, and DATABASE_UNAVAILABLE.
   */
  async list(filter: VolumeFilter): Promise<VolumePage> {
    const { volumes, ...freshness } = await this.parts.catalogue.current();
    const slice = sliceOf(volumes, filter);
    const found = await this.parts.ledger().readVolumeRows(slice.volumes.map(({ id }) => id));
    return {
      ...freshness,
      volumes: slice.volumes.map((one) => {
        const { mapping = null, export: record = null, lastOperation = null } = found.get(one.id) ?? {};
        const checked = mapping && this.checked(mapping);
        return { ...one, rows: { mapping: checked, export: shownExport(record, checked), lastOperation } };
      }),
      next: slice.next,
      notShown: volumes.reduce((count, { volume }) => count + (volume.kind === 'seen' ? 0 : 1), 0),
    };
  }

  /** The one volume that an id, the beginning of one, or a name means. See ./resolve-volume.ts. */
  resolve(reference: string): Promise<ResolvedVolume> {
    return resolveVolume(this.parts, reference);
  }

  /**
   * All volumes of one VM: the mappings and, on another VM than ours, also what CloudStack shows attached
   * there without one, and what it says against a row. See ./volumes-of-vm.ts.
   */
  async ofVm(vmId: string): Promise<VmVolumes> {
    const mappings = (await this.parts.ledger().listMappings(vmId)).map((mapping) => this.checked(mapping));
    if (vmId === this.parts.applianceVmId()) return { volumes: byRows(mappings), incomplete: null };
    return withUnmapped({ ...this.parts, ledger: this.parts.ledger() }, vmId, mappings);
  }

  recentDeviceEvents(): readonly DeviceEvent[] {
    return this.parts.watcher.channelEvents();
  }

  /** Calls `listener` for every new event. Returns the function that unsubscribes. */
  onDeviceEvent(listener: () => void): () => void {
    return this.parts.watcher.onEvent(listener);
  }

  /** The guest's device of a mapping; null unless its identity is verified. */
  private deviceOf(mapping: Mapping): Device | null {
    if (mapping.vmId !== this.parts.applianceVmId()) return null;
    return verifiedDevice(mapping, this.parts.watcher.snapshot()).device;
  }

  private checked(mapping: Mapping): Mapping {
    return checkedMapping(mapping, this.parts.applianceVmId(), this.parts.watcher.snapshot());
  }

  private async remoteByPath(path: string): Promise<Mapping | null> {
    const placeholder = parsePlaceholderPath(path);
    return placeholder?.kind === 'remote'
      ? this.parts.ledger().readMappingByDevice(placeholder.vmId, path)
      : null;
  }

  /** `vdb`, `/dev/vdb` and `dev/vdb` name the same device. */
  private normalise(path: string): string {
    const name = path.replace(/^\/?dev\//, '').replace(/^\/+/, '');
    return path.startsWith(`${this.parts.devDir}/`) ? path : `${this.parts.devDir}/${name}`;
  }
}
