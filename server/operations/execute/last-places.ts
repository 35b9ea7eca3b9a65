import type { CloudVolume } from '../../cloudstack/cloud';
import { isLeaving } from '../../cloudstack/volume-states';
import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { type Evidence, unknown } from '../../model/evidence';
import type { Ledger } from '../../model/ledger';
import { isTerminal, type Operation } from '../../model/operation';
import { intentOf } from '../decide/intent';
import { CALL_STATES, Journal, type MutationStep } from '../journal';

/** Where a job of an operation that has ended has left its volume. */
interface Place {
  readonly operationId: string;
  readonly at: 'deleted' | 'detached' | 'attached';
  readonly vmId: string | null;
}

/** A plug that is no more; `attached` is when CloudStack had made it. */
interface EndedPlug {
  readonly vmId: string;
  readonly attached: string;
}

/** What an operation has left. `place` null: nobody knows where its last call has left the volume. */
interface Left {
  readonly place: Place | null;
  readonly ended: readonly EndedPlug[];
  /** A call of it has worked that CloudStack does not accept, or does not end, without storage. */
  readonly hasStorage: boolean;
}

/** The same, and monotonic ms at which it was noted. */
interface Noted extends Left {
  readonly atMs: number;
  /** Noted before it, and still of use. */
  readonly before: Noted | null;
}

const ATTACH: MutationStep = 'attach-volume';
const DETACHES: readonly string[] = ['detach-volume', 'undo-detach-volume'] satisfies MutationStep[];
const MAKES_DETACHED: readonly string[] = ['create-volume', 'recover-volume'] satisfies MutationStep[];
const LEAVES_DETACHED: readonly string[] = [...DETACHES, ...MAKES_DETACHED];
const MOVES: readonly string[] = [ATTACH, ...LEAVES_DETACHED, 'delete-volume'];

/**
 * Where, and in which state, the operations of the last LIMITS.READ_SETTLE_MS have left their volumes. A look
 * at CloudStack that contradicts it may be older than their jobs, because management servers lag behind one
 * another: the volume is looked at again before that is believed.
 */
export class LastPlaces {
  private noted = new Map<string, Noted>();
  private readonly begunAtMs: number;

  constructor(
    private readonly ledger: Pick<Ledger, 'listOperations' | 'readJournal'>,
    private readonly clock: Clock,
  ) {
    this.begunAtMs = clock.monotonic();
  }

  /** To be called when an operation has ended, before another one of its volume begins to look. */
  note(operation: Operation, journal: Journal): void {
    const left = leftBy(operation, journal);
    if (operation.volumeId === '' || left === null) return;
    this.noted = new Map([...this.noted].filter(([, { atMs }]) => this.isFresh(atMs)));
    const before = this.fresh(this.noted.get(operation.volumeId) ?? null);
    this.noted.set(operation.volumeId, { ...left, atMs: this.clock.monotonic(), before });
  }

  /**
   * What was seen of the volume, or why it is to be looked at again. `by`: the operation that has looked;
   * what that one has changed itself is its own to judge. Throws DATABASE_UNAVAILABLE.
   */
  async doubt(
    volumeId: string,
    shown: Evidence<CloudVolume>,
    by: { readonly id: string; readonly journal: Journal },
  ): Promise<Evidence<CloudVolume>> {
    if (shown.kind === 'unknown') return shown;
    const known = this.noted.get(volumeId) ?? (await this.ofEarlierOwner(volumeId, by.id));
    const noted = this.fresh(known);
    const why = noted && contradiction(noted, shown.kind === 'seen' ? shown.value : null, by.journal);
    return why === null ? shown : unknown(why, shown.at, 'database');
  }

  /**
   * An owner that has just begun does not know what was done before it. How long ago that was is told by
   * clocks that may differ, so the last operation counts as one that has ended just then.
   */
  private async ofEarlierOwner(volumeId: string, except: string): Promise<Noted | null> {
    if (volumeId === '' || !this.isFresh(this.begunAtMs)) return null;
    const left = (await this.lastInLedger(volumeId, except)) ?? { place: null, ended: [], hasStorage: false };
    const noted = { ...left, atMs: this.begunAtMs, before: null };
    // An operation of this owner may have ended meanwhile.
    if (!this.noted.has(volumeId)) this.noted.set(volumeId, noted);
    return this.noted.get(volumeId) ?? noted;
  }

  /** Whatever else waits for the volume by now, or has moved nothing since, is passed over. */
  private async lastInLedger(volumeId: string, except: string): Promise<Left | null> {
    const limit = LIMITS.RECENT_OPERATIONS;
    let before: number | undefined;
    for (let looked = 0; looked < LIMITS.OPERATIONS_LOOKED_THROUGH; looked += limit) {
      const latest = await this.ledger.listOperations({ volumeId, limit, before });
      for (const operation of latest) {
        if (operation.id === except || !isTerminal(operation.status)) continue;
        const left = leftBy(operation, new Journal(await this.ledger.readJournal(operation.id)));
        if (left !== null) return left;
      }
      before = latest.at(-1)?.sequence;
      if (latest.length < limit) return null;
    }
    return null;
  }

  private fresh(noted: Noted | null): Noted | null {
    if (noted === null || !this.isFresh(noted.atMs)) return null;
    return { ...noted, before: this.fresh(noted.before) };
  }

  private isFresh(atMs: number): boolean {
    return this.clock.monotonic() - atMs <= LIMITS.READ_SETTLE_MS;
  }
}

/** null: CloudStack was not asked to move the volume. A call that was refused has moved nothing. */
function leftBy({ id, status }: Pick<Operation, 'id' | 'status'>, journal: Journal): Left | null {
  const all = journal.entries.filter(
    ({ step, state }) => MOVES.includes(step) && CALL_STATES.includes(state),
  );
  const refused = new Set(all.filter(({ state }) => state === 'refused').map(({ data }) => data.job_id));
  const calls = all.filter(({ data }) => !refused.has(data.job_id));
  const last = calls.at(-1);
  if (last === undefined) return null;
  const intentFor = (jobId: unknown) =>
    calls.find(({ state, data }) => state === 'intent' && data.job_id === jobId)?.data ?? null;
  // Of a job whose end is not known, an operation that has reached its goal has seen the effect.
  const worked = calls.filter(
    (call) =>
      call.state === 'finished' && (call.data.outcome === 'ok' || (call === last && status === 'completed')),
  );
  const ended = worked.flatMap(({ step, data }) => {
    const { vmId, plug } = intentOf(DETACHES.includes(step) ? intentFor(data.job_id) : null);
    return vmId === null || plug === null || plug.attached === null
      ? []
      : [{ vmId, attached: plug.attached }];
  });
  const unplaced = { place: null, ended, hasStorage: worked.some(({ step }) => step !== 'create-volume') };
  if (!worked.includes(last)) return unplaced;
  const place = (at: Place['at'], vmId: string | null = null) => ({
    ...unplaced,
    place: { operationId: id, at, vmId },
  });
  if (LEAVES_DETACHED.includes(last.step)) return place('detached');
  const intent = intentFor(last.data.job_id);
  const { vmId } = intentOf(intent);
  if (last.step === ATTACH) return vmId === null ? unplaced : place('attached', vmId);
  // What was put into the trash is shown, and may be brought back.
  return status === 'completed' && intent?.expunge !== false ? place('deleted') : unplaced;
}

/** Why the look may be old; `volume` null: there is none. null: it may well be true. */
function contradiction(noted: Noted, volume: CloudVolume | null, journal: Journal): string | null {
  if (volume === null && journal.wasAccepted('delete-volume')) return null;
  const { place } = noted;
  const hasMoved = [ATTACH, 'detach-volume', 'undo-detach-volume'] as const;
  const isOwnToJudge = volume !== null && hasMoved.some((step) => journal.wasAccepted(step));
  if (place !== null && !isOwnToJudge && !agrees(place, volume))
    return `${leftText(place)}, and CloudStack shows it ${volume === null ? 'as deleted' : whereText(volume.vmId)}`;
  if (volume === null) return null;
  if (place !== null && isLeaving(volume) && !isOwnState(journal))
    return `${leftText(place)}, and CloudStack shows it in state ${volume.state}`;
  // Attached it has none as long as its VM was never started.
  if (volume.vmId === null && volume.state === 'Allocated' && hasStorage(noted))
    return 'it has just been attached or detached, and CloudStack shows it without storage as before';
  return isEnded(noted, volume)
    ? `it was just detached from VM ${volume.vmId ?? ''}, and CloudStack shows it there as before`
    : null;
}

function leftText({ operationId, at, vmId }: Place): string {
  return `operation ${operationId} has just ${at === 'deleted' ? 'deleted it' : `left it ${whereText(vmId)}`}`;
}

function agrees({ at, vmId }: Place, volume: CloudVolume | null): boolean {
  return at === 'deleted' || volume === null ? at === 'deleted' && volume === null : volume.vmId === vmId;
}

/** Whether the volume is deleted is what the operation that looks changes itself. */
function isOwnState(journal: Journal): boolean {
  return (['delete-volume', 'recover-volume'] as const).some((step) => journal.intent(step) !== null);
}

function hasStorage(noted: Noted): boolean {
  for (let one: Noted | null = noted; one !== null; one = one.before) if (one.hasStorage) return true;
  return false;
}

/** The volume is shown in a plug that an operation has ended. */
function isEnded(noted: Noted, { vmId, attached }: CloudVolume): boolean {
  for (let one: Noted | null = noted; one !== null; one = one.before)
    if (one.ended.some((plug) => plug.vmId === vmId && plug.attached === attached)) return true;
  return false;
}

function whereText(vmId: string | null): string {
  return vmId === null ? 'detached' : `on VM ${vmId}`;
}
