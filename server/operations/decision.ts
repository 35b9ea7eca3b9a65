import type {
  CloudDiskOffering,
  CloudJob,
  CloudOwner,
  CloudSnapshot,
  CloudVm,
  CloudVolume,
  CloudZone,
  Plug,
} from '../cloudstack/cloud';
import type { ErrorCode } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Device, Holder, OtherDisk } from '../devices/device';
import type { Traffic } from '../devices/disk-traffic';
import type { Evidence } from '../model/evidence';
import type { JsonObject, Mapping, Match, Operation, OperationOf, OperationType } from '../model/operation';
import type { Journal } from './journal';
import type { Policy } from './policy';

/**
 * The vocabulary of "decide, then act": a decision takes a `Situation` and returns the next `Action`
 * (./action.ts); the engine performs it, adds what it learned to the facts or the journal, and asks
 * again. A decision has no effects, so every crash point can be a table row in a unit test, and the
 * simulation runs the same code.
 */
export interface Situation<T extends OperationType = OperationType> {
  readonly operation: OperationOf<T>;
  readonly journal: Journal;
  readonly facts: Facts;
  readonly policy: Policy;
  /**
   * Monotonic ms since the first call for this stage in this run; the first call starts the stage and returns
   * 0.
   */
  elapsed(stage: string): number;
  /**
   * The same of a doubt in what was seen, since the last call of the operation or the begin of its undo: a
   * doubt that was dispelled before is no reason to believe the first look that raises it again.
   */
  doubted(name: string): number;
}

/**
 * A disk of a VM. A migrated system disk is attached as its root: CloudStack would expunge it with the VM.
 */
export interface VmDisk extends CloudVolume {
  /** Of a root disk: proven to be ours (see Ledger.ownVolumes). */
  readonly ours?: boolean;
}

/**
 * A VM with such a disk is not destroyed. Its root disk goes with it only when it came with it: CloudStack
 * makes both in one step, while a migrated disk is older than the VM that gets it. That no row names a root
 * disk proves nothing, because the rows may have been pruned, or be in another database.
 */
export function outlivesItsVm({ type, ours, created }: VmDisk, vm: Pick<CloudVm, 'created'>): boolean {
  if (type !== 'ROOT' || ours === true || created === null || vm.created === null) return true;
  return Math.abs(Date.parse(created) - Date.parse(vm.created)) > LIMITS.MADE_WITH_VM_MS;
}

/**
 * What was observed in this run. Facts are never durable: a restarted daemon observes again. A fact that an
 * action may have changed is forgotten by that action (see ./execute/actions.ts).
 */
export interface Facts {
  readonly volume?: Evidence<CloudVolume>;
  readonly offer?: Offer;
  readonly vm?: Evidence<CloudVm>;
  /** This VM, as CloudStack shows it. */
  readonly appliance?: Evidence<CloudVm>;
  /** The snapshot that the request names. */
  readonly snapshot?: Evidence<CloudSnapshot>;
  /** The snapshots of the volume that have the name of this operation, which nobody else gives. */
  readonly ownSnapshots?: readonly CloudSnapshot[];
  /** The operations that a step of this one has begun, in the order of their requests. */
  readonly parts?: { readonly step: string; readonly operations: readonly Operation[] };
  /** The disks of the test VM of a cleanup; unknown when the list does not even show its root disk. */
  readonly vmVolumes?: Evidence<readonly VmDisk[]>;
  /**
   * Result of the last query-job; `denied`: CloudStack says that it has no such job, `absent`: it has said so
   * for long enough; `forgotten`: the same so long after the intent that CloudStack may have deleted the job.
   */
  readonly job?: { readonly jobId: string; readonly found: CloudJob | 'denied' | 'absent' | 'forgotten' };
  /**
   * After a create that was sent more than once: volumes of its name that are new since its check, and of no
   * operation.
   */
  readonly unclaimed?: readonly string[];
  /**
   * Job id of an intent written in this run whose call was certainly not sent, or certainly had no effect.
   */
  readonly unsent?: string;
  /** The job id that CloudStack says it has seen before. */
  readonly taken?: string;
  /** What was read for this send; discarded once it has been used. */
  readonly guards?: ReadGuards;
  readonly mapping?: Evidence<Mapping>;
  /** Read with the mapping: an export of the volume leads to a disk of this guest, whatever the rows say. */
  readonly exported?: boolean;
  /**
   * By VM, of those that were asked about: its daemon, or null when none ever ran there; see
   * Guards.neighbour.
   */
  readonly neighbours?: ReadonlyMap<string, Neighbour | null>;
  readonly obstacles?: {
    /** Jobs of earlier operations on the volume that may still have an effect. */
    readonly openJobs: number;
    /** A running operation that attaches another disk, without a serial or with the same. */
    readonly conflictingOperation: string | null;
    /** Set when this VM takes no more disks. */
    readonly full?: FullVm;
  };
  readonly device?: DeviceFact;
  readonly use?: DiskUse;
  /** Whether the disk of the volume has left the guest. */
  readonly gone?: boolean;
  readonly published?: boolean;
  /** Why the last attempt to publish failed. */
  readonly publishError?: { readonly code: ErrorCode; readonly message: string };
}

/** No slot was free when one was asked for. */
export interface FullVm {
  /** For people: who says so. */
  readonly reason: string;
  /** So many attaches wait for a slot already that another one may not. */
  readonly crowded: boolean;
}

/** What CloudStack has for a create, and who has its name already. */
export interface Offer {
  readonly zone: CloudZone | null;
  readonly offering: CloudDiskOffering | null;
  /** The owner to name in createVolume; null: none, so the volume will belong to the account of the key. */
  readonly owner: CloudOwner | null;
  /** Why it is not known whether one is to be named: this appliance, whose owner is meant, is not shown. */
  readonly ownerUnknown?: string;
  /** Existing volumes of exactly that name in the zone, of the account that the new one will belong to. */
  readonly sameName: readonly CloudVolume[];
  /** An earlier operation of ours that is creating a volume of the same name. */
  readonly conflictingOperation: string | null;
}

/** Who uses the disk of a volume in this guest. */
export interface DiskUse {
  /**
   * found: the disk is known. not-there: every disk of the guest is known to be another one. unclear: it may
   * be one of several disks without a serial; `holders` are then the users of all of these.
   */
  readonly disk: 'found' | 'not-there' | 'unclear';
  readonly holders: readonly Holder[];
  /** What flows to and from it, read when NBD clients are connected; otherwise nobody asks. */
  readonly traffic?: Evidence<Traffic>;
}

/** The guards of one send. */
export interface ReadGuards extends Guards {
  readonly jobId: string;
  /** Monotonic ms at which they were all read. */
  readonly readAtMs: number;
}

/** What an intent says the call is about. The guards are compared with it before every send. */
export interface Intent {
  /** The VM whose disks change, or that is stopped or destroyed. */
  readonly vmId: string | null;
  /** The attachment that a detach ends. */
  readonly plug: Plug | null;
  /** Whose use of the disk the request or a setting ignores. */
  readonly ignored: IgnoredUsers;
  /** The VM must not run: its guest would lose a disk that it uses. */
  readonly stillOnly: boolean;
  /** The guest must not have the disk: an attach whose disk never came is undone. */
  readonly missingOnly: boolean;
  /** True when an earlier try of the same step was sent, after the volume had been seen. */
  readonly sentBefore: boolean;
}

/** Whose use of a disk does not prevent a detach. */
export interface IgnoredUsers {
  /** Mounts, swap, stacked devices, open file descriptors. */
  readonly users: boolean;
  /** NBD clients of its export: all of them, or those whose disk has certainly been silent for a while. */
  readonly clients: boolean | 'when-idle';
}

/** What was read right before the call, to decide whether it may be sent. */
export interface Guards {
  readonly volume: Evidence<CloudVolume> | null;
  readonly vm: Evidence<CloudVm> | null;
  readonly vmVolumes: Evidence<readonly VmDisk[]> | null;
  readonly snapshot: Evidence<CloudSnapshot> | null;
  readonly ownSnapshots: readonly CloudSnapshot[] | null;
  readonly mapping: Evidence<Mapping> | null;
  /** See Facts.exported. */
  readonly exported: boolean | null;
  /**
   * May a disk of this guest be the volume's? For a revert and an attach to another VM also one that cannot
   * be read. null: not read; for an attach that was intended just now it was asked before.
   */
  readonly ghost: boolean | null;
  /** Jobs of other operations on the volume that may still have an effect. */
  readonly openJobs: number;
  readonly use: DiskUse | null;
  /**
   * Whose appliance the VM is that the call acts on, or for a revert the VM that the mapping names, with this
   * database; null: nobody's, or this daemon's own.
   */
  readonly neighbour: Neighbour | null;
}

/** A daemon that runs on another VM, or ran there once. */
export interface Neighbour {
  readonly vmId: string;
  readonly owner: string;
  readonly runs: boolean;
}

export type DeviceFact =
  | {
      readonly kind: 'found';
      readonly device: Device;
      readonly bootId: string | null;
      readonly matchedBy: Match;
      readonly displaces: readonly string[];
    }
  | {
      readonly kind: 'missing';
      /** Bytes, of the volume as it was when its disk was looked for. */
      readonly volumeSize: number | null;
      /** The same: the plug whose disk was looked for. */
      readonly plug: Plug;
      readonly reason: string;
      /** Disks on buses on which no volume is looked for. */
      readonly others: readonly OtherDisk[];
    }
  | {
      readonly kind: 'refused';
      readonly volumeSize: number | null;
      readonly plug: Plug;
      readonly code: ErrorCode;
      readonly reason: string;
      readonly considered: JsonObject[];
    };
