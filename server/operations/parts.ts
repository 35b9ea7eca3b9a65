import type { Cloud } from '../cloudstack/cloud';
import type { Clock, Random } from '../core/clock';
import type { ClockSteps } from '../core/clock-steps';
import type { TurnGate } from '../core/concurrency/turn-gate';
import type { Logger } from '../core/log/logger';
import type { Tracing } from '../core/tracing';
import type { DeviceEvent, DeviceSnapshot, Guest } from '../devices/device';
import type { TrafficMonitor } from '../devices/traffic-monitor';
import type { ExportServer } from '../exports/export-server';
import type { Ledger } from '../model/ledger';
import type { NeighbourDaemons } from '../model/neighbour-daemons';
import type { Operation } from '../model/operation';
import type { OperationEvents } from '../model/operation-events';
import type { JobDenials } from './execute/job-denials';
import type { LastPlaces } from './execute/last-places';
import type { Policy } from './policy';
import type { VmJobQueue } from './vm-job-queue';

/** Everything an operation uses: the ports, and what it shares with other operations of this process. */
export interface EngineParts {
  readonly ledger: Ledger;
  readonly cloud: Cloud;
  readonly guest: Guest;
  readonly watcher: Watcher;
  readonly exports: ExportServer;
  readonly traffic: Pick<TrafficMonitor, 'settled'>;
  readonly events: OperationEvents;
  readonly clock: Clock;
  readonly clockSteps: Pick<ClockSteps, 'hasSteppedSince'>;
  readonly turns: TurnGate;
  readonly random: Random;
  readonly logger: Logger;
  readonly tracing: Tracing;
  readonly settings: {
    /** How much larger than the volume a device may be. */
    readonly sizeToleranceBytes: number;
  };
  /** Read for every decision: identity and settings may change while operations wait. */
  policy(): Policy;
  /** Called with a programming error, which no decision covers. The process must end. */
  onFatal(error: unknown): void;
}

/** What operations need of the device watcher. */
export interface Watcher {
  snapshot(): DeviceSnapshot;
  scan(): Promise<DeviceSnapshot>;
  waitFor<T>(
    check: (snapshot: DeviceSnapshot) => T | null,
    options: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<T | null>;
  /** The events still in the correlation channel, oldest first. */
  recentEvents(): readonly DeviceEvent[];
  /** Called with every event. Returns the unsubscribe function. */
  onEvent(listener: (event: DeviceEvent) => void): () => void;
}

/** What an operation must know of the others that run in this process. */
export interface OtherRuns {
  running(): readonly Operation[];
  /** New operations are waiting. */
  wake(): unknown;
  /** Which of our own jobs CloudStack works on first. */
  readonly vmJobs: VmJobQueue;
  /** Jobs that CloudStack has denied knowing. */
  readonly denials: JobDenials;
  /** Where operations that have just ended have left their volumes. */
  readonly lastPlaces: Pick<LastPlaces, 'doubt'>;
  /** The daemons of other appliances. */
  readonly neighbours: Pick<NeighbourDaemons, 'look'>;
  /** Operations that may be bringing a disk into this guest; see OperationRun.mayAttachDisk. */
  attachingDisks(): readonly Operation[];
  /** Operations that have a slot of this guest, or have sent an attach that has not failed. */
  takingSlots(): readonly Operation[];
}
