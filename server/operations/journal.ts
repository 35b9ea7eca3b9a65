import type { Plug } from '../cloudstack/cloud';
import { saysRemoved } from '../cloudstack/errors';
import { type ErrorCode, storedErrorCode } from '../core/errors';
import { journalFlaw } from '../model/journal-flaw';
import {
  isObject,
  type JournalEntry,
  type JournalState,
  type JsonObject,
  type MutationStep,
  type Step,
} from '../model/operation';

export type { MutationStep } from '../model/operation';

/** What the journal knows of the latest try of a mutation. */
export type MutationState =
  | { readonly at: 'none' }
  /** Intent written, no answer: it may or may not have reached CloudStack. */
  | { readonly at: 'intended'; readonly jobId: string; readonly tries: number; readonly since: number }
  /** CloudStack has accepted it; the job runs. */
  | {
      readonly at: 'accepted';
      readonly jobId: string;
      readonly tries: number;
      readonly volumeId: string | null;
      readonly snapshotId: string | null;
    }
  /** The try has ended. Unless `outcome` is refused, its effect must be read from CloudStack. */
  | {
      readonly at: 'ended';
      readonly jobId: string;
      readonly tries: number;
      readonly volumeId: string | null;
      readonly snapshotId: string | null;
      readonly outcome: 'ok' | 'refused' | 'failed' | 'unknown';
      /** CloudStack's error code and text. */
      readonly code: number | null;
      readonly text: string | null;
      /** Our own error code, when the call was never sent because its guards forbade it. */
      readonly withheld: ErrorCode | null;
      readonly details: JsonObject;
      /** The guards showed that the wanted state holds already, or that the call has nothing left to do. */
      readonly settled: boolean;
    };

/** A try whose end is journaled. */
export type EndedTry = Extract<MutationState, { at: 'ended' }>;

/** States after which CloudStack may show something else than before, or something else is wanted of it. */
const TURNS: readonly JournalState[] = ['accepted', 'refused', 'finished', 'failing'];

/** States that take an operation further. An intent that is sent again and again does not. */
const PROGRESS: readonly JournalState[] = [...TURNS, 'done'];

/** What is journaled of a call. */
export const CALL_STATES: readonly JournalState[] = ['intent', 'accepted', 'refused', 'finished'];

/** Why the operation fails; every later step is part of the undo. */
export interface Failing {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: JsonObject;
  readonly cancelled: boolean;
  /**
   * The plug whose disk an attach has waited for in vain; null: another reason, or written by an earlier
   * version.
   */
  readonly plug: Plug | null;
}

/**
 * The state that follows from an operation's journal entries. Pure: the same entries always give the same
 * state, so a restarted daemon decides like the one before it.
 */
export class Journal {
  /** In order. */
  readonly entries: readonly JournalEntry[];

  constructor(entries: readonly JournalEntry[]) {
    this.entries = [...entries].sort((a, b) => a.sequence - b.sequence);
  }

  with(more: readonly JournalEntry[]): Journal {
    return new Journal([...this.entries, ...more]);
  }

  /** Sequence of the last entry, 0 when there is none. */
  get lastSequence(): number {
    return this.entries.at(-1)?.sequence ?? 0;
  }

  /** Why this version must not act on this journal, or null. */
  get unreadable(): string | null {
    return journalFlaw(this.entries);
  }

  /** Sequence of the last entry that took the operation further; 0 when there is none. */
  get progress(): number {
    return this.lastOf(PROGRESS);
  }

  /**
   * Sequence of the last entry after which what was seen before says nothing any more; 0 when there is none.
   */
  get turn(): number {
    return this.lastOf(TURNS);
  }

  private lastOf(states: readonly JournalState[]): number {
    return this.entries.findLast(({ state }) => states.includes(state))?.sequence ?? 0;
  }

  /** The data of the last entry `done` of this step, or null. */
  done(step: Step): JsonObject | null {
    return this.last(step, 'done')?.data ?? null;
  }

  /** True when `step` was done and `undo` has not been done after it. */
  standing(step: Step, undo: Step): boolean {
    const made = this.last(step, 'done');
    const unmade = this.last(undo, 'done');
    return made !== undefined && (unmade === undefined || unmade.sequence < made.sequence);
  }

  get failing(): Failing | null {
    const entry = this.entries.find((candidate) => candidate.state === 'failing');
    if (!entry) return null;
    const { code, message, details, cancelled, awaited } = entry.data;
    return {
      code: storedErrorCode(textOr(code, '')),
      message: textOr(message, ''),
      details: isObject(details) ? details : {},
      cancelled: cancelled === true,
      plug: isObject(awaited) ? plugIn(awaited) : null,
    };
  }

  /** True once a call to CloudStack was intended. */
  get hasIntent(): boolean {
    return this.entries.some((entry) => entry.state === 'intent');
  }

  /**
   * True once CloudStack has accepted a call or one may have had an effect, or once operations are begun for
   * this one: from then on a cancel is too late.
   */
  get hasEffect(): boolean {
    return this.entries.some(
      ({ state, step }) =>
        (step !== 'operation' && (state === 'accepted' || state === 'finished')) ||
        (step === 'begin-parts' && state === 'done'),
    );
  }

  /**
   * True once something may have changed that a cancel does not take back: a call that may have been sent,
   * operations that were begun, or a mapping that was written or deleted.
   */
  get hasChanged(): boolean {
    const calls = new Map<string, JournalState>();
    for (const { step, state } of this.entries) if (CALL_STATES.includes(state)) calls.set(step, state);
    const isOpen = [...calls.values()].includes('intent');
    return this.hasEffect || isOpen || this.done('map') !== null || this.done('unmap') !== null;
  }

  /** True when the answer to a call was lost, and it was refused or withheld when it was to be sent again. */
  get hasLostAnswer(): boolean {
    return this.entries.some(({ state, data }) => state === 'refused' && data.resent === true);
  }

  /** The data of the latest intent of this step; null when there is none. */
  intent(step: MutationStep): JsonObject | null {
    return this.last(step, 'intent')?.data ?? null;
  }

  /** How many waits were journaled. */
  get waits(): number {
    return this.entries.filter(({ state }) => state === 'waiting').length;
  }

  /** How often this step was done. */
  timesDone(step: Step): number {
    return this.entries.filter((entry) => entry.step === step && entry.state === 'done').length;
  }

  /** True when a try of this step was sent more than once, or its reply was lost and its job found later. */
  mayHaveDoubled(step: MutationStep): boolean {
    return this.wasFound(step) || this.entries.some((one) => one.step === step && one.data.resent === true);
  }

  /** True when the reply to a try of this step was lost, and its job found later. */
  wasFound(step: MutationStep): boolean {
    return this.entries.some(({ step: of, data }) => of === step && data.found === true);
  }

  /** True when a wait at this step was journaled with this reason before. */
  hasWaited(step: string, reason: string): boolean {
    return this.entries.some(
      (entry) => entry.state === 'waiting' && entry.step === step && entry.data.reason === reason,
    );
  }

  /** True when CloudStack took a try of this step, or may have. */
  wasAccepted(step: MutationStep): boolean {
    return this.entries.some((one) => one.step === step && ['accepted', 'finished'].includes(one.state));
  }

  /**
   * CloudStack's text that the volume was removed, if it answered a call of this operation with it; else
   * null.
   */
  get removalProof(): string | null {
    const entry = this.entries.find(({ data }) => typeof data.text === 'string' && saysRemoved(data.text));
    return entry ? textOr(entry.data.text, '') : null;
  }

  /** The entry that says that CloudStack has accepted this job; null when there is none. */
  accepted(jobId: string): JournalEntry | null {
    return this.entries.find(({ state, data }) => state === 'accepted' && data.job_id === jobId) ?? null;
  }

  /** The plug that an attach of this operation has made, as its job has shown it; null: it has not. */
  get madePlug(): Plug | null {
    const end = this.entries.findLast(({ step, state }) => step === 'attach-volume' && state === 'finished');
    return end ? plugIn(end.data) : null;
  }

  /** The intent of the first try of this step. */
  firstIntent(step: string): JournalEntry | null {
    return this.entries.find((entry) => entry.step === step && entry.state === 'intent') ?? null;
  }

  mutation(step: MutationStep): MutationState {
    let state: MutationState = { at: 'none' };
    for (const entry of this.entries) {
      if (entry.step === step) state = advance(state, entry);
    }
    return state;
  }

  private last(step: Step, state: JournalState): JournalEntry | undefined {
    return this.entries.findLast((entry) => entry.step === step && entry.state === state);
  }
}

function advance(state: MutationState, entry: JournalEntry): MutationState {
  const tries = state.at === 'none' ? 0 : state.tries;
  const jobId = textOr(entry.data.job_id, state.at === 'none' ? '' : state.jobId);
  const known = state.at === 'accepted' || state.at === 'ended' ? state : null;
  // What the call was answered with is proven to be ours. A job that ends with another one
  // says nothing about that.
  const made = {
    volumeId: known?.volumeId ?? textOr(entry.data.volume_id, null),
    snapshotId: known?.snapshotId ?? textOr(entry.data.snapshot_id, null),
  };
  const code = typeof entry.data.code === 'number' ? entry.data.code : null;
  const text = typeof entry.data.text === 'string' ? entry.data.text : null;
  const { withheld, details, settled } = entry.data;
  const unsent = {
    withheld: typeof withheld === 'string' ? storedErrorCode(withheld) : null,
    details: isObject(details) ? details : {},
    settled: settled === true,
  };
  switch (entry.state) {
    case 'intent':
      return { at: 'intended', jobId, tries: tries + 1, since: entry.at };
    case 'accepted':
      return { at: 'accepted', jobId, tries, ...made };
    case 'refused':
      return { at: 'ended', jobId, tries, ...made, outcome: 'refused', code, text, ...unsent };
    case 'finished':
      return {
        at: 'ended',
        jobId,
        tries,
        ...made,
        outcome: outcomeOf(entry.data.outcome),
        code,
        text,
        ...unsent,
      };
    default:
      return state;
  }
}

/** A plug, as entries remember it. */
export function plugEntry({ deviceId, attached }: Plug): JsonObject {
  return { device_id: deviceId, attached_at: attached };
}

/** What a plug is known by, as an entry remembers it; null: it remembers nothing. */
export function plugIn({ device_id: deviceId, attached_at: attached }: JsonObject): Plug | null {
  if (typeof deviceId !== 'number' && typeof attached !== 'string') return null;
  return {
    deviceId: typeof deviceId === 'number' ? deviceId : null,
    attached: typeof attached === 'string' ? attached : null,
  };
}

function outcomeOf(value: unknown): 'ok' | 'failed' | 'unknown' {
  return value === 'ok' || value === 'failed' ? value : 'unknown';
}

function textOr<T extends string | null>(value: unknown, fallback: T): string | T {
  return typeof value === 'string' ? value : fallback;
}
