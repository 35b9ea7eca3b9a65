import type {
  CloudCommand,
  CloudDiskOffering,
  CloudJob,
  CloudVm,
  CloudVolume,
  CloudZone,
} from '../cloudstack/cloud';
import type { ErrorCode } from '../core/errors';
import type { Device, Holder } from '../devices/device';
import type { MappingEffect } from '../model/ledger';
import type { JournalState, JsonObject, Mapping, OperationOf, OperationType } from '../model/operation';
import type { Journal, MutationStep } from './journal';

/**
 * The vocabulary of "decide, then act" (DESIGN section 3): a decision sees a `Situation` and names the next `Action`; the
 * engine performs it, puts what it learned into the facts or the journal, and asks again. Decisions are pure, so every
 * crash point is a table row in a unit test, and the simulation runs the very same code.
 */
export interface Situation<T extends OperationType = OperationType> {
  readonly operation: OperationOf<T>;
  readonly journal: Journal;
  readonly facts: Facts;
  readonly policy: Policy;
  /** Monotonic ms since the named stage was first reached in this run (0 the first time). */
  elapsed(stage: string): number;
}

/** What an operator chose, and who we are. */
export interface Policy {
  /** CloudStack id of this VM, null while unknown. */
  readonly applianceVmId: string | null;
  readonly attachRollback: 'detach' | 'keep';
  readonly detachInUse: 'refuse' | 'force';
  readonly detachConnected: 'refuse' | 'disconnect';
  readonly volumeNames: 'unique' | 'any';
  /** Exports are off with NBD_BACKEND=none. */
  readonly exportsEnabled: boolean;
  /** ms */
  readonly correlationTimeout: number;
}

/**
 * What was observed in this run. Facts are never durable: a restarted daemon observes again. A fact that an action may have
 * changed is forgotten by that action (see ./perform.ts).
 */
export interface Facts {
  readonly volume?: CloudVolume | 'absent';
  readonly offer?: Offer;
  readonly vm?: CloudVm | 'absent';
  /** Volumes on the VM of a cleanup. */
  readonly vmVolumes?: readonly CloudVolume[];
  /** The job of the last query-job, `unknown` when CloudStack does not know it. */
  readonly job?: { readonly jobId: string; readonly found: CloudJob | 'unknown' };
  /** Live volumes that a lost createVolume may have made, oldest look first. */
  readonly created?: { readonly volumes: readonly CloudVolume[]; readonly looks: number };
  /** Intents written in this run whose call has certainly not been sent, or certainly had no effect. */
  readonly unsent?: string;
  /** The job id that CloudStack says it has had before. */
  readonly taken?: string;
  readonly mapping?: Mapping | 'none';
  /** `pending`: a straggling job of an earlier operation still runs; `conflictingOperation`: another serial-less attach runs. */
  readonly obstacles?: { readonly stragglers: number; readonly conflictingOperation: string | null };
  readonly device?: DeviceFact;
  readonly holders?: readonly Holder[];
  /** Answer of the guest to "is the disk of this volume gone?". */
  readonly gone?: boolean;
  readonly published?: boolean;
  /** Why publishing failed last. */
  readonly publishError?: { readonly code: ErrorCode; readonly message: string };
}

export interface Offer {
  readonly zone: CloudZone | null;
  readonly offering: CloudDiskOffering | null;
  /** Live volumes of that name in the zone. */
  readonly sameName: readonly CloudVolume[];
  /** An earlier operation of ours that is creating the same name right now. */
  readonly conflictingOperation: string | null;
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
  /** `after`: ms to wait first; the job is asked about once more afterwards. */
  | { readonly do: 'find-created'; readonly since: number; readonly after: number }
  | { readonly do: 'query-job'; readonly jobId: string }
  | { readonly do: 'await-device'; readonly volume: CloudVolume; readonly timeout: number }
  | { readonly do: 'await-gone'; readonly volumeId: string; readonly timeout: number }
  // Foreign calls, each between an intent and an answer
  | { readonly do: 'intend'; readonly step: MutationStep; readonly data?: JsonObject }
  | {
      readonly do: 'submit';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly command: CloudCommand;
    }
  | {
      readonly do: 'delete-volume';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly volumeId: string;
    }
  /** `vmId`: the VM whose disk the job changes, as far as it is known. */
  | {
      readonly do: 'await-job';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly vmId: string | null;
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
