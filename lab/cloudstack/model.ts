import { setMaxListeners } from 'node:events';
import type { Clock, Random } from '~/server/core/clock';
import { messageOf } from '~/server/core/errors';
import type { SimulatedGuest } from '../guest/guest';
import { type AttachVolume, attachVolume } from './actions/attach';
import { type DetachVolume, detachVolume } from './actions/detach';
import { diskOf } from './actions/disks';
import { destroyVm, startVm, stopVm } from './actions/machines';
import { type MigrateVolume, migrateVolume } from './actions/migrate';
import { type DestroyVolume, deleteVolume, destroyVolume, recoverVolume } from './actions/removal';
import { type CreateVolume, createVolume, growVolume } from './actions/volumes';
import { Conditions } from './conditions';
import { type Fault, Faults } from './faults';
import { type EffectKind, History } from './history';
import { draw, type Latencies, type LatencyOptions, latenciesFrom, latencyKey } from './latency';
import type { ManagementServers, ServerView } from './management-servers';
import type { ModelParts, Settings } from './parts';
import type { Job, Vm, Volume } from './records';
import { Access, LIST_ALL, type Scope } from './state/access';
import { type Account, Accounts, accountText } from './state/accounts';
import { Inventory, type NewVm } from './state/inventory';
import { Jobs, type RestartWork } from './state/jobs';
import { badValue, forbidden } from './state/texts';
import { PAGE_CAP } from './wire/paging';

export interface ModelOptions extends Partial<Settings> {
  readonly clock: Clock;
  readonly random: Random;
  /** What the appliance's disks are plugged into. */
  readonly guest: SimulatedGuest;
  readonly latencies?: LatencyOptions;
  readonly applianceVmId?: string;
  readonly applianceHypervisor?: string;
  /**
   * Whose the first API key and the appliance are: `admin` (a root administrator, the
   * default), `plain` or `other`.
   */
  readonly account?: string;
  /** Who answers lists; without them every list shows what is. */
  readonly servers?: ManagementServers;
}

export interface RestartOptions {
  /** What becomes of attaches and detaches in progress; default `lost`. Queued ones are never begun. */
  readonly work?: RestartWork;
  /**
   * Volumes in the middle of an attach stay `Creating` or `Attaching` (apache/cloudstack#2163). By default
   * the server puts them back to `Allocated` and `Ready` when it starts. A volume in the middle of a delete
   * stays `Expunging` in any case.
   */
  readonly stuck?: boolean;
  /** ms during which the API answers nobody. */
  readonly downFor?: number;
}

/**
 * CloudStack as a state machine: states, device ids, owners, the job queue of each VM, error texts and
 * lookups. No HTTP here; ./http.ts gives it the wire and ./model-cloud.ts the domain's port. It counts
 * effects, so that "exactly once" can be proven.
 */
export class CloudModel {
  readonly accounts: Accounts;
  readonly access: Access;
  readonly inventory: Inventory;
  readonly history: History;
  readonly faults: Faults;
  readonly conditions: Conditions;
  readonly latencies: Latencies;
  /** Whose the first API key and the appliance are. */
  readonly account: Account;
  readonly applianceVmId: string;
  /** What the commands work on (./actions). */
  readonly parts: ModelParts;
  /** Resolves after ms, or when the simulator stops. */
  readonly sleep: (ms: number) => Promise<void>;
  private readonly jobTable: Jobs;
  private readonly stopped = new AbortController();
  private restarts = 0;
  /** Monotonic ms. */
  private downUntil = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: ModelOptions) {
    const { clock, random } = options;
    // Every job that sleeps listens, which is not the leak Node would warn of.
    setMaxListeners(0, this.stopped.signal);
    this.history = new History(clock);
    this.conditions = new Conditions(clock, ({ kind, id }) =>
      this.history.note('fault', `${kind} ${id ?? ''}`),
    );
    this.accounts = new Accounts(random);
    this.account = this.accounts.require(options.account ?? 'admin');
    this.access = new Access(this.accounts, this.conditions);
    this.inventory = new Inventory(clock, random, this.account.id);
    this.faults = new Faults(({ kind, command }) => this.history.note('fault', `${kind} ${command}`));
    this.latencies = latenciesFrom(options.latencies);
    this.sleep = (ms) => (ms > 0 ? clock.sleep(ms, this.stopped.signal) : Promise.resolve());
    this.jobTable = new Jobs({
      clock,
      random,
      faults: this.faults,
      history: this.history,
      sleep: this.sleep,
      restart: (fault) => this.restart(restartOptions(fault)),
    });
    this.parts = this.makeParts();
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
   * One call with the time it takes: half before the effect and half after, so that a caller can die, or the
   * model restart, on either side of it.
   */
  async exchange<T>(command: string, work: () => T | Promise<T>): Promise<T> {
    const ms = draw(this.latencies[latencyKey(command)].accept, this.options.random);
    await this.sleep(ms / 2);
    this.history.note('call', command);
    try {
      return await work();
    } finally {
      await this.sleep(ms / 2);
    }
  }

  createVolume(asked: CreateVolume, by = this.account): { volume: Volume; job: Job } {
    return createVolume(this.parts, asked, by);
  }

  attachVolume(asked: AttachVolume, by = this.account): Job {
    return attachVolume(this.parts, asked, by);
  }

  detachVolume(asked: DetachVolume, by = this.account): Job {
    return detachVolume(this.parts, asked, by);
  }

  deleteVolume(id: string, by = this.account): Promise<void> {
    return deleteVolume(this.parts, id, by);
  }

  destroyVolume(asked: DestroyVolume, by = this.account): Job {
    return destroyVolume(this.parts, asked, by);
  }

  recoverVolume(id: string, by = this.account): Volume {
    return recoverVolume(this.parts, id, by);
  }

  migrateVolume(asked: MigrateVolume, by = this.account): { copy: Volume; job: Job } {
    return migrateVolume(this.parts, asked, by);
  }

  /** By hand, as an administrator of the storage would, the guest's disk with it. */
  growVolume(id: string, size: number): Promise<void> {
    return growVolume(this.parts, id, size);
  }

  stopVm(id: string, jobId: string | null, by = this.account, forced = false): Job {
    return stopVm(this.parts, { id, jobId, forced }, by);
  }

  startVm(id: string, jobId: string | null, by = this.account): Job {
    return startVm(this.parts, { id, jobId }, by);
  }

  destroyVm(id: string, expunge: boolean, jobId: string | null, by = this.account): Job {
    return destroyVm(this.parts, { id, expunge, jobId }, by);
  }

  /**
   * The volumes that a list shows, as it shows them: what is stale or out of sight is the truth's
   * business, not the list's.
   */
  shownVolumes(by = this.account, scope: Scope = LIST_ALL): Volume[] {
    const now = this.options.clock.monotonic();
    const view = this.answering(this.volumes);
    return this.volumes.flatMap((volume) => {
      const { stale } = volume;
      const shown = stale && now < stale.until ? stale.shown : view(volume);
      return shown && !shown.removed && this.access.sees(by, shown, scope) ? [shown] : [];
    });
  }

  /** The VMs that a list shows: users do not see those that are destroyed. */
  shownVms(by = this.account, scope: Scope = LIST_ALL): Vm[] {
    const over = ['Destroyed', 'Expunging'];
    const view = this.answering(this.vms);
    return this.vms.flatMap((vm) => {
      const shown = view(vm);
      if (shown === null || shown.removed || !this.access.sees(by, shown, scope)) return [];
      return by.role === 'root' || !over.includes(shown.state) ? [shown] : [];
    });
  }

  /** What the server that answers a list has of its rows. */
  private answering(rows: readonly { readonly id: string }[]): ServerView {
    const { servers } = this.options;
    servers?.note(rows);
    return servers?.pick() ?? ((row) => row);
  }

  /**
   * Throws 431 for ids that never were, purged and lost jobs being the same, and 531 for somebody else's job.
   */
  queryJob(id: string, by = this.account): Job {
    if (this.faults.take('queryAsyncJobResult', ['unknown-job']))
      throw badValue('queryAsyncJobResult', 'jobid', id);
    const job = this.jobTable.query(id);
    if (by.role !== 'root' && job.accountId !== by.id)
      throw forbidden(`Account ${accountText(by)} is not authorized to see job id=${job.internalId}`);
    return job;
  }

  pendingJobs(): Job[] {
    return this.jobTable.pending();
  }

  /** The management server restarts: pending jobs fail with 530 and without a result. */
  restart(options: RestartOptions = {}): void {
    this.restarts += 1;
    this.history.note('restart', options.work ?? 'lost');
    this.jobTable.restart(options.work ?? 'lost');
    this.downUntil = this.options.clock.monotonic() + (options.downFor ?? 0);
    if (options.stuck) return;
    for (const volume of this.volumes) {
      if (volume.state === 'Attaching') volume.state = 'Ready';
      if (volume.state === 'Creating') volume.state = 'Allocated';
    }
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

  private makeParts(): ModelParts {
    const { options, sleep } = this;
    return {
      clock: options.clock,
      random: options.random,
      accounts: this.accounts,
      access: this.access,
      conditions: this.conditions,
      inventory: this.inventory,
      jobs: this.jobTable,
      faults: this.faults,
      history: this.history,
      settings: {
        volumeLimit: options.volumeLimit ?? 10_000,
        storageLimit: options.storageLimit ?? Number.POSITIVE_INFINITY,
        userMayExpungeVm: options.userMayExpungeVm ?? false,
        userMayExpungeVolume: options.userMayExpungeVolume ?? true,
        pageSize: options.pageSize ?? PAGE_CAP,
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
      restart: (fault) => this.restart(restartOptions(fault)),
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
