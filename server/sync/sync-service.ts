import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { Epoch, Ledger } from '../model/ledger';
import { NeighbourDaemons } from '../model/neighbour-daemons';
import { type ApplyParts, applyAll, isOvertaken } from './apply';
import type { Drift, SyncReport } from './drift';
import { isTransitional } from './drifts/state';
import type { Observation } from './observation';
import { type ObserveParts, observe } from './observe';
import { leftOpen, plan } from './plan';
import { type Repair, spareRows } from './repair';
import { type SecondLookParts, secondLook } from './second-look';

/** What sync uses of the daemon. */
export interface SyncParts extends Omit<ObserveParts, 'neighbours'>, ApplyParts, SecondLookParts {
  readonly ledger: Ledger;
  readonly logger: Logger;
  /** Throws STANDBY, STARTING, STOPPING or APPLIANCE_UNKNOWN when this daemon must not repair anything. */
  owner(): { epoch: Epoch; applianceVmId: string };
}

/** What is left of a plan once its repairs were looked at again. */
interface ExaminedPlan {
  readonly repairs: readonly Repair[];
  /** Volumes that are left alone. */
  readonly skipped: ReadonlySet<string>;
  /** What could not be looked at again, as sentences. */
  readonly unavailable: readonly string[];
  /** Was this drift of an earlier run not judged by this one? */
  readonly isUnseen: (drift: Drift) => boolean;
}

/** observe → plan → apply, one run at a time. */
export class SyncService {
  /** The last report that was no dry run, including drifts that it could not check again. */
  last: SyncReport | null = null;
  /** Wall clock ms of the last run that could read every view; null before the first. */
  lastJudgedAt: number | null = null;
  /** The same moment in monotonic ms: how long ago that was. */
  lastJudgedMonotonic: number | null = null;
  /** Why the last run that was no dry run came to no report; null when it came to one. */
  lastFailure: string | null = null;
  /** Called with every report, dry runs included. */
  onSynced: (report: SyncReport) => void = () => {};
  private running: Promise<unknown> = Promise.resolve();
  /** By volume: its transitional state, and since when (monotonic ms) it has been seen in it. */
  private transitional = new Map<string, { readonly state: string; readonly since: number }>();

  private readonly neighbours: NeighbourDaemons;

  constructor(private readonly parts: SyncParts) {
    this.neighbours = new NeighbourDaemons(parts.ledger, parts.clock);
  }

  /** Runs of different kinds queue, so that a dry run is never answered with a real one. */
  run(options: { dryRun: boolean; reason: string }): Promise<SyncReport> {
    const next = this.running.then(() => this.runOnce(options));
    this.running = next.then(
      () => {
        if (!options.dryRun) this.lastFailure = null;
      },
      (error: unknown) => {
        if (!options.dryRun) this.lastFailure = messageOf(error);
      },
    );
    return next;
  }

  private async runOnce({ dryRun, reason }: { dryRun: boolean; reason: string }): Promise<SyncReport> {
    const { clock } = this.parts;
    const { epoch, applianceVmId } = this.parts.owner();
    const startedAt = clock.now();
    const isShown = dryRun || (await this.isAdoptionShown(epoch));
    // Before everything that is observed, so that nothing which is written meanwhile is missed.
    const sinceEntry = await this.parts.ledger.newestEntry();
    const observation = await observe(
      { ...this.parts, neighbours: this.neighbours },
      applianceVmId,
      this.stuck(),
    );
    const { repairs, skipped, unavailable, isUnseen } = await this.examine(observation, sinceEntry, isShown);
    const found = dryRun
      ? repairs.map(planned)
      : await applyAll(this.parts, { epoch, sinceEntry, observed: observation }, repairs);
    const report: SyncReport = {
      startedAt,
      finishedAt: clock.now(),
      dryRun,
      reason,
      observed: {
        cloudVolumes: observation.volumes?.length ?? 0,
        devices: observation.guest?.devices.length ?? 0,
        mappings: observation.mappings.length,
        exports: observation.exports.length,
      },
      judged: isComplete(observation),
      unavailable: [...observation.unavailable, ...unavailable],
      drifts: [...found, ...this.notJudged(observation, found, isUnseen)],
      skippedVolumes: skipped.size,
    };
    if (!dryRun) this.keep(report, observation);
    // Whoever asks for a dry run sees what would be deleted.
    if (dryRun && report.judged && !(await this.isAdoptionShown(epoch)))
      await this.parts.ledger.noteAdoptionShown(epoch);
    this.log(report);
    this.onSynced(report);
    return report;
  }

  /**
   * Plans, and looks again at what CloudStack and the guest may not show any more. Rows of the old daemon are
   * spared while `isShown` is false. Throws DATABASE_UNAVAILABLE.
   */
  private async examine(
    observation: Observation,
    sinceEntry: number,
    isShown: boolean,
  ): Promise<ExaminedPlan> {
    const repairs: Repair[] = [];
    const skipped = new Set([...observation.busy, ...observation.hidden.keys()]);
    const unavailable: string[] = [];
    const unseen = new Set<string>();
    const later = new Set<string | null>();
    for (const repair of plan(observation)) {
      const { volumeId } = repair.drift;
      const again = (await isOvertaken(this.parts, repair, sinceEntry))
        ? LATER
        : await secondLook(this.parts, repair, observation);
      if (again.kind === 'stands') repairs.push(isShown ? repair : spareRows(repair));
      else if (volumeId !== null) skipped.add(volumeId);
      if (again.kind === 'later') later.add(volumeId);
      if (again.kind !== 'unknown') continue;
      unavailable.push(`volume ${volumeId ?? ''} could not be looked at again: ${again.why}`);
      unseen.add(keyOf(repair.drift));
    }
    const isOpen = leftOpen(observation);
    const isUnseen = (drift: Drift) => isOpen(drift) || later.has(drift.volumeId) || unseen.has(keyOf(drift));
    return { repairs, skipped, unavailable, isUnseen };
  }

  private keep(report: SyncReport, observation: Observation): void {
    this.rememberTransitional(observation);
    this.last = report;
    if (!report.judged) return;
    this.lastJudgedAt = report.finishedAt;
    this.lastJudgedMonotonic = this.parts.clock.monotonic();
  }

  /**
   * False while nobody has seen what sync would delete of the rows that an old daemon has left. Asked every
   * time: the old daemon may have worked again.
   */
  private async isAdoptionShown(epoch: Epoch): Promise<boolean> {
    const adoption = await this.parts.ledger.readAdoption(epoch);
    return adoption === null || adoption.shownAt !== null;
  }

  /**
   * Drifts that were known before and were not checked this time: a view is missing, what was seen leaves
   * them open, or a second look at them could not be made or came too soon.
   */
  private notJudged(
    observation: Observation,
    found: readonly Drift[],
    isUnseen: (drift: Drift) => boolean,
  ): Drift[] {
    if (this.last === null) return [];
    const isKept = isComplete(observation) ? isUnseen : () => true;
    const again = new Set(found.map(keyOf));
    const since = this.last.judged ? this.last.finishedAt : null;
    return this.last.drifts
      .filter((drift) => drift.action !== 'repaired' && !again.has(keyOf(drift)) && isKept(drift))
      .map((drift) => ({
        ...drift,
        notJudgedSince: drift.notJudgedSince ?? since ?? this.last?.finishedAt ?? null,
      }));
  }

  /**
   * Volumes that were first seen in a transitional state long enough ago: two syncs within a second prove
   * nothing.
   */
  private stuck(): Map<string, string> {
    const before = this.parts.clock.monotonic() - LIMITS.STUCK_STATE_MS;
    const old = [...this.transitional].filter(([, { since }]) => since <= before);
    return new Map(old.map(([id, { state }]) => [id, state]));
  }

  private rememberTransitional({ volumes }: Observation): void {
    if (volumes === null) return;
    const now = this.parts.clock.monotonic();
    const known = this.transitional;
    this.transitional = new Map(
      volumes.filter(isTransitional).map(({ id, state }) => {
        const before = known.get(id);
        return [id, before?.state === state ? before : { state, since: now }];
      }),
    );
  }

  /** Logs the report; drifts that were only carried over were logged when they were found. */
  private log(report: SyncReport): void {
    const { logger } = this.parts;
    for (const drift of report.drifts.filter(({ notJudgedSince }) => notJudgedSince === null)) {
      const fields = {
        kind: drift.kind,
        volume_id: drift.volumeId,
        device_path: drift.devicePath,
        reason: drift.message,
        action: drift.action,
      };
      if (drift.action === 'repaired' || drift.action === 'planned') logger.info('Drift found', fields);
      else logger.warn('Drift found', { ...fields, remedy: drift.remedy });
    }
    const quiet = report.drifts.length === 0 && report.judged;
    logger[quiet ? 'debug' : 'info']('Sync finished', {
      reason: report.reason,
      dry_run: report.dryRun,
      drifts: report.drifts.length,
      judged: report.judged,
      unavailable: report.unavailable,
    });
  }
}

const LATER = { kind: 'later' } as const;

/** What a dry run says of a repair. */
export function planned({ drift, steps }: Repair): Drift {
  return { ...drift, action: steps.length === 0 ? 'reported' : 'planned' };
}

/** True when every view was read. */
function isComplete({ volumes, guest, configured, exportsEnabled }: Observation): boolean {
  return volumes !== null && guest !== null && (configured !== null || !exportsEnabled);
}

function keyOf({ kind, volumeId, devicePath }: Omit<Drift, 'action'>): string {
  return `${kind} ${volumeId ?? devicePath ?? ''}`;
}
