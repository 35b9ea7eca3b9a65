import type { Clock, Random } from '~/server/core/clock';
import type { SimulatedGuest } from '../../guest/guest';
import type { DiskOffering, Snapshot, Vm, Volume, Zone } from '../records';
import { badValue } from './texts';

export const GIB = 1024 ** 3;
const ROOT_GIB = 2;

export interface NewVm {
  readonly name: string;
  readonly id?: string;
  readonly state?: string;
  readonly hypervisor?: string;
  readonly zoneId?: string;
  /** By default the account that the simulator's first key belongs to. */
  readonly accountId?: string;
  /** What its disks are plugged into; a VM without one has no guest to look at. */
  readonly guest?: SimulatedGuest;
}

/** The rows of the simulated CloudStack, and how it looks them up. */
export class Inventory {
  readonly zones: Zone[] = [];
  readonly offerings: DiskOffering[] = [];
  readonly vms: Vm[] = [];
  readonly volumes: Volume[] = [];
  readonly snapshots: Snapshot[] = [];
  private readonly guests = new Map<string, SimulatedGuest>();
  private lastInternalId = 1000;

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    /** Whose is what nobody in particular owns. */
    private readonly accountId: string,
  ) {}

  addZone(name: string, allocationState: Zone['allocationState'] = 'Enabled'): Zone {
    const internalId = this.zones.length + 1;
    const zone: Zone = { id: this.random.uuid(), internalId, name, allocationState };
    this.zones.push(zone);
    return zone;
  }

  /** `sizeGiB` 0 makes an offering with a custom size. */
  addOffering(name: string, sizeGiB: number): DiskOffering {
    const offering = { id: this.random.uuid(), name, customized: sizeGiB === 0, sizeGiB };
    this.offerings.push(offering);
    return offering;
  }

  /** With a root volume as device 0. */
  addVm(fields: NewVm): Vm {
    const vm: Vm = {
      id: (fields.id ?? this.random.uuid()).toLowerCase(),
      internalId: this.nextInternalId(),
      name: fields.name,
      accountId: fields.accountId ?? this.accountId,
      state: fields.state ?? 'Running',
      zoneId: fields.zoneId ?? this.firstZone().id,
      hypervisor: fields.hypervisor ?? 'KVM',
      created: this.clock.now(),
      snapshots: [],
      removed: false,
    };
    this.vms.push(vm);
    if (fields.guest) this.guests.set(vm.id, fields.guest);
    const root = this.addVolume({
      name: `ROOT-${vm.internalId}`,
      size: ROOT_GIB * GIB,
      zoneId: vm.zoneId,
      diskOfferingId: null,
      accountId: vm.accountId,
    });
    // A VM that has never run has no root disk on any storage yet.
    const state = vm.state === 'Stopped' ? 'Allocated' : 'Ready';
    Object.assign(root, { type: 'ROOT', state, vmId: vm.id, deviceId: 0 });
    root.hypervisor = vm.hypervisor;
    return vm;
  }

  addVolume(fields: {
    id?: string;
    name: string;
    size: number;
    zoneId: string;
    diskOfferingId: string | null;
    accountId?: string;
    snapshotId?: string | null;
  }): Volume {
    const volume: Volume = {
      id: fields.id ?? this.random.uuid(),
      internalId: this.nextInternalId(),
      name: fields.name,
      accountId: fields.accountId ?? this.accountId,
      type: 'DATADISK',
      state: 'Allocated',
      size: fields.size,
      zoneId: fields.zoneId,
      diskOfferingId: fields.diskOfferingId,
      hypervisor: null,
      snapshotId: fields.snapshotId ?? null,
      vmId: null,
      deviceId: null,
      created: this.clock.now(),
      attached: null,
      removed: false,
      deleteProtection: false,
      tags: [],
      unplugging: false,
      jobId: null,
      stale: null,
    };
    this.volumes.push(volume);
    return volume;
  }

  firstZone(): Zone {
    const [zone] = this.zones;
    if (!zone) throw new Error('the model has no zone');
    return zone;
  }

  addSnapshot(volume: Volume, name: string): Snapshot {
    const snapshot: Snapshot = {
      id: this.random.uuid(),
      internalId: this.snapshots.length + 1,
      name,
      accountId: volume.accountId,
      volumeId: volume.id,
      size: volume.size,
      created: this.clock.now(),
      state: 'BackingUp',
    };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  /** The guest of a VM that can show disks right now; null for VMs that do not run or have no guest. */
  guestOf(vm: Vm): SimulatedGuest | null {
    return ['Running', 'Stopping', 'Migrating'].includes(vm.state) ? (this.guests.get(vm.id) ?? null) : null;
  }

  attachedTo(vm: Vm): Volume[] {
    return this.volumes.filter(({ vmId, removed }) => vmId === vm.id && !removed);
  }

  volumesOfAccount(accountId: string): Volume[] {
    return this.volumes.filter(
      (volume) => volume.accountId === accountId && !volume.removed && volume.type === 'DATADISK',
    );
  }

  /** Finds removed rows too, as the server's lookups do. Throws 431 for ids that never were. */
  volume(command: string, parameter: string, id: string): Volume {
    return found(this.volumes, command, parameter, id);
  }

  vm(command: string, parameter: string, id: string): Vm {
    return found(this.vms, command, parameter, id);
  }

  zone(command: string, parameter: string, id: string): Zone {
    return found(this.zones, command, parameter, id);
  }

  snapshot(command: string, parameter: string, id: string): Snapshot {
    return found(this.snapshots, command, parameter, id);
  }

  offering(command: string, parameter: string, id: string): DiskOffering {
    return found(this.offerings, command, parameter, id);
  }

  private nextInternalId(): number {
    this.lastInternalId += 1;
    return this.lastInternalId;
  }
}

/** The server knows its own numbers as well as UUIDs. */
function found<T extends { readonly id: string; readonly internalId?: number }>(
  rows: readonly T[],
  command: string,
  parameter: string,
  id: string,
): T {
  const wanted = id.toLowerCase();
  const row = rows.find((candidate) => candidate.id === wanted || String(candidate.internalId) === id);
  if (!row) throw badValue(command, parameter, id);
  return row;
}
