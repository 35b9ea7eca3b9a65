import type { CloudCommand, CloudVolume } from '../cloudstack/cloud';
import type { ErrorCode } from '../core/errors';
import type { Device } from '../devices/device';
import type { MappingEffect } from '../model/ledger-writes';
import type { JournalState, JsonObject, RequestOf, Step } from '../model/operation';
import type { Facts, IgnoredUsers } from './decision';
import type { MutationStep } from './journal';

/** Calls that CloudStack answers only when they are done: they have no job that could be queried. */
export interface SynchronousCall {
  readonly name: 'deleteVolume' | 'recoverVolume';
  readonly volumeId: string;
}

/** Every call that changes something in CloudStack. */
export type Mutation = CloudCommand | SynchronousCall;

/** Is it one that CloudStack answers only when it is done? */
export function isSynchronous(command: Mutation): command is SynchronousCall {
  return command.name === 'deleteVolume' || command.name === 'recoverVolume';
}

/** What the engine does next, for a decision. */
export type Action =
  // Observations: they fill the facts and can be repeated
  | { readonly do: 'read-volume'; readonly volumeId: string }
  | { readonly do: 'read-offer' }
  | { readonly do: 'read-snapshot'; readonly snapshotId: string }
  | { readonly do: 'find-snapshots'; readonly volumeId: string; readonly name: string }
  | { readonly do: 'read-vm'; readonly vmId: string }
  | { readonly do: 'read-appliance'; readonly vmId: string }
  | { readonly do: 'read-vm-volumes'; readonly vmId: string }
  | { readonly do: 'read-mapping'; readonly volumeId: string }
  /** Whose rows those of the volumes on this VM are. */
  | { readonly do: 'read-neighbour'; readonly vmId: string }
  /** `needsSlot`: a slot of this guest is taken for the disk, if one is free. */
  | {
      readonly do: 'read-obstacles';
      readonly volumeId: string;
      readonly toAppliance: boolean;
      readonly needsSlot: boolean;
    }
  /** Whose use is not ignored is waited for, while it may be gone in a moment. */
  | { readonly do: 'read-holders'; readonly volumeId: string; readonly ignored: IgnoredUsers }
  /** Who uses this device, which was found for the volume and is not mapped yet. */
  | { readonly do: 'read-device-users'; readonly device: Device }
  | { readonly do: 'find-unclaimed'; readonly volumeId: string }
  | { readonly do: 'query-job'; readonly jobId: string }
  | { readonly do: 'read-parts'; readonly step: Step; readonly operationIds: readonly string[] }
  | { readonly do: 'await-device'; readonly volume: CloudVolume; readonly timeoutMs: number }
  /**
   * `leaves`: the volume is to be nowhere, or at another VM. Then a disk that may be it counts as well; one
   * that is attached here is told from an older disk by its arrival.
   */
  | {
      readonly do: 'await-gone';
      readonly volumeId: string;
      readonly timeoutMs: number;
      readonly leaves: boolean;
    }
  // Calls to CloudStack, each between a journaled intent and a journaled answer
  /**
   * `data` says what the call is about; the guards of every send are compared with it. `checked` is the
   * result of a step `check` that is journaled with it.
   */
  | {
      readonly do: 'intend';
      readonly step: MutationStep;
      readonly data?: JsonObject;
      readonly checked?: JsonObject;
    }
  /** Reads what the call depends on, right before every send, first or repeated. */
  | {
      readonly do: 'read-guards';
      readonly step: MutationStep;
      readonly jobId: string;
      readonly command: Mutation;
    }
  /**
   * The only action that changes CloudStack; needs guards read for this send. `resent`: not the first send of
   * this job id.
   */
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
  // Effects of our own
  /** Operations of their own, each of which waits for its turn; `data` is journaled with their ids. */
  | {
      readonly do: 'start-parts';
      readonly step: 'parts' | 'undo-parts';
      readonly requests: readonly PartRequest[];
      readonly data?: JsonObject;
    }
  | {
      readonly do: 'publish';
      readonly volumeId: string;
      readonly device: Device;
      /** The response of the operation that ends with it, in the same commit; absent: it goes on. */
      readonly completes?: JsonObject;
    }
  | { readonly do: 'republish'; readonly volumeId: string }
  | { readonly do: 'withdraw'; readonly volumeId: string; readonly force: boolean }
  | {
      readonly do: 'record';
      readonly step: Step;
      readonly state: Exclude<JournalState, 'waiting' | 'note'>;
      readonly data: JsonObject;
      readonly volumeId?: string;
      readonly effects?: MappingEffect[];
      /** Facts that must be read again after this entry. */
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

/** What a group asks for. */
export type PartRequest = {
  [T in 'snapshot' | 'delete-snapshot']: { readonly type: T; readonly request: RequestOf[T] };
}['snapshot' | 'delete-snapshot'];

/** The end of one part of an operation; the operation continues with the next part. */
export interface Done<R> {
  readonly do: 'done';
  readonly result: R;
}

export function done<R>(result: R): Done<R> {
  return { do: 'done', result };
}

/**
 * Decides to fail: journaled first, so that a crash in the middle of the undo continues with the undo. `more`
 * is remembered for it, and told nobody.
 */
export function giveUp(
  code: ErrorCode,
  message: string,
  details: JsonObject = {},
  more: JsonObject = {},
): Action {
  return {
    do: 'record',
    step: 'operation',
    state: 'failing',
    data: { code, message, details, cancelled: false, ...more },
  };
}
