import { setMaxListeners } from 'node:events';
import type { Clock, Random } from '~/server/core/clock';
import { messageOf } from '~/server/core/errors';
import type { SimulatedGuest } from '../guest/guest';
import { type AttachVolume, attachVolume, type DetachVolume, detachVolume, diskOf } from './disks';
import { type Fault, Faults } from './faults';
import { type EffectKind, History } from './history';
import { Inventory, type NewVm } from './inventory';
import { JOB_RETENTION, Jobs, type RestartWork } from './jobs';
import { draw, type Latencies, type LatencyOptions, latenciesFrom, latencyKey } from './latency';
import { destroyVm, startVm, stopVm } from './machines';
import type { Job, Vm, Volume } from './records';
import { type CreateVolume, createVolume, deleteVolume, resizeVolume } from './volumes';

export interface ModelOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** What the appliance's disks are plugged into. */
  readonly guest: SimulatedGuest;
  readonly latencies?: LatencyOptions;
  /** Data volumes the account may have; createVolume answers 535 beyond. */
  readonly volumeLimit?: number;
  /** Bytes of primary storage the account may use; 535 beyond. */
  readonly storageLimit?: number;
  readonly applianceVmId?: string;
  readonly applianceHypervisor?: string;
  /** Whether the API key belongs to a root administrator. Default true. */
  readonly rootAdmin?: boolean;
  /** ms after which a job is forgotten; the default is CloudStack's day. */
  readonly jobRetention?: number;
}

export interface RestartOptions {
  /** What becomes of attaches and detaches in progress; default `lost`. Queued ones are never begun. */
  readonly work?: RestartWork;
  /** Volumes in the middle of an attach stay `Creating` or `Attaching` (apache/cloudstack#2163). Default true. */
  readonly stuck?: boolean;
  /** ms during which the API answers nobody. */
  readonly downFor?: number;
}

/** What the commands share. */
export interface ModelParts {
  readonly clock: Clock;
  readonly inventory: Inventory;
  readonly jobs: Jobs;
  readonly faults: Faults;
  readonly history: History;
  readonly options: {
    readonly volumeLimit: number;
    readonly storageLimit: number;
    readonly rootAdmin: boolean;
  };
  /** Resolves after ms, or when the model stops. */
  sleep(ms: number): Promise<void>;
  /** Does something after ms that no call waits for; a failure of it is noted. Never after the model has stopped. */
  later(ms: number, work: () => Promise<void>): void;
  /** ms the job of this command takes. */
  jobTime(command: string): number;
  /** The returned function says whether the management server still runs as it did now. */
  generation(): () => boolean;
  /** The volume of a run that a restart ended: left as it is, or as it was. */
  afterRestart(volume: Volume, before: string): Volume;
  forgetJob(volume: Volume, job: Job): void;
}

/**
 * CloudStack as a state machine: what the facts say about states, device ids, the job queue of each VM, error texts and lookups.
 * No HTTP here; ./http.ts gives it the wire and ./model-cloud.ts the domain's port. It counts effects, so that "exactly once" can
 * be proven. Time and chance come from outside.
 */
export class CloudModel {
  readonly inventory: Inventory;
  readonly history: History;
  readonly faults: Faults;
  readonly latencies: Latencies;
  readonly applianceVmId: string;
  /** Resolves after ms, or when the simulator stops. */
  readonly sleep: (ms: number) => Promise<void>;
  private readonly jobTable: Jobs;
  private readonly parts: ModelParts;
  private readonly stopped = new AbortController();
  private restarts = 0;
  private leavesStuck = true;
  /** Monotonic ms. */
  private downUntil = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: ModelOptions) {
    const { clock, random } = options;
    // Every job that sleeps listens, which is not the leak Node would warn of.
    setMaxListeners(0, this.stopped.signal);
    this.inventory = new Inventory(clock, random);
    this.history = new History(clock);
    this.faults = new Faults(({ kind, command }) => this.history.note('fault', `${kind} ${command}`));
    this.latencies = latenciesFrom(options.latencies);
    this.sleep = (ms) => (ms > 0 ? clock.sleep(ms, this.stopped.signal) : Promise.resolve());
    this.jobTable = new Jobs({
      clock,
      random,
      faults: this.faults,
      history: this.history,
      retention: options.jobRetention ?? JOB_RETENTION,
      sleep: this.sleep,
      restart: (fault) => this.restart(restartOptions(fault)),
    });
    this.parts = this.makeParts(this.sleep);
    this.inventory.addZone('zone-1');
    this.inventory.addOffering('Custom', 0);
    this.inventory.addOffering('Small', 5);
    this.applianceVmId = this.addVm({
      name: 'appliance',
      guest: options.guest,
      ...(options.applianceVmId ? { id: options.applianceVmId } : {}),
      ...(options.applianceHypervisor ? { hypervisor: options.applianceHypervisor } : {}),
    }).id;
  }

  get zones() {
    return this.inventory.zones;
  }
  get offerings() {
    return this.inventory.offerings;
  }
  get vms() {
    return this.inventory.vms;
  }
  get volumes() {
    return this.inventory.volumes;
  }
  get jobs(): ReadonlyMap<string, Job> {
    return this.jobTable.all;
  }
  get effects() {
    return this.history.effects;
  }

  addVm(fields: NewVm): Vm {
    return this.inventory.addVm(fields);
  }

  effectsOf(volumeId: string, kind: EffectKind): number {
    return this.history.effectsOf(volumeId, kind);
  }

  /**
   * One call with the time it takes: half before the effect and half after, so that a caller can die, or the model restart, on
   * either side of it.
   */
  async exchange<T>(command: string, work: () => T | Promise<T>): Promise<T> {
    const ms = draw(this.latencies[latencyKey(command)].accept, this.options.random);
    await this.parts.sleep(ms / 2);
    this.history.note('call', command);
    try {
      return await work();
    } finally {
      await this.parts.sleep(ms / 2);
    }
  }

  createVolume(asked: CreateVolume): { volume: Volume; job: Job } {
    return createVolume(this.parts, asked);
  }

  attachVolume(asked: AttachVolume): Job {
    return attachVolume(this.parts, asked);
  }

  detachVolume(asked: DetachVolume): Job {
    return detachVolume(this.parts, asked);
  }

  deleteVolume(id: string): Promise<void> {
    return deleteVolume(this.parts, id);
  }

  resizeVolume(id: string, size: number): Promise<void> {
    return resizeVolume(this.parts, id, size);
  }

  stopVm(vmId: string, jobId: string | null): Job {
    return stopVm(this.parts, vmId, jobId);
  }

  startVm(vmId: string, jobId: string | null): Job {
    return startVm(this.parts, vmId, jobId);
  }

  destroyVm(vmId: string, expunge: boolean, jobId: string | null): Job {
    return destroyVm(this.parts, vmId, expunge, jobId);
  }

  /** Throws 431 for ids that never were; purged and lost jobs are the same. */
  queryJob(id: string): Job {
    return this.jobTable.query(id);
  }

  pendingJobs(): Job[] {
    return this.jobTable.pending();
  }

  /** The management server restarts: pending jobs fail with 530 and without a result. */
  restart(options: RestartOptions = {}): void {
    this.restarts += 1;
    this.leavesStuck = options.stuck ?? true;
    this.history.note('restart', options.work ?? 'lost');
    this.jobTable.restart(options.work ?? 'lost');
    this.downUntil = this.options.clock.monotonic() + (options.downFor ?? 0);
  }

  /** True while nobody answers, after a restart. */
  isDown(): boolean {
    return this.options.clock.monotonic() < this.downUntil;
  }

  /** The disk goes into the appliance's guest without CloudStack knowing (apache/cloudstack#14214). */
  async makeGhost(volumeId: string): Promise<void> {
    const volume = this.inventory.volume('attachVolume', 'id', volumeId);
    const vm = this.inventory.vm('attachVolume', 'virtualmachineid', this.applianceVmId);
    await this.options.guest.plug(diskOf(volume, vm));
  }

  /** The disk leaves the appliance's guest without CloudStack knowing (apache/cloudstack#12405). */
  async makePhantom(volumeId: string): Promise<void> {
    await this.options.guest.unplug(this.inventory.volume('detachVolume', 'id', volumeId).id);
  }

  get isStopped(): boolean {
    return this.stopped.signal.aborted;
  }

  /** Ends every wait, so that nothing of the model outlives it; work in progress is lost. */
  stop(): void {
    this.restart();
    this.stopped.abort();
  }

  private makeParts(sleep: (ms: number) => Promise<void>): ModelParts {
    const { options } = this;
    return {
      clock: options.clock,
      inventory: this.inventory,
      jobs: this.jobTable,
      faults: this.faults,
      history: this.history,
      options: {
        volumeLimit: options.volumeLimit ?? 10_000,
        storageLimit: options.storageLimit ?? Number.POSITIVE_INFINITY,
        rootAdmin: options.rootAdmin ?? true,
      },
      sleep,
      later: (ms, work) => {
        void sleep(ms)
          .then(() => (this.stopped.signal.aborted ? undefined : work()))
          .catch((error: unknown) => this.history.note('fault', `later: ${messageOf(error)}`));
      },
      jobTime: (command) => draw(this.latencies[latencyKey(command)].job, options.random),
      generation: () => {
        const begun = this.restarts;
        return () => this.restarts === begun;
      },
      afterRestart: (volume, before) => {
        if (!this.leavesStuck) volume.state = before;
        return volume;
      },
      forgetJob: (volume, job) => {
        if (volume.jobId === job.id) volume.jobId = null;
      },
    };
  }
}

function restartOptions({ work, stuck, ms }: Fault): RestartOptions {
  return {
    ...(work === undefined ? {} : { work }),
    ...(stuck === undefined ? {} : { stuck }),
    ...(ms === undefined ? {} : { downFor: ms }),
  };
}
