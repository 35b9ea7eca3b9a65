import type { Cloud } from '../cloudstack/cloud';
import { lookUpVolume, requireVolume } from '../cloudstack/look-up';
import type { Clock, Random } from '../core/clock';
import { type ClockNotes, ClockSteps } from '../core/clock-steps';
import { TurnGate } from '../core/concurrency/turn-gate';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import { noTracing, type Tracing } from '../core/tracing';
import type { Guest } from '../devices/device';
import type { DeviceWatcher } from '../devices/device-watcher';
import type { CounterReader } from '../devices/disk-counters';
import type { HandsOff } from '../devices/sysfs/hands-off';
import { TrafficMonitor } from '../devices/traffic-monitor';
import type { ExportServer } from '../exports/export-server';
import { ExportService } from '../exports/export-service';
import { ExportTraffic } from '../exports/export-traffic';
import { guardPublishing } from '../exports/publishing-guard';
import type { Epoch, Ledger } from '../model/ledger';
import { OperationEvents } from '../model/operation-events';
import type { Engine } from '../operations/engine';
import { OperationService } from '../operations/operation-service';
import type { Policy } from '../operations/policy';
import { cataloguedCloud } from '../sync/catalogued-cloud';
import { OrphanedExports } from '../sync/orphaned-exports';
import { revokeExports } from '../sync/revoke-exports';
import { SyncService } from '../sync/sync-service';
import { VolumeCatalogue } from '../sync/volume-catalogue';
import { admit } from './admission';
import type { LastWrittenStore } from './last-written-file';
import { Ownership } from './ownership';
import type { Instances } from './process-instance';

/**
 * The ports of the domain. The real ones are made in ./adapters.ts, the simulated ones in test/simulation.
 */
export interface Ports {
  readonly ledger: Ledger;
  readonly cloud: Cloud;
  readonly guest: Guest;
  readonly counters: CounterReader;
  readonly watcher: DeviceWatcher;
  readonly exports: ExportServer;
  /** Absent where no udev has to be kept away from the disks. */
  readonly handsOff?: HandsOff;
  readonly clock: Clock;
  /** Absent: only what this process has seen of its clock itself counts. */
  readonly clockNotes?: ClockNotes;
  /** Runs something in the next round of the event loop. Absent: of the real one. */
  readonly soon?: (work: () => void) => void;
  readonly random: Random;
  readonly logger: Logger;
  /** Absent: nothing is traced. */
  readonly tracing?: Tracing;
}

/** Settings, the identity of this process, and callbacks to what surrounds the domain. */
export interface DomainSettings {
  /** Host, pid and address, shown by the row and by a standby daemon. */
  readonly owner: string;
  /** Tells the processes of this machine that have ended. */
  readonly instances: Instances;
  /** Absent: only what this process has seen itself counts. */
  readonly lastWritten?: LastWrittenStore;
  readonly sizeToleranceBytes: number;
  /** Read for every decision. */
  policy(): Policy;
  /** Throws STARTING or DATABASE_UNAVAILABLE until the schema is there. */
  ledger(): Ledger;
  readonly identity: {
    readonly view: { readonly vmId: string | null; readonly conflicts: readonly string[] };
    /** Throws APPLIANCE_UNKNOWN. */
    require(): string;
  };
  /** Aborted when the process begins to stop. */
  readonly stopping: AbortSignal;
  onOwnershipChanged(state: 'owner' | 'standby'): void;
  /** A programming error: the process must end. */
  onFatal(error: unknown): void;
}

/** The domain, built in the same way for daemon and simulation. */
export interface Domain {
  readonly clockSteps: ClockSteps;
  readonly events: OperationEvents;
  readonly ownership: Ownership;
  readonly operations: OperationService;
  readonly exports: ExportService;
  readonly orphanedExports: OrphanedExports;
  readonly traffic: ExportTraffic;
  readonly sync: SyncService;
  /** What is known of all volumes, for lists; `cloud` notes in it whatever volume is read. */
  readonly catalogue: VolumeCatalogue;
  readonly cloud: Cloud;
  /**
   * The engine and epoch of this owner. Throws STOPPING, STARTING, APPLIANCE_UNKNOWN, STANDBY or
   * DATABASE_UNAVAILABLE.
   */
  writer(): { readonly engine: Engine; readonly epoch: Epoch };
  /**
   * Closes every export that does not lead to the disk of its volume. Nothing while another process owns
   * the appliance; while nobody is known to, as when the database is away, by what the guest shows
   * alone. Never throws.
   */
  revokeExports(): Promise<void>;
  /** Tells listeners to events of journal entries that nobody was told of. Never throws. */
  tellMissed(): Promise<void>;
}

export function compose(ports: Ports, settings: DomainSettings): Domain {
  const { ledger, counters, clock, logger, tracing = noTracing } = ports;
  const { identity, stopping } = settings;
  const applianceVmId = () => identity.view.vmId;
  const preparedLedger = () => settings.ledger();
  const catalogue = new VolumeCatalogue({ ...ports, ledger: preparedLedger, applianceVmId });
  const cloud = cataloguedCloud(ports.cloud, catalogue, clock);
  const events = new OperationEvents();
  const clockSteps = watchClock(ports);
  const turns = new TurnGate(clock, ports.soon);
  const traffic = new TrafficMonitor({ counters, clock });
  const isBusyWith = (volumeId: string) => ownership.engine?.isBusyWith(volumeId) ?? false;
  const guards = { ...ports, tracing, tenure: () => ownership.watchTenure() };
  const exports = guardPublishing(ports.exports, { ...guards, isTaken: isBusyWith });
  const shared = { ...ports, cloud, catalogue, tracing, exports, events, traffic, clockSteps, turns };
  const ownership: Ownership = new Ownership(
    {
      ...settings,
      ledger,
      engineParts: {
        ...shared,
        // An operation publishes the volume that it works on itself.
        exports: guardPublishing(ports.exports, { ...guards, isTaken: () => false }),
        ...engineSettings(settings),
      },
      clock,
      logger,
    },
    (state) => settings.onOwnershipChanged(state),
  );
  const applianceId = () => applianceVmId() ?? '';
  const writer = () => writerOf(ownership, settings);
  const owner = () => ({ epoch: writer().epoch, applianceVmId: identity.require() });
  const aboutExports = { ...shared, ledger: preparedLedger, server: exports, owner, applianceVmId };
  const exportTraffic = new ExportTraffic(aboutExports);
  events.onEntry(exportTraffic.changed);
  return {
    events,
    clockSteps,
    catalogue,
    cloud,
    ownership,
    writer,
    operations: new OperationService({
      ...shared,
      stopping,
      applianceId,
      writer,
      isOwner: () => ownership.engine !== null,
      heldOn: (volumeId) => ownership.engine?.heldOn(volumeId) ?? null,
      runningOn: (volumeId) => ownership.engine?.runningOn(volumeId) ?? null,
      refusedOn: (volumeId) => ownership.engine?.refusedOn(volumeId) ?? null,
      whyUnwritten: (operation) => {
        if (ownership.engine !== null) return ownership.engine.whyUnwritten(operation);
        return operation.applianceId === applianceId() ? ownership.unsettled : null;
      },
      admit: (type, request) => admit(type, request, () => identity.require()),
    }),
    exports: new ExportService({
      ...aboutExports,
      isBusyWith,
      volume: (volumeId) => shownVolume(cloud, volumeId, applianceVmId()),
      sizeToleranceBytes: settings.sizeToleranceBytes,
    }),
    orphanedExports: new OrphanedExports(aboutExports),
    traffic: exportTraffic,
    sync: new SyncService({
      ...shared,
      // Sync itself reports that it cannot check anything while the appliance is not visible.
      owner: () => ({ epoch: writer().epoch, applianceVmId: identity.view.vmId ?? identity.require() }),
      isBusyWith,
      sizeToleranceBytes: settings.sizeToleranceBytes,
      busyVolumes: () => ledger.busyVolumes(applianceId()),
      identityConflicts: () => identity.view.conflicts,
    }),
    tellMissed: () => tellWhatWasMissed({ ...ports, events }, applianceId()),
    revokeExports: () => revokeMisleading({ ...ports, ownership, stopping }, exports, applianceVmId()),
  };
}

/**
 * Entries whose writer was not answered before it was stopped, or whose caller was told that
 * the database is away.
 */
async function tellWhatWasMissed(
  { ledger, logger, events }: Pick<Ports, 'ledger' | 'logger'> & { readonly events: OperationEvents },
  applianceId: string,
): Promise<void> {
  try {
    for (let isFull = true; isFull && events.toldUpTo !== null; ) {
      const page = await ledger.feed(applianceId, events.toldUpTo, LIMITS.STREAM_REPLAY_PAGE);
      events.catchUp(page);
      isFull = page.length === LIMITS.STREAM_REPLAY_PAGE;
    }
  } catch (error) {
    logger.warn('Listeners to events have not been told of all of them yet', { reason: messageOf(error) });
  }
}

/** @param guarded the exports of `ports` behind the guard, which lets the owner through only */
async function revokeMisleading(
  {
    ownership: { engine, otherOwner },
    stopping,
    ledger,
    watcher,
    logger,
    exports,
    handsOff,
  }: Ports & { readonly ownership: Ownership; readonly stopping: AbortSignal },
  guarded: ExportServer,
  applianceVmId: string | null,
): Promise<void> {
  const snapshot = () => watcher.snapshot();
  if (engine !== null && applianceVmId !== null)
    return revokeExports({ ledger, exports: guarded, logger, handsOff }, applianceVmId, snapshot);
  // A database that is away for seconds ends our lease; the links are ours still, and lead to whatever disk
  // gets the letter. Whoever is stopping leaves them to the next owner, who may have made new ones by now.
  if (otherOwner === null && !stopping.aborted)
    await revokeExports({ ledger, exports, logger, handsOff }, null, snapshot);
}

async function shownVolume(cloud: Cloud, volumeId: string, applianceVmId: string | null) {
  return requireVolume(await lookUpVolume(cloud, volumeId, applianceVmId), volumeId);
}

function engineSettings(settings: DomainSettings) {
  return {
    settings: { sizeToleranceBytes: settings.sizeToleranceBytes },
    policy: () => settings.policy(),
    onFatal: (error: unknown) => settings.onFatal(error),
  };
}

function watchClock({
  clock,
  clockNotes,
  logger,
}: Pick<Ports, 'clock' | 'clockNotes' | 'logger'>): ClockSteps {
  const tell = (byMs: number) =>
    logger.warn('The clock of this machine was set: nothing is deleted by age for a day', { by_ms: byMs });
  return new ClockSteps(clock, tell, clockNotes);
}

function writerOf(
  ownership: Ownership,
  { stopping, identity, ledger }: DomainSettings,
): { engine: Engine; epoch: Epoch } {
  if (stopping.aborted) throw new DaemonError('STOPPING', 'The daemon is stopping', { retryAfterSeconds: 5 });
  ledger();
  if (identity.view.vmId === null) identity.require();
  const { engine } = ownership;
  if (engine) return { engine, epoch: engine.epoch };
  throw ownership.refusal;
}
