import type { Clock } from '~/server/core/clock';

const EFFECT_KINDS = [
  'create',
  'attach',
  'detach',
  'delete',
  'trash',
  'recover',
  'resize',
  'snapshot',
  'revert',
  'delete-snapshot',
  'stop',
  'start',
  'destroy',
] as const;
export type EffectKind = (typeof EFFECT_KINDS)[number];

/** A thing that really happened, for "each effect once". */
export interface Effect {
  readonly kind: EffectKind;
  /** '' for effects on a VM. */
  readonly volumeId: string;
  readonly vmId: string | null;
  readonly jobId: string | null;
  /** Account that asked for it; null when the job says so. */
  readonly by: string | null;
  readonly at: number;
}

/**
 * What went on, in order: calls, jobs, effects, what the hypervisor did to a guest, faults
 * that struck, restarts.
 */
export interface HistoryEvent {
  readonly sequence: number;
  readonly at: number;
  readonly what:
    | 'call'
    | 'job-accepted'
    | 'job-started'
    | 'job-ended'
    | 'effect'
    | 'plugged'
    | 'unplugged'
    | 'fault'
    | 'restart';
  readonly detail: string;
  readonly volumeId?: string;
  readonly vmId?: string;
  readonly jobId?: string;
}

/** Older events are forgotten; effects never are. */
const EVENTS_MAX = 10_000;

export class History {
  readonly effects: Effect[] = [];
  private log: HistoryEvent[] = [];
  private sequence = 0;

  constructor(private readonly clock: Clock) {}

  events(): readonly HistoryEvent[] {
    return this.log;
  }

  note(what: HistoryEvent['what'], detail: string, about: Partial<HistoryEvent> = {}): void {
    this.sequence += 1;
    this.log.push({ ...about, sequence: this.sequence, at: this.clock.now(), what, detail });
    if (this.log.length > EVENTS_MAX) this.log = this.log.slice(EVENTS_MAX / 2);
  }

  effect(
    kind: EffectKind,
    about: { volumeId?: string; vmId?: string | null; jobId?: string | null; by?: string },
  ): void {
    const { volumeId = '', vmId = null, jobId = null, by = null } = about;
    this.effects.push({ kind, volumeId, vmId, jobId, by, at: this.clock.now() });
    this.note('effect', kind, {
      ...(volumeId === '' ? {} : { volumeId }),
      ...(vmId === null ? {} : { vmId }),
      ...(jobId === null ? {} : { jobId }),
    });
  }

  effectsOf(volumeId: string, kind: EffectKind): number {
    return this.effects.filter((effect) => effect.volumeId === volumeId && effect.kind === kind).length;
  }

  effectsOfJob(jobId: string): number {
    return this.effects.filter((effect) => effect.jobId === jobId).length;
  }

  /** How often what happened, by volume and by job. */
  counts(): {
    byVolume: Record<string, Partial<Record<EffectKind, number>>>;
    byJob: Record<string, number>;
  } {
    const byVolume: Record<string, Partial<Record<EffectKind, number>>> = {};
    const byJob: Record<string, number> = {};
    for (const { kind, volumeId, jobId } of this.effects) {
      if (volumeId !== '') {
        const counted = byVolume[volumeId] ?? {};
        counted[kind] = (counted[kind] ?? 0) + 1;
        byVolume[volumeId] = counted;
      }
      if (jobId !== null) byJob[jobId] = (byJob[jobId] ?? 0) + 1;
    }
    return { byVolume, byJob };
  }
}
