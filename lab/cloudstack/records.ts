/** What the simulated CloudStack keeps, in the words of its API. Ids are lower-case UUIDs, times are ms since the epoch. */
export interface Zone {
  readonly id: string;
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
  /** The number the server shows in some error texts. */
  readonly internalId: number;
  readonly name: string;
  state: string;
  readonly zoneId: string;
  readonly hypervisor: string;
  /** Expunged: found by id lookups, in no list. */
  removed: boolean;
}

export interface Volume {
  readonly id: string;
  readonly internalId: number;
  readonly name: string;
  type: 'ROOT' | 'DATADISK';
  state: string;
  /** Bytes. */
  size: number;
  readonly zoneId: string;
  readonly diskOfferingId: string | null;
  vmId: string | null;
  deviceId: number | null;
  readonly created: number;
  attached: number | null;
  /** Deleted: found by id lookups, in no list. */
  removed: boolean;
  /** 4.20: deleteVolume refuses it. */
  deleteProtection: boolean;
  /** The hypervisor was told to unplug it and the guest has not done so yet. */
  unplugging: boolean;
  /** The job that works on it, shown as `jobid`/`jobstatus` in its object. */
  jobId: string | null;
}

export type InstanceType = 'Volume' | 'VirtualMachine';

/** What a finished job carries: a copy of the object as it was at that moment, or an error. */
export type JobResult =
  | { readonly kind: 'volume'; readonly volume: Volume }
  | { readonly kind: 'vm'; readonly vm: Vm }
  | { readonly kind: 'error'; readonly code: number; readonly text: string };

export interface Job {
  readonly id: string;
  /** `AttachVolumeCmd` */
  readonly command: string;
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

/** An error as the API answers it: HTTP status = code. `csCode` null leaves `cserrorcode` out. */
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
