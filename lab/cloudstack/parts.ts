import type { Clock, Random } from '~/server/core/clock';
import type { Conditions } from './conditions';
import type { Fault, Faults } from './faults';
import type { History } from './history';
import type { Job, Volume } from './records';
import type { Access } from './state/access';
import type { Account, Accounts } from './state/accounts';
import type { Inventory } from './state/inventory';
import type { Jobs } from './state/jobs';

/** Settings of the simulated server. */
export interface Settings {
  /** Data volumes an account may have; createVolume answers 535 beyond. */
  readonly volumeLimit: number;
  /** Bytes of primary storage an account may use; 535 beyond. */
  readonly storageLimit: number;
  /** `allow.user.expunge.recover.vm` */
  readonly userMayExpungeVm: boolean;
  /** `allow.user.expunge.recover.volume` */
  readonly userMayExpungeVolume: boolean;
  /** `default.page.size` */
  readonly pageSize: number;
}

/** What the commands share. */
export interface ModelParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly accounts: Accounts;
  readonly access: Access;
  readonly conditions: Conditions;
  readonly inventory: Inventory;
  readonly jobs: Jobs;
  readonly faults: Faults;
  readonly history: History;
  readonly settings: Settings;
  /** Resolves after ms, or when the model stops. */
  sleep(ms: number): Promise<void>;
  /**
   * Does something after ms that no call waits for; a failure of it is noted. Never after the model has
   * stopped.
   */
  later(ms: number, work: () => Promise<void>): void;
  /** ms the job of this command takes. */
  jobTime(command: string): number;
  /** The returned function says whether the management server still runs as it did now. */
  generation(): () => boolean;
  restart(fault: Fault): void;
}

/** The volume of a change: one that is there and that the caller may change. Throws 431 and 531. */
export function targetVolume(parts: ModelParts, by: Account, command: string, id: string): Volume {
  const volume = parts.inventory.volume(command, 'id', id);
  parts.access.allow(by, volume);
  return volume;
}

/**
 * To be called when the job of a command has ended: it works no more on the volume, and lists may lag behind.
 */
export function jobEnded(
  parts: ModelParts,
  command: string,
  volume: Volume,
  before: Volume | null,
  job: Job | null,
): void {
  if (job !== null && volume.jobId === job.id) volume.jobId = null;
  const stale = parts.faults.take(command, ['stale-read']);
  if (stale)
    volume.stale = {
      until: parts.clock.monotonic() + (stale.ms ?? 1000),
      shown: before === null ? null : { ...before, jobId: null, stale: null },
    };
}
