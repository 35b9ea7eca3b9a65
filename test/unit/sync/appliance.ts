import { CloudModel } from '~/lab/cloudstack/model';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import type { Volume } from '~/lab/cloudstack/records';
import { MemoryGuest } from '~/lab/guest/memory-guest';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { MemoryStore } from '~/lab/ledger/memory-store';
import { type ClockNote, type ClockNotes, ClockSteps } from '~/server/core/clock-steps';
import { silentLogger } from '~/server/core/log/logger';
import { expectedSerial } from '~/server/devices/correlation';
import type { Device } from '~/server/devices/device';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { absent } from '~/server/model/evidence';
import { exportName } from '~/server/model/export-name';
import type { NewMapping } from '~/server/model/operation';
import { OperationEvents } from '~/server/model/operation-events';
import type { SyncReport } from '~/server/sync/drift';
import { SyncService } from '~/server/sync/sync-service';
import { VolumeCatalogue } from '~/server/sync/volume-catalogue';
import { ManualClock } from '../devices/manual-clock';
import { countingRandom } from '../simulator/world';
import { DriftingExports } from './drifting-exports';

export const GIB = 1024 ** 3;

/**
 * A whole appliance in memory: ledger, guest, CloudStack, export server, and the real sync on top of them.
 * Everything that is wrong is made by hand, so the truth is known.
 */
export class MemoryAppliance {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore();
  readonly random = countingRandom();
  readonly guest = new MemoryGuest({ clock: this.clock, random: this.random });
  readonly model = new CloudModel({ clock: this.clock, random: this.random, guest: this.guest });
  readonly ledger = new MemoryLedger({ store: this.store, now: () => this.clock.now(), random: this.random });
  readonly exports = new DriftingExports((path) =>
    this.deviceAt(path).then(
      (device) => device?.size ?? null,
      () => null,
    ),
  );
  /** Volumes that CloudStack's list leaves out (they belong to a project). */
  readonly unlisted = new Set<string>();
  /** Ids of which CloudStack says that they name nothing. */
  readonly never = new Set<string>();
  readonly conflicts: string[] = [];
  /** What the state folder knows of the clock. */
  clockNote: ClockNote | null = null;
  private readonly clockNotes: ClockNotes = {
    uptime: () => this.clock.monotonic(),
    load: () => this.clockNote,
    save: (note) => {
      this.clockNote = note;
    },
  };
  whileWaiting: () => Promise<void> = async () => {};
  readonly cloud = new ModelCloud(this.model, this.clock);
  readonly sync: SyncService;
  readonly catalogue: VolumeCatalogue;
  readonly otherVm: string;

  private constructor(readonly epoch: Awaited<ReturnType<MemoryLedger['takeOver']>>['number']) {
    this.otherVm = this.model.addVm({ name: 'migrated' }).id;
    const { clock, cloud, ledger, owned } = this;
    const listVolumes = cloud.listVolumes.bind(cloud);
    cloud.listVolumes = async (filter) =>
      (await listVolumes(filter)).filter(({ id }) => !this.unlisted.has(id) && !this.never.has(id));
    const readVolume = cloud.readVolume.bind(cloud);
    cloud.readVolume = async (id) => {
      const answer = await readVolume(id);
      return this.never.has(id) ? absent('this id names nothing', clock.now(), 'cloudstack') : answer;
    };
    this.catalogue = new VolumeCatalogue({
      cloud,
      clock,
      ledger: () => ledger,
      applianceVmId: () => owned.applianceId,
    });
    this.sync = this.startSync();
  }

  /** The sync of a daemon that starts now. */
  startSync(): SyncService {
    const { clock, cloud, guest, ledger, exports, owned } = this;
    const inventory = createMemoryInventory();
    return new SyncService({
      cloud,
      catalogue: this.catalogue,
      ledger,
      exports,
      // Waiting takes no time here; what happens meanwhile is the test's business.
      clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep: () => this.whileWaiting() },
      clockSteps: new ClockSteps(clock, undefined, this.clockNotes),
      logger: silentLogger,
      events: new OperationEvents(),
      guest,
      watcher: new DeviceWatcher({ guest, clock, logger: silentLogger, inventory }),
      sizeToleranceBytes: 3 * GIB,
      busyVolumes: () => ledger.busyVolumes(owned.applianceId),
      identityConflicts: () => this.conflicts,
      isBusyWith: () => false,
      owner: () => ({ epoch: owned, applianceVmId: owned.applianceId }),
    });
  }

  static async start(): Promise<MemoryAppliance> {
    const appliance = new MemoryAppliance(1);
    await appliance.ledger.takeOver(appliance.vmId, 'test');
    return appliance;
  }

  get vmId(): string {
    return this.model.applianceVmId;
  }

  addVolume(fields: Partial<Pick<Volume, 'vmId' | 'state' | 'removed'>> = {}): Volume {
    const zoneId = this.model.inventory.firstZone().id;
    const made = this.model.inventory.addVolume({
      name: 'data',
      size: 5 * GIB,
      zoneId,
      diskOfferingId: null,
    });
    return Object.assign(made, { state: 'Ready', deviceId: fields.vmId ? 1 : null }, fields);
  }

  plug(volumeId: string, size = 5 * GIB): Promise<void> {
    return this.guest.plug({ volumeId, size, serial: expectedSerial(volumeId) });
  }

  async deviceAt(path: string): Promise<Device | null> {
    return (await this.guest.look()).devices.find((device) => device.path === path) ?? null;
  }

  /** The disk of a volume as the guest really has it. */
  async diskOf(volumeId: string): Promise<Device | null> {
    const path = this.guest.devicePath(volumeId);
    return path === null ? null : this.deviceAt(path);
  }

  /** The row that is right for this disk. */
  async rightRow(volumeId: string, disk: Device): Promise<NewMapping> {
    const { path, size, controller, serial, diskseq } = disk;
    return {
      volumeId,
      vmId: this.vmId,
      devicePath: path,
      cloudstackState: 'attached',
      linuxState: 'detected',
      size,
      controller,
      serial,
      diskseq,
      bootId: (await this.guest.look()).bootId,
      matchedBy: 'serial',
      cloudstackDeviceId: 1,
    };
  }

  /** The row of a volume on the other VM. */
  remoteRow(volumeId: string): NewMapping {
    const none = { controller: null, serial: null, diskseq: null, bootId: null, matchedBy: null };
    return {
      volumeId,
      vmId: this.otherVm,
      devicePath: `remote-vm-${this.otherVm}-${volumeId}`,
      cloudstackState: 'attached',
      linuxState: 'n/a',
      size: 5 * GIB,
      cloudstackDeviceId: 1,
      ...none,
    };
  }

  async putRow(mapping: NewMapping): Promise<void> {
    await this.ledger.auditedChange(this.owned, [{ kind: 'put-mapping', mapping }], NOTE);
  }

  async putExport(
    volumeId: string,
    devicePath: string,
    status: 'active' | 'failed' | 'withdrawn',
    more: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const withdrawn = status === 'withdrawn';
    const record = {
      volumeId,
      exportName: exportName(volumeId),
      devicePath,
      port: this.exports.port,
      status: withdrawn ? ('pending' as const) : status,
      metadata: { vm_name: 'kept', ...(withdrawn ? { withdrawn: 'true' } : {}), ...more },
    };
    await this.ledger.auditedChange(this.owned, [{ kind: 'put-export', record }], NOTE);
  }

  /** An operation on the volume that has been accepted and not ended. */
  async begin(volumeId: string, epoch = this.owned): Promise<void> {
    await this.ledger.accept(epoch, {
      id: this.random.uuid(),
      type: 'detach',
      volumeId,
      vmId: null,
      request: { volume_id: volumeId },
      idempotencyKey: null,
      requestHash: volumeId,
      at: this.clock.now(),
    });
  }

  /** An attach of ours that has completed by now, and whose mapping is not there any more. */
  async attachedOnce(volumeId: string): Promise<void> {
    const id = this.random.uuid();
    await this.ledger.accept(this.owned, {
      id,
      type: 'attach',
      volumeId,
      vmId: this.vmId,
      request: { volume_id: volumeId, vm_id: this.vmId },
      idempotencyKey: null,
      requestHash: id,
      at: this.clock.now(),
    });
    await this.ledger.claim(this.owned, 1);
    await this.ledger.append(this.owned, id, {
      after: 2,
      at: this.clock.now(),
      entries: [],
      end: { status: 'completed', response: {}, error: null, errorCode: null },
    });
  }

  /** A create that has completed, and has named what an earlier try of it may have left behind. */
  async createdOnce(volumeId: string, unclaimed: readonly string[]): Promise<void> {
    const id = this.random.uuid();
    await this.ledger.accept(this.owned, {
      id,
      type: 'create',
      volumeId: '',
      vmId: null,
      request: { name: 'data', size: 5 * GIB, disk_offering_id: 'offering', zone_id: 'zone' },
      idempotencyKey: null,
      requestHash: id,
      at: this.clock.now(),
    });
    await this.ledger.claim(this.owned, 1);
    await this.ledger.append(this.owned, id, {
      after: 2,
      at: this.clock.now(),
      entries: [],
      volumeId,
      end: { status: 'completed', response: { unclaimed: [...unclaimed] }, error: null, errorCode: null },
    });
  }

  /** Everything that sync could write to, as one comparable value. */
  everything(): unknown {
    const { mappings, exports, entries, operations } = this.store;
    return structuredClone({
      mappings: [...mappings],
      exports: [...exports],
      entries,
      operations: [...operations],
      links: [...this.exports.links],
      changes: this.exports.changes,
      effects: this.model.effects,
      volumes: this.model.volumes,
    });
  }

  /** Commands CloudStack has been given, from the n-th on. */
  calls(from = 0): string[] {
    return this.model.history
      .events()
      .filter(({ what }) => what === 'call')
      .slice(from)
      .map(({ detail }) => detail);
  }

  get owned() {
    return { applianceId: this.vmId, number: this.epoch };
  }
}

const NOTE = { step: 'test', state: 'note' as const, data: {} };

/** An appliance with one volume attached, plugged and unknown to the rows: the drift `unmapped-volume`. */
export async function withUnmapped() {
  const appliance = await MemoryAppliance.start();
  const { id } = appliance.addVolume({ vmId: appliance.vmId });
  await appliance.plug(id);
  return { appliance, id };
}

export const run = (appliance: MemoryAppliance, dryRun = false) =>
  appliance.sync.run({ dryRun, reason: 'test' });
/** Kind of each drift, and what became of it. */
export const told = ({ drifts }: SyncReport) => drifts.map(({ kind, action }) => `${kind} ${action}`);
