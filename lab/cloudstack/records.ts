/** What the simulated CloudStack keeps, in the words of its API. */
export interface Zone {
  readonly id: string;
  readonly name: string;
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
  state: string;
  readonly zoneId: string;
  readonly hypervisor: string;
}

export interface Volume {
  readonly id: string;
  readonly internalId: number;
  readonly name: string;
  readonly type: 'ROOT' | 'DATADISK';
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
  /** The job that works on it, shown as `jobid`/`jobstatus` in its object. */
  jobId: string | null;
}

export interface Job {
  readonly id: string;
  readonly command: string;
  readonly instanceId: string;
  readonly created: number;
  completed: number | null;
  /** 0 pending, 1 succeeded, 2 failed. */
  status: 0 | 1 | 2;
  resultCode: number;
  /** Absent when the result was lost. */
  result: unknown;
  /** Purged or lost: queries answer that it does not exist. */
  lost: boolean;
}

/** A thing that really happened, for "each effect once". */
export interface Effect {
  readonly kind: 'create' | 'attach' | 'detach' | 'delete' | 'stop' | 'destroy';
  readonly volumeId: string;
  readonly vmId: string | null;
  readonly jobId: string | null;
  readonly at: number;
}

/** An error as the API answers it: HTTP status = code. */
export class ApiError extends Error {
  constructor(
    readonly code: number,
    text: string,
    readonly csCode: number | null = 9999,
  ) {
    super(text);
  }
}
