import { saysRemoved } from '../cloudstack/errors';
import type { JournalEntry, JsonObject } from '../model/operation';

/** Steps whose intent goes to CloudStack. Each carries its own job id per try. */
export type MutationStep =
  | 'create-volume'
  | 'attach-volume'
  | 'detach-volume'
  | 'delete-volume'
  | 'recover-volume'
  | 'stop-vm'
  | 'destroy-vm'
  | 'undo-detach-volume';

/** What the journal knows of the latest try of a mutation. */
export type MutationState =
  | { readonly at: 'none' }
  /** Intent written, no answer: it may or may not have reached CloudStack. */
  | { readonly at: 'intended'; readonly jobId: string; readonly tries: number; readonly since: number }
  /** CloudStack took it; the job runs. */
  | {
      readonly at: 'accepted';
      readonly jobId: string;
      readonly tries: number;
      readonly volumeId: string | null;
    }
  /** The try is over: the effect is a question for a re-read unless `outcome` is refused. */
  | {
      readonly at: 'ended';
      readonly jobId: string;
      readonly tries: number;
      readonly volumeId: string | null;
      readonly outcome: 'ok' | 'refused' | 'failed' | 'unknown';
      /** CloudStack's number and words. */
      readonly code: number | null;
      readonly text: string | null;
      /** Code of ours, when the call was never sent because the last look before it forbade it. */
      readonly withheld: string | null;
      readonly details: JsonObject;
      /** The last look found the wanted state, or a world in which the call has no object. */
      readonly settled: boolean;
    };

/** Why the operation gave up; everything after it is undo. */
export interface Failing {
  readonly code: string;
  readonly message: string;
  readonly details: JsonObject;
  readonly cancelled: boolean;
}

/**
 * A journal, folded. Pure: the same entries always give the same view, so a restarted daemon decides like the one that died.
 */
export class Journal {
  private readonly entries: JournalEntry[];

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

  /** The data of the last entry `done` of this step, or null. */
  done(step: string): JsonObject | null {
    return this.last(step, 'done')?.data ?? null;
  }

  /** True when `step` was done and `undo` has not been done after it. */
  standing(step: string, undo: string): boolean {
    const made = this.last(step, 'done');
    const unmade = this.last(undo, 'done');
    return made !== undefined && (unmade === undefined || unmade.sequence < made.sequence);
  }

  get failing(): Failing | null {
    const entry = this.entries.find((candidate) => candidate.state === 'failing');
    if (!entry) return null;
    const { code, message, details, cancelled } = entry.data;
    return {
      code: textOr(code, 'INTERNAL'),
      message: textOr(message, ''),
      details: isObject(details) ? details : {},
      cancelled: cancelled === true,
    };
  }

  /** True once anything was to be asked of CloudStack. */
  get hasIntent(): boolean {
    return this.entries.some((entry) => entry.state === 'intent');
  }

  /** True once CloudStack has accepted anything, or may have done something: from here on a cancel is too late. */
  get hasEffect(): boolean {
    return this.entries.some(
      ({ state, step }) => step !== 'operation' && (state === 'accepted' || state === 'finished'),
    );
  }

  /** What the latest intent of this step says it is about; null when there is none. */
  intent(step: MutationStep): JsonObject | null {
    return this.last(step, 'intent')?.data ?? null;
  }

  /** How many reasons to wait were journaled. */
  get waits(): number {
    return this.entries.filter(({ state }) => state === 'waiting').length;
  }

  /** True when a try of this step was sent more than once, or its answer was lost and its job found later. */
  mayHaveDoubled(step: MutationStep): boolean {
    return this.entries.some(
      ({ step: of, data }) => of === step && (data.resent === true || data.found === true),
    );
  }

  /** True when a wait at this step was journaled with this reason before. */
  hasWaited(step: string, reason: string): boolean {
    return this.entries.some(
      (entry) => entry.state === 'waiting' && entry.step === step && entry.data.reason === reason,
    );
  }

  /** How often this step was intended. */
  mutationTries(step: MutationStep): number {
    const state = this.mutation(step);
    return state.at === 'none' ? 0 : state.tries;
  }

  /** CloudStack's sentence that the volume was removed, if a call of this operation was answered with it. */
  get removalProof(): string | null {
    const entry = this.entries.find(
      ({ data }) => typeof data.text === 'string' && saysRemoved(data.text, 'Volume'),
    );
    return entry ? textOr(entry.data.text, '') : null;
  }

  /** The intent of the first try of this step. */
  firstIntent(step: MutationStep): JournalEntry | null {
    return this.entries.find((entry) => entry.step === step && entry.state === 'intent') ?? null;
  }

  mutation(step: MutationStep): MutationState {
    let state: MutationState = { at: 'none' };
    for (const entry of this.entries) {
      if (entry.step === step) state = advance(state, entry);
    }
    return state;
  }

  private last(step: string, state: JournalEntry['state']): JournalEntry | undefined {
    return this.entries.findLast((entry) => entry.step === step && entry.state === state);
  }
}

function advance(state: MutationState, entry: JournalEntry): MutationState {
  const tries = state.at === 'none' ? 0 : state.tries;
  const jobId = textOr(entry.data.job_id, state.at === 'none' ? '' : state.jobId);
  const known = state.at === 'accepted' || state.at === 'ended' ? state.volumeId : null;
  const volumeId = typeof entry.data.volume_id === 'string' ? entry.data.volume_id : known;
  const code = typeof entry.data.code === 'number' ? entry.data.code : null;
  const text = typeof entry.data.text === 'string' ? entry.data.text : null;
  const { withheld, details, settled } = entry.data;
  const unsent = {
    withheld: typeof withheld === 'string' ? withheld : null,
    details: isObject(details) ? details : {},
    settled: settled === true,
  };
  switch (entry.state) {
    case 'intent':
      return { at: 'intended', jobId, tries: tries + 1, since: entry.at };
    case 'accepted':
      return { at: 'accepted', jobId, tries, volumeId };
    case 'refused':
      return { at: 'ended', jobId, tries, volumeId, outcome: 'refused', code, text, ...unsent };
    case 'finished':
      return {
        at: 'ended',
        jobId,
        tries,
        volumeId,
        outcome: outcomeOf(entry.data.outcome),
        code,
        text,
        ...unsent,
      };
    default:
      return state;
  }
}

function outcomeOf(value: unknown): 'ok' | 'failed' | 'unknown' {
  return value === 'ok' || value === 'failed' ? value : 'unknown';
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
