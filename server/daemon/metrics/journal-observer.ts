import {
  type JournalEntry,
  OPERATION_TYPES,
  type Operation,
  type OperationType,
  type TerminalStatus,
} from '../../model/operation';
import type { Catalogue } from './catalogue';

interface Followed {
  readonly type: OperationType;
  /** Wall clock ms. */
  readonly acceptedAt: number;
  /** When the current step began. */
  since: number;
  /** When CloudStack reported the volume attached; null again once its device is mapped. */
  attachedAt: number | null;
}

/** Operations followed at once; the end of some is never seen, because another process has continued them. */
const FOLLOWED_MAX = 10_000;

/**
 * Measures durations from journal entries as they are written. Operations begun by an earlier process are
 * looked up once.
 */
export class JournalObserver {
  private readonly followed = new Map<string, Followed>();

  constructor(
    private readonly metrics: Pick<Catalogue, 'ended' | 'duration' | 'stepDuration' | 'detection'>,
    private readonly running: (operationId: string) => Operation | null,
    /** `durationMs` from acceptance to the end. */
    private readonly onEnded: (status: TerminalStatus, durationMs: number) => void = () => {},
  ) {}

  observe(entry: JournalEntry): void {
    if (entry.operationId === '') return;
    const followed = this.followed.get(entry.operationId) ?? this.follow(entry);
    if (!followed) return;
    if (entry.step === 'operation') this.status(entry, followed);
    else this.step(entry, followed);
  }

  private follow(entry: JournalEntry): Followed | null {
    const given = entry.state === 'pending' ? entry.data.type : null;
    const known = this.running(entry.operationId);
    const type = known?.type ?? typeOf(given);
    if (type === null || type === 'unreadable') return null;
    const followed = { type, acceptedAt: known?.createdAt ?? entry.at, since: entry.at, attachedAt: null };
    if (this.followed.size >= FOLLOWED_MAX) this.forgetOldest();
    this.followed.set(entry.operationId, followed);
    return followed;
  }

  private forgetOldest(): void {
    const [oldest] = this.followed.keys();
    if (oldest !== undefined) this.followed.delete(oldest);
  }

  private status({ operationId, state, at }: JournalEntry, followed: Followed): void {
    followed.since = at;
    if (state !== 'completed' && state !== 'failed' && state !== 'cancelled') return;
    const labels = { type: followed.type, status: state };
    this.metrics.ended.inc(labels);
    this.metrics.duration.observe(labels, seconds(at - followed.acceptedAt));
    this.onEnded(state, Math.max(0, at - followed.acceptedAt));
    this.followed.delete(operationId);
  }

  private step({ step, state, data, at }: JournalEntry, followed: Followed): void {
    const begun = followed.since;
    switch (state) {
      case 'intent':
        followed.since = at;
        return;
      case 'done':
      case 'finished':
      case 'refused':
        this.metrics.stepDuration.observe({ type: followed.type, step }, seconds(at - begun));
        followed.since = at;
        break;
      default:
        return;
    }
    if (step === 'attach-volume' && data.outcome === 'ok') followed.attachedAt = at;
    if (step !== 'map' || followed.attachedAt === null) return;
    this.metrics.detection.observe(seconds(at - followed.attachedAt));
    followed.attachedAt = null;
  }
}

/** The wall clock may be set back. */
function seconds(ms: number): number {
  return Math.max(0, ms) / 1000;
}

function typeOf(value: unknown): OperationType | null {
  return OPERATION_TYPES.find((type) => type === value) ?? null;
}
