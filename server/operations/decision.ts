import type {
  CloudCommand,
  CloudDiskOffering,
  CloudJob,
  CloudOwner,
  CloudVm,
  CloudVolume,
  CloudZone,
} from '../cloudstack/cloud';
import type { ErrorCode } from '../core/errors';
import type { Device, Holder } from '../devices/device';
import type { Evidence } from '../model/evidence';
import type { MappingEffect } from '../model/ledger';
import type { JournalState, JsonObject, Mapping, OperationOf, OperationType } from '../model/operation';
import type { Journal, MutationStep } from './journal';

/**
 * The vocabulary of "decide, then act": a decision sees a `Situation` and names the next `Action`; the engine performs it, puts what
 * it learned into the facts or the journal, and asks again. A decision has no effects, so every crash point is a table row in a
 * unit test, and the simulation runs the very same code.
 */
export interface Situation<T extends OperationType = OperationType> {
  readonly operation: OperationOf<T>;
  readonly journal: Journal;
  readonly facts: Facts;
  readonly policy: Policy;
  /** Monotonic ms since this was first asked of the stage in this run (0 the first time, which starts it). */
  elapsed(stage: string): number;
}

/** What an operator chose, and who we are. */
export interface Policy {
  /** CloudStack id of this VM, null while unknown. */
  readonly applianceVmId: string | null;
  readonly attachRollback: 'detach' | 'keep';
  readonly detachInUse: 'refuse' | 'force';
  readonly detachConnected: 'refuse' | 'disconnect';
  readonly volumeNames: 'warn' | 'unique' | 'any';
  /** trash: a delete destroys without expunging, so that the volume can be recovered. */
  readonly deleteMode: 'expunge' | 'trash';
  /** Exports are off with NBD_BACKEND=none. */
  readonly exportsEnabled: boolean;
  readonly correlationTimeoutMs: number;
  /** How long CloudStack must deny a job before it is believed that it was never accepted. */
  readonly jobLostAfterMs: number;
}

/**
 * What was observed in this run. Facts are never durable: a restarted daemon observes again. A fact that an action may have
 * changed is forgotten by that action (see ./execute/actions.ts).
 */
export interface Facts {
  readonly volume?: Evidence<CloudVolume>;
  readonly offer?: Offer;
  readonly vm?: Evidence<CloudVm>;
  /** The disks of the VM of a cleanup; unknown when the list does not even show its root disk. */
  readonly vmVolumes?: Evidence<readonly CloudVolume[]>;
  /** The job of the last query-job; `denied` when CloudStack says that it has no such job, `absent` once that is believed. */
  readonly job?: { readonly jobId: string; readonly found: CloudJob | 'denied' | 'absent' };
  /** Volumes of the name of a create that was sent more than once, made since, and owned by no operation. */
  readonly unclaimed?: readonly string[];
  /** Intents written in this run whose call has certainly not been sent, or certainly had no effect. */
  readonly unsent?: string;
  /** The job id that CloudStack says it has had before. */
  readonly taken?: string;
  /** What was read for this very send; gone with the next await. */
  readonly guards?: { readonly jobId: string } & Guards;
  readonly mapping?: Evidence<Mapping>;
  readonly obstacles?: {
    /** Jobs of earlier operations on the volume that may still do something. */
    readonly openJobs: number;
    /** Another attach of a disk without a serial that runs. */
    readonly conflictingOperation: string | null;
  };
  readonly device?: DeviceFact;
  readonly use?: DiskUse;
  /** Answer of the guest to "is the disk of this volume gone?". */
  readonly gone?: boolean;
  readonly published?: boolean;
  /** Why publishing failed last. */
  readonly publishError?: { readonly code: ErrorCode; readonly message: string };
}

export interface Offer {
  readonly zone: CloudZone | null;
  readonly offering: CloudDiskOffering | null;
  /** Who has to be named as the owner of the new one; null: nobody, it will belong to the account of the key. */
  readonly owner: CloudOwner | null;
  /** Live volumes of exactly that name in the zone, of the account that the new one will belong to. */
  readonly sameName: readonly CloudVolume[];
  /** An earlier operation of ours that is creating the same name right now. */
  readonly conflictingOperation: string | null;
}

/** Who uses the disk of a volume in this guest. */
export interface DiskUse {
  /**
   * found: the disk is known. not-there: every disk of the guest is known to be another one. unclear: it may be one of several disks
   * that do not tell; `holders` are then the users of all of these.
   */
  readonly disk: 'found' | 'not-there' | 'unclear';
  readonly holders: readonly Holder[];
}

/** The detachable connection of a volume with a VM: attached again, it is another plug. */
export interface Plug {
  readonly deviceId: number | null;
  /** CloudStack's time of the attach, RFC 3339; null when it does not say. */
  readonly attached: string | null;
}

/** What an intent says it is about. The world is held against it before every send. */
export interface Intent {
  /** The VM whose disks change, or that is stopped or destroyed. */
  readonly vmId: string | null;
  /** Of a detach: the connection it ends. */
  readonly plug: Plug | null;
  /** From whom the request, or a setting, allows to take the disk away. */
  readonly taking: Taking;
  /** An earlier try of the same step was sent after the volume had been seen. */
  readonly sentBefore: boolean;
}

/** Whose use of a disk does not hold a detach. */
export interface Taking {
  /** Mounts, swap, stacked devices, open descriptors. */
  readonly users: boolean;
  /** Clients of its export. */
  readonly clients: boolean;
}

/** What was read right before the call. */
export interface Guards {
  readonly volume: Evidence<CloudVolume> | null;
  readonly vm: Evidence<CloudVm> | null;
  readonly vmVolumes: Evidence<readonly CloudVolume[]> | null;
  /** Jobs of other operations on the volume that may still do something. */
  readonly openJobs: number;
  readonly use: DiskUse | null;
}

/** Calls that CloudStack answers at once, when they are done: they have no job that could be asked for. */
export interface SynchronousCall {
  readonly name: 'deleteVolume' | 'recoverVolume';
  readonly volumeId: string;
}

/** Every call that changes something in CloudStack. */
export type Mutation = CloudCommand | SynchronousCall;

export function isSynchronous(command: Mutation): command is SynchronousCall {
  return command.name === 'deleteVolume' || command.name === 'recoverVolume';
}

export type DeviceFact =
  | {
      readonly kind: 'found';
      readonly device: Device;
      readonly bootId: string | null;
      readonly matchedBy: 'serial' | 'size';
      readonly displaces: readonly string[];
    }
  | { readonly kind: 'missing'; readonly reason: string }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly reason: string;
      readonly considered: JsonObject[];
    };

export type Action =
  // Observations: they fill the facts and can be repeated at will
  | { readonly do: 'read-volume'; readonly volumeId: string }
  | { readonly do: 'read-offer' }
  | { readonly do: 'read-vm'; readonly vmId: string }
  | { readonly do: 'read-vm-volumes'; readonly vmId: string }
  | { readonly do: 'read-mapping'; readonly volumeId: string }
  | { readonly do: 'read-obstacles'; readonly volumeId: string; readonly toAppliance: boolean }
  | { readonly do: 'read-holders'; readonly volumeId: string }
  /** `since`: wall clock ms of the first try. */
  | { readonly do: 'find-unclaimed'; readonly since: number; readonly volumeId: string }
  | { readonly do: 'query-job'; readonly jobId: string }
  | { readonly do: 'await-device'; readonly volume: CloudVolume; readonly timeoutMs: number }
  | { readonly do: 'await-gone'; readonly volumeId: string; readonly timeoutMs: number }
  // Foreign calls, each between an intent and an answer
  /** `data` says what the call is about; the last look before every send is held against it. */
  | { readonly do: 'intend'; readonly step: MutationStep; readonly data?: JsonObject }
  /** Reads what the call depends on. Right before every send, first or resent. */
  | {
      readonly do: 'read-guards';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly command: Mutation;
    }
  /** The only way of a mutation to CloudStack; needs guards that were read for this very send. `resent`: not the first try. */
  | {
      readonly do: 'send';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly command: Mutation;
      readonly resent: boolean;
    }
  /** `vmId`: the VM whose disk the job changes, as far as it is known. */
  | {
      readonly do: 'await-job';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly vmId: string | null;
      readonly volumeId: string | null;
    }
  // Our own effects
  | { readonly do: 'publish'; readonly volumeId: string; readonly device: Device }
  | { readonly do: 'republish'; readonly volumeId: string }
  | { readonly do: 'withdraw'; readonly volumeId: string; readonly force: boolean }
  | {
      readonly do: 'record';
      readonly step: string;
      readonly state: JournalState;
      readonly data: JsonObject;
      readonly volumeId?: string;
      readonly effects?: MappingEffect[];
      /** Facts that this entry makes doubtful. */
      readonly forget?: readonly (keyof Facts)[];
    }
  // Time
  | {
      readonly do: 'pause';
      readonly ms: number;
      readonly step: string;
      readonly reason: string;
      readonly forget: readonly (keyof Facts)[];
    }
  | {
      readonly do: 'back-off';
      readonly step: string;
      readonly reason: string;
      readonly forget: readonly (keyof Facts)[];
    }
  // Ends
  | { readonly do: 'complete'; readonly response: JsonObject; readonly effects?: MappingEffect[] }
  | {
      readonly do: 'fail';
      readonly code: ErrorCode;
      readonly message: string;
      readonly response?: JsonObject;
    }
  | { readonly do: 'cancel'; readonly message: string };

/** A part of an operation that is over; the operation goes on with the next part. */
export interface Done<R> {
  readonly do: 'done';
  readonly result: R;
}

export function done<R>(result: R): Done<R> {
  return { do: 'done', result };
}

/** Decides to fail: journaled first, so that a crash in the middle of the undo continues with the undo. */
export function giveUp(code: ErrorCode, message: string, details: JsonObject = {}): Action {
  return {
    do: 'record',
    step: 'operation',
    state: 'failing',
    data: { code, message, details, cancelled: false },
  };
}
