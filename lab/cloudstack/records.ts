/**
 * What the simulated CloudStack keeps, in the words of its API. Ids are lower-case UUIDs, times
 * are ms since the epoch.
 */
export interface Zone {
  readonly id: string;
  /** The number the server shows in some error texts. */
  readonly internalId: number;
  readonly name: string;
  allocationState: 'Enabled' | 'Disabled';
}

export interface DiskOffering {
  readonly id: string;
  readonly name: string;
  readonly customized: boolean;
  /** GiB, 0 when customized. */
  readonly sizeGiB: number;
}

export interface Vm {
  readonly id: string;
  readonly internalId: number;
  readonly name: string;
  /** Of the account it belongs to. */
  readonly accountId: string;
  state: string;
  readonly zoneId: string;
  readonly hypervisor: string;
  readonly created: number;
  /** Its VM snapshots: with one, no volume can be attached. */
  snapshots: readonly string[];
  /** Expunged: found by id lookups, in no list. */
  removed: boolean;
}

export interface Volume {
  /** Changed only by updateVolume with a customid. */
  id: string;
  readonly internalId: number;
  name: string;
  /** Of the account it belongs to. */
  readonly accountId: string;
  type: 'ROOT' | 'DATADISK';
  state: string;
  /** Bytes. */
  size: number;
  readonly zoneId: string;
  readonly diskOfferingId: string | null;
  /** Of the storage it lies on; null before the first attach. */
  hypervisor: string | null;
  /** The snapshot it was made from. */
  readonly snapshotId: string | null;
  vmId: string | null;
  deviceId: number | null;
  readonly created: number;
  attached: number | null;
  /** Deleted: found by id lookups, in no list. */
  removed: boolean;
  /** 4.20: deleteVolume refuses it. */
  deleteProtection: boolean;
  tags: readonly Tag[];
  /** The hypervisor was told to unplug it and the guest has not done so yet. */
  unplugging: boolean;
  /** The job that works on it, shown as `jobid`/`jobstatus` in its object. */
  jobId: string | null;
  /** What lists show instead of it for a while; `shown` null: no such row. `until` is monotonic ms. */
  stale: { readonly until: number; readonly shown: Volume | null } | null;
}

export interface Tag {
  readonly key: string;
  readonly value: string;
}

export interface Snapshot {
  readonly id: string;
  readonly internalId: number;
  readonly name: string;
  readonly accountId: string;
  readonly volumeId: string;
  /** Bytes of the volume when it was taken. */
  readonly size: number;
  readonly created: number;
  state: 'BackingUp' | 'BackedUp' | 'Error' | 'Destroyed';
}

export type InstanceType = 'Volume' | 'VirtualMachine' | 'Snapshot' | 'VmSnapshot';

/** What a finished job carries: a copy of the object as it was at that moment, or an error. */
export type JobResult =
  | { readonly kind: 'volume'; readonly volume: Volume }
  | { readonly kind: 'vm'; readonly vm: Vm }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'vm-snapshot'; readonly id: string; readonly vm: Vm }
  | { readonly kind: 'success' }
  /** Of a VM that is gone: the server has nothing left to show. */
  | { readonly kind: 'expunged' }
  | { readonly kind: 'error'; readonly code: number; readonly text: string };

export interface Job {
  readonly id: string;
  readonly internalId: number;
  /** `AttachVolumeCmd` */
  readonly command: string;
  /** Who asked. */
  readonly accountId: string;
  readonly instanceType: InstanceType;
  /** '' when the command named nothing that exists. */
  readonly instanceId: string;
  readonly created: number;
  completed: number | null;
  /** 0 pending, 1 succeeded, 2 failed. */
  status: 0 | 1 | 2;
  resultCode: number;
  /** null while pending, and when the result was lost. */
  result: JobResult | null;
  /** Lost: queries answer that it does not exist, its id stays taken. */
  lost: boolean;
}

/**
 * An error as the API answers it: HTTP status = code. `csCode` null leaves `cserrorcode` and X-Description
 * out.
 */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    text: string,
    readonly csCode: number | null = 9999,
  ) {
    super(text);
    this.name = 'ApiError';
  }
}
