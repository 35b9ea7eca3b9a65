import type { Cloud, CloudVolume } from '../cloudstack/cloud';
import type { Clock } from '../core/clock';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { type Evidence, seen, type Unknown, unknown } from '../model/evidence';
import type { Ledger } from '../model/ledger';
import { type CloudView, readCloud } from './read-cloud';

/** A volume that CloudStack has shown, or one that has a mapping or a disk here and is not shown. */
export interface ListedVolume {
  readonly id: string;
  readonly volume: Evidence<CloudVolume>;
}

/** What is known of all volumes. For showing only: whoever changes something reads the volume again. */
export interface Catalogue {
  /** By id, each once. */
  readonly volumes: readonly ListedVolume[];
  /** Wall clock ms: when the last look at all volumes began, and how long ago that was. */
  readonly at: number;
  readonly ageMs: number;
  /** Why CloudStack could not be asked since; null when the last look has succeeded. */
  readonly unknown: Unknown | null;
}

/** What a catalogue is made of. */
interface CatalogueParts {
  readonly cloud: Pick<Cloud, 'readVm' | 'listVolumes' | 'readVolume'>;
  readonly clock: Clock;
  ledger(): Pick<Ledger, 'listMappings' | 'listOperations'>;
  applianceVmId(): string | null;
}

interface Failure {
  readonly error: unknown;
  readonly what: Unknown;
  /** Monotonic ms of the last failed look. */
  readonly triedAt: number;
}

interface Look {
  readonly view: CloudView;
  readonly at: number;
  readonly monotonic: number;
}

interface Note {
  readonly volume: Evidence<CloudVolume>;
  readonly monotonic: number;
}

/**
 * What the looks of this daemon have shown of all volumes: each look of sync at all of them, and since then
 * every single volume that was read for an operation. So a list of ten thousand volumes costs no request to
 * CloudStack. Where nobody syncs (standby, or a long RECONCILE_INTERVAL) a reader starts the look.
 */
export class VolumeCatalogue {
  private last: Look | null = null;
  private failure: Failure | null = null;
  /** The look that a reader has started. */
  private looking: Promise<CloudView> | null = null;
  private readonly notes = new Map<string, Note>();
  /** Made from the last look and the notes, when somebody asks for it. */
  private sorted: readonly ListedVolume[] | null = null;

  constructor(private readonly parts: CatalogueParts) {}

  /**
   * What is known now. Before the first look has succeeded it is waited for; throws its error: CloudError,
   * VM_NOT_VISIBLE, CLOUDSTACK_UNAVAILABLE after LIMITS.VM_VOLUMES_LOOK_MS, DATABASE_UNAVAILABLE.
   *
   * @example
   * const { volumes, ageMs } = await catalogue.current();
   */
  async current(): Promise<Catalogue> {
    if (this.isDue()) void this.ownLook().catch(() => undefined);
    if (this.last === null) await this.firstLook();
    if (this.last === null) throw this.failure?.error ?? noAnswer();
    const ageMs = Math.max(0, this.parts.clock.monotonic() - this.last.monotonic);
    return {
      volumes: this.entries(this.last),
      at: this.last.at,
      ageMs,
      unknown: this.failure?.what ?? null,
    };
  }

  /**
   * Looks at all volumes now, at these whether they are listed or not, and remembers what was shown.
   * Throws as `readCloud`.
   */
  async look(applianceVmId: string | null, volumeIds: readonly string[]): Promise<CloudView> {
    const { cloud, ledger, clock } = this.parts;
    const begun = { at: clock.now(), monotonic: clock.monotonic() };
    try {
      const view = await readCloud({ cloud, ledger: ledger() }, applianceVmId, volumeIds);
      this.remember({ view, ...begun });
      return view;
    } catch (error) {
      this.failed(error, begun.monotonic);
      throw error;
    }
  }

  /**
   * One volume was read. A delete of ours is proof; that the volume is not shown afterwards is none. An id
   * that was never shown becomes no line because somebody has asked for it.
   */
  note(id: string, volume: Evidence<CloudVolume>): void {
    const before = this.notes.get(id);
    if (volume.kind === 'unknown' && (before ? before.volume.kind === 'absent' : !this.isListed(id))) return;
    this.notes.delete(id);
    this.notes.set(id, { volume, monotonic: this.parts.clock.monotonic() });
    this.sorted = null;
    const [oldest] = this.notes.keys();
    if (oldest !== undefined && this.notes.size > LIMITS.CATALOGUE_NOTES) this.notes.delete(oldest);
  }

  private isListed(id: string): boolean {
    return this.last !== null && this.entries(this.last).some((one) => one.id === id);
  }

  private remember(look: Look): void {
    // Two looks may overlap: the one that began later knows more.
    if (this.last !== null && look.monotonic < this.last.monotonic) return;
    this.last = look;
    this.failure = null;
    for (const [id, { monotonic }] of this.notes) if (monotonic < look.monotonic) this.notes.delete(id);
    this.sorted = null;
  }

  private failed(error: unknown, begun: number): void {
    if (this.last !== null && begun < this.last.monotonic) return;
    const { clock } = this.parts;
    const since = this.failure?.what.at ?? clock.now();
    const what = unknown(messageOf(error), since, 'cloudstack');
    this.failure = { error, what, triedAt: clock.monotonic() };
  }

  private isDue(): boolean {
    if (this.looking !== null) return false;
    const now = this.parts.clock.monotonic();
    if (this.failure !== null && now - this.failure.triedAt < LIMITS.CATALOGUE_RETRY_MS) return false;
    return (
      this.last === null || this.failure !== null || now - this.last.monotonic >= LIMITS.CATALOGUE_AGE_MS
    );
  }

  private ownLook(): Promise<CloudView> {
    const { ledger, applianceVmId } = this.parts;
    const read = async () => {
      const mappings = await ledger().listMappings();
      return this.look(
        applianceVmId(),
        mappings.map(({ volumeId }) => volumeId),
      );
    };
    this.looking = read().finally(() => {
      this.looking = null;
    });
    return this.looking;
  }

  private async firstLook(): Promise<void> {
    if (this.looking === null) return;
    const done = new AbortController();
    const late = this.parts.clock.sleep(LIMITS.VM_VOLUMES_LOOK_MS, done.signal);
    try {
      await Promise.race([this.looking, late]);
    } finally {
      done.abort();
    }
  }

  private entries({ view, at }: Look): readonly ListedVolume[] {
    if (this.sorted !== null) return this.sorted;
    const known = new Map<string, Evidence<CloudVolume>>();
    for (const volume of view.volumes) known.set(volume.id, seen(volume, at, 'cloudstack'));
    for (const [id, why] of [...view.absent, ...view.hidden]) known.set(id, unknown(why, at, 'cloudstack'));
    for (const [id, { volume }] of this.notes) {
      if (volume.kind === 'absent') known.delete(id);
      else known.set(id, volume);
    }
    this.sorted = [...known]
      .map(([id, volume]) => ({ id, volume }))
      .sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    return this.sorted;
  }
}

function noAnswer(): DaemonError {
  return new DaemonError('CLOUDSTACK_UNAVAILABLE', 'CloudStack has not answered in time', {
    retryAfterSeconds: 5,
  });
}
