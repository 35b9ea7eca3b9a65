import type { Evidence } from '../model/evidence';

/**
 * Asked at the very moment a call that changes something leaves: before it the credentials are read. What it
 * throws keeps the call back.
 */
export type Departure = () => void;

/**
 * The CloudStack port: the calls the daemon makes, in terms of the domain. Implemented over HTTP
 * (./http-cloud.ts) and, for tests and the simulation, directly on the simulator's model.
 */
export interface Cloud {
  /** listCapabilities: the cheap health check. */
  capabilities(): Promise<CloudCapabilities>;
  /**
   * One volume by its id. `absent` only when CloudStack itself says that the id names nothing; a list that
   * does not show the volume is `unknown`: it may be removed, in a project, or another account's.
   */
  readVolume(id: string): Promise<Evidence<CloudVolume>>;
  /** All pages. `isWhole`: throws IncompleteList where CloudStack counts more volumes than it shows. */
  listVolumes(filter: VolumeListFilter): Promise<CloudVolume[]>;
  /** One snapshot by its id; the same rules. CloudStack shows none that is deleted. */
  readSnapshot(id: string): Promise<Evidence<CloudSnapshot>>;
  /** All pages of the snapshots of a volume. One that is not listed may be deleted, or another account's. */
  listSnapshots(filter: { volumeId: string; name?: string }): Promise<CloudSnapshot[]>;
  /** One VM by its id; the same rules. A user's key does not see its own destroyed VMs. */
  readVm(id: string): Promise<Evidence<CloudVm>>;
  /**
   * How many data disks a VM may have by the limit of its hypervisor (`maxdatavolumeslimit`); unknown where
   * the key may not ask, as a user's. Remembered for minutes. Never throws.
   */
  dataDiskLimit(vmId: string): Promise<Evidence<number>>;
  readZone(id: string): Promise<CloudZone | null>;
  readDiskOffering(id: string): Promise<CloudDiskOffering | null>;
  listZones(): Promise<CloudZone[]>;
  listDiskOfferings(): Promise<CloudDiskOffering[]>;
  /**
   * The owner to name for a new volume, so that a VM of owner `appliance` (null: unknown) can have it: the
   * configured one, else `appliance` where the key may and must name it. null: none is named, and the volume
   * belongs to the account of the key.
   */
  newVolumeOwner(appliance: CloudOwner | null): Promise<CloudOwner | null>;
  /**
   * Starts an asynchronous command under a job id of our choosing (customjobid). Resolves when CloudStack has
   * accepted it. A CloudError says whether it certainly had no effect or whether that is unknown.
   */
  submit(command: CloudCommand, jobId: string, departs?: Departure): Promise<CloudAccepted>;
  /**
   * deleteVolume is synchronous in CloudStack and may block for minutes. `deleted`: success:true. `gone`:
   * CloudStack says that the volume was removed before.
   */
  deleteVolume(id: string, departs?: Departure): Promise<'deleted' | 'gone'>;
  /**
   * Brings a volume back that was destroyed without being expunged. Synchronous; CloudStack accepts it in
   * state Destroy only, and from users only where `allowuserexpungerecovervolume` of its capabilities is
   * true.
   */
  recoverVolume(id: string, departs?: Departure): Promise<void>;
  /**
   * null: CloudStack has denied knowing this job once. It was never accepted, was purged after a day, or
   * another management server answered that does not see it yet, so one denial is never acted on (see
   * operations/execute/job-denials.ts).
   */
  queryJob(jobId: string): Promise<CloudJob | null>;
  /** CloudStack's clock minus ours, ms, by its last answers; null: none of them has told. */
  clockSkewMs(): number | null;
}

export type CloudCommand =
  | {
      readonly name: 'createVolume';
      readonly volumeName: string;
      readonly zoneId: string;
      readonly diskOfferingId: string;
      /** null when the offering has a fixed size. */
      readonly sizeGiB: number | null;
      /** null: the account of the key. */
      readonly owner: CloudOwner | null;
    }
  | {
      readonly name: 'attachVolume';
      readonly volumeId: string;
      readonly vmId: string;
      readonly deviceId: number | null;
    }
  | { readonly name: 'detachVolume'; readonly volumeId: string }
  | { readonly name: 'destroyVolume'; readonly volumeId: string; readonly expunge: boolean }
  /** Without `shrinkok`, so CloudStack itself refuses to make a volume smaller. */
  | { readonly name: 'resizeVolume'; readonly volumeId: string; readonly sizeGiB: number }
  | { readonly name: 'createSnapshot'; readonly volumeId: string; readonly snapshotName: string }
  /** `volumeId`: the volume that the snapshot is of; CloudStack is not told. */
  | { readonly name: 'deleteSnapshot'; readonly volumeId: string; readonly snapshotId: string }
  | { readonly name: 'revertSnapshot'; readonly volumeId: string; readonly snapshotId: string }
  /** Never forced: CloudStack would call the VM stopped also where it has not reached its host. */
  | { readonly name: 'stopVirtualMachine'; readonly vmId: string }
  | { readonly name: 'destroyVirtualMachine'; readonly vmId: string; readonly expunge: boolean };

/** A command that CloudStack has taken, and what it makes, where the answer says so. */
export interface CloudAccepted {
  readonly jobId: string;
  readonly volumeId: string | null;
  readonly snapshotId: string | null;
}

/** The owner of a VM or volume: a project, or an account of a domain. null: CloudStack does not say. */
export interface CloudOwner {
  readonly projectId: string | null;
  readonly account: string | null;
  readonly domainId: string | null;
}

/**
 * False only when both owners are known and differ. An owner that a person has configured may be written in
 * another case: CloudStack takes it.
 */
export function sameOwner(a: CloudOwner, b: CloudOwner): boolean {
  if (a.projectId !== null || b.projectId !== null) return sameText(a.projectId, b.projectId);
  if (a.account === null || b.account === null) return true;
  return (
    sameText(a.account, b.account) &&
    (sameText(a.domainId, b.domainId) || a.domainId === null || b.domainId === null)
  );
}

function sameText(a: string | null, b: string | null): boolean {
  return a?.toLowerCase() === b?.toLowerCase();
}

export interface CloudVolume {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** Allocated, Ready, Creating, Attaching, … "attached" is not a state: see vmId. */
  readonly state: string;
  /** Bytes; null when CloudStack does not say. */
  readonly size: number | null;
  readonly zoneId: string | null;
  readonly zoneName: string | null;
  /** The VM it is attached to, null = detached. */
  readonly vmId: string | null;
  readonly vmName: string | null;
  /** State of that VM, null when detached or when CloudStack does not say. */
  readonly vmState: string | null;
  readonly deviceId: number | null;
  /** RFC 3339 as normalised by the client, null when unparsable. */
  readonly created: string | null;
  readonly attached: string | null;
  /** CloudStack refuses to delete it until that is switched off (4.20 and later). */
  readonly deleteProtection: boolean;
  readonly owner: CloudOwner;
}

export interface CloudSnapshot {
  readonly id: string;
  readonly name: string;
  /** Of the volume it was taken of, which it may outlive. */
  readonly volumeId: string | null;
  /** Allocated, Creating, BackingUp, BackedUp, Error, Destroying, … */
  readonly state: string;
  /** Bytes of the volume when it was taken; null when CloudStack does not say. */
  readonly size: number | null;
  /** RFC 3339; null when unparsable. */
  readonly created: string | null;
  readonly owner: CloudOwner;
}

export interface CloudVm {
  readonly id: string;
  readonly name: string;
  /** Running, Stopped, Starting, Stopping, Destroyed, Expunging, … */
  readonly state: string;
  readonly hypervisor: string | null;
  /** RFC 3339, to the second, as that of a volume. */
  readonly created: string | null;
  readonly owner: CloudOwner;
}

export interface CloudZone {
  readonly id: string;
  readonly name: string;
  readonly allocationState: string | null;
}

export interface CloudDiskOffering {
  readonly id: string;
  readonly name: string;
  readonly customized: boolean;
  /** GiB, 0 when customized. */
  readonly sizeGiB: number;
}

/** Fields that are absent leave nothing out. */
export interface VolumeListFilter {
  readonly name?: string;
  readonly zoneId?: string;
  readonly vmId?: string;
  /** See Cloud.listVolumes. Default: false. */
  readonly isWhole?: boolean;
}

export interface CloudCapabilities {
  readonly version: string | null;
  /** From CloudStack's capabilities: true for every administrator; null when it does not say. */
  readonly mayExpungeVms: boolean | null;
  /** Expunge, and recover from the trash. */
  readonly mayExpungeVolumes: boolean | null;
  readonly seesDestroyedVms: boolean | null;
}

/** One attachment of a volume to a VM; attached again, it is another plug. */
export interface Plug {
  readonly deviceId: number | null;
  /** When CloudStack attached it, RFC 3339; null when it does not say. */
  readonly attached: string | null;
}

export interface CloudJob {
  readonly jobId: string;
  readonly status: 'pending' | 'succeeded' | 'failed';
  /** Error of a failed job; both null when CloudStack lost the result (management restart, queue timeout). */
  readonly errorCode: number | null;
  readonly errorText: string | null;
  /** jobinstanceid, or the volume of the result. */
  readonly volumeId: string | null;
  /** The same of a snapshot. */
  readonly snapshotId: string | null;
  /** Where the volume of the result was attached when the job ended; null: nowhere, or it has none. */
  readonly plug: Plug | null;
}

/**
 * final: refused, no effect. not-started: no effect, sending again is safe. unknown: it may have happened,
 * read before deciding. taken: this try did nothing, because CloudStack has the job id from an earlier one.
 */
export type CloudOutcome = 'final' | 'not-started' | 'unknown' | 'taken';

export type CloudErrorKind =
  | 'network' // no answer, or not one of CloudStack's
  | 'authentication' // 401
  | 'rate-limit' // 429
  | 'busy' // 431 whose text says that the object is in transition
  | 'parameter' // 431
  | 'unsupported' // 400, 405, 430, 432
  | 'permission' // 531
  | 'quota' // 535, 532
  | 'capacity' // 533
  | 'resource' // 534, 536
  | 'internal' // 530 and 5xx
  | 'configuration'; // no active ossea_configs row

/**
 * `message` keeps the phrase "CloudStack API error <code>" that existing callers look for, with CloudStack's
 * own text, control characters removed and length bounded.
 */
export class CloudError extends Error {
  readonly kind: CloudErrorKind;
  readonly outcome: CloudOutcome;
  readonly httpStatus: number | null;
  readonly code: number | null;
  readonly csCode: number | null;
  /** CloudStack's own text. */
  readonly text: string;
  /** When CloudStack said how long to wait (429). */
  readonly retryAfterMs: number | null;

  constructor(
    message: string,
    fields: {
      kind: CloudErrorKind;
      outcome: CloudOutcome;
      httpStatus?: number | null;
      code?: number | null;
      csCode?: number | null;
      text?: string;
      retryAfterMs?: number | null;
      cause?: unknown;
    },
  ) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.name = 'CloudError';
    this.kind = fields.kind;
    this.outcome = fields.outcome;
    this.httpStatus = fields.httpStatus ?? null;
    this.code = fields.code ?? null;
    this.csCode = fields.csCode ?? null;
    this.text = fields.text ?? message;
    this.retryAfterMs = fields.retryAfterMs ?? null;
  }

  /**
   * True when trying again later can help although nobody changes anything. A 401 can come from a failing
   * CloudStack database or a user disabled for a moment: it never had an effect, and only a lasting one means
   * a wrong key.
   */
  get transient(): boolean {
    switch (this.kind) {
      case 'network':
      case 'authentication':
      case 'rate-limit':
      case 'busy':
      case 'capacity':
      case 'resource':
      case 'internal':
      case 'configuration':
        return true;
      case 'parameter':
      case 'unsupported':
      case 'permission':
      case 'quota':
        return false;
      default:
        return this.kind satisfies never;
    }
  }
}

/** A list that lacks some of what CloudStack says that there is. */
export class IncompleteList extends CloudError {
  constructor(command: string, counted: number, shown: number) {
    super(`CloudStack counts ${counted} in its answer to ${command}, and shows ${shown}`, {
      kind: 'network',
      outcome: 'unknown',
    });
    this.name = 'IncompleteList';
  }
}
