import type { Clock, Random } from '~/server/runtime/clock';
import type { SimulatedGuest } from '../guest/guest';
import { Faults } from './faults';
import {
  ApiError,
  type DiskOffering,
  type Effect,
  type Job,
  type Vm,
  type Volume,
  type Zone,
} from './records';

const GIB = 1024 ** 3;
const MAX_DATA_DISKS = 32;
const CUSTOM_MAX_GIB = 1024;

export interface Latencies {
  /** ms of each job once it runs. */
  readonly create: number;
  readonly attach: number;
  readonly detach: number;
  /** ms that the synchronous deleteVolume takes. */
  readonly remove: number;
}

export interface ModelOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly guest: SimulatedGuest;
  readonly latencies?: Partial<Latencies>;
  /** Volumes an account may have; createVolume answers 535 beyond. */
  readonly volumeLimit?: number;
  readonly applianceVmId?: string;
}

/**
 * CloudStack as a state machine: what the facts say about states, device ids, the job queue of each VM, error texts and lookups.
 * No HTTP here; ./http.ts gives it the wire. It counts effects, so that "exactly once" can be proven.
 */
export class CloudModel {
  readonly zones: Zone[] = [];
  readonly offerings: DiskOffering[] = [];
  readonly vms: Vm[] = [];
  readonly volumes: Volume[] = [];
  readonly jobs = new Map<string, Job>();
  readonly effects: Effect[] = [];
  readonly faults = new Faults();
  readonly latencies: Latencies;
  readonly applianceVmId: string;
  volumeLimit: number;
  private readonly queues = new Map<string, Promise<unknown>>();
  private nextInternalId = 1000;
  /** Raised by `restart`: what ran before does not report any more. */
  private generation = 0;

  constructor(private readonly options: ModelOptions) {
    const { random } = options;
    this.latencies = { create: 30, attach: 60, detach: 60, remove: 20, ...options.latencies };
    this.volumeLimit = options.volumeLimit ?? 10_000;
    this.zones.push({ id: random.uuid(), name: 'zone-1' });
    this.offerings.push(
      { id: random.uuid(), name: 'Custom', customized: true, sizeGiB: 0 },
      { id: random.uuid(), name: 'Small', customized: false, sizeGiB: 5 },
    );
    this.applianceVmId = this.addVm({
      name: 'appliance',
      ...(options.applianceVmId ? { id: options.applianceVmId } : {}),
    }).id;
  }

  addVm(fields: { name: string; state?: string; id?: string; hypervisor?: string }): Vm {
    const vm: Vm = {
      id: fields.id ?? this.options.random.uuid(),
      internalId: this.nextId(),
      name: fields.name,
      state: fields.state ?? 'Running',
      zoneId: this.zone().id,
      hypervisor: fields.hypervisor ?? 'KVM',
    };
    this.vms.push(vm);
    this.volumes.push(
      this.newVolume({
        name: `ROOT-${vm.internalId}`,
        type: 'ROOT',
        size: 8 * GIB,
        offeringId: null,
        state: 'Ready',
        vmId: vm.id,
        deviceId: 0,
      }),
    );
    return vm;
  }

  zone(): Zone {
    const [zone] = this.zones;
    if (!zone) throw new Error('the model has no zone');
    return zone;
  }

  effectsOf(volumeId: string, kind: Effect['kind']): number {
    return this.effects.filter((effect) => effect.volumeId === volumeId && effect.kind === kind).length;
  }

  // ---- commands -----------------------------------------------------------------------------------------------------

  createVolume(params: {
    name: string;
    zoneId: string;
    offeringId: string;
    sizeGiB: number | null;
    jobId: string | null;
    customId: string | null;
  }): { volume: Volume; job: Job } {
    const zone = this.zones.find(({ id }) => id === params.zoneId);
    if (!zone) throw badId('createvolume', 'zoneid', params.zoneId);
    const offering = this.offerings.find(({ id }) => id === params.offeringId);
    if (!offering) throw badId('createvolume', 'diskofferingid', params.offeringId);
    const sizeGiB = this.sizeFor(offering, params.sizeGiB);
    const owned = this.volumes.filter(({ removed, type }) => !removed && type === 'DATADISK').length;
    if (owned >= this.volumeLimit) {
      throw new ApiError(
        535,
        `Maximum amount of resources of Type = 'volume', tag = 'null' for Account Name = admin in Domain Id = 1 is exceeded: Account Resource Limit = ${this.volumeLimit}, Current Account Resource Amount = ${owned}, Current Account Resource Reservation = 0, Requested Resource Amount = 1.`,
        4370,
      );
    }
    // The row comes before the job id is looked at: a resend under the same job id leaks a volume, as the real server does.
    const volume = this.newVolume({
      name: params.name,
      type: 'DATADISK',
      size: sizeGiB * GIB,
      offeringId: offering.id,
      state: 'Allocated',
      vmId: null,
      deviceId: null,
    });
    this.volumes.push(volume);
    this.effect('create', volume, null, params.jobId);
    const job = this.newJob('CreateVolumeCmd', volume.id, params.jobId);
    volume.jobId = job.id;
    void this.runJob(job, volume, 'createVolume', this.latencies.create, async () => volume);
    return { volume, job };
  }

  attachVolume(params: { id: string; vmId: string; deviceId: number | null; jobId: string | null }): Job {
    const volume = this.lookUp('attachvolume', params.id);
    const vm = this.vms.find(({ id }) => id === params.vmId);
    if (!vm) throw badId('attachvolume', 'virtualmachineid', params.vmId);
    const job = this.newJob('AttachVolumeCmd', volume.id, params.jobId);
    void this.queued(vm.id, () =>
      this.runJob(job, volume, 'attachVolume', this.latencies.attach, () =>
        this.attachNow(volume, vm, params.deviceId, job),
      ),
    );
    return job;
  }

  detachVolume(params: { id: string; jobId: string | null }): Job {
    const volume = this.lookUp('detachvolume', params.id);
    const job = this.newJob('DetachVolumeCmd', volume.id, params.jobId);
    void this.queued(volume.vmId ?? volume.id, () =>
      this.runJob(job, volume, 'detachVolume', this.latencies.detach, () => this.detachNow(volume, job)),
    );
    return job;
  }

  async deleteVolume(id: string): Promise<void> {
    const volume = this.lookUp('deletevolume', id);
    if (volume.removed) throw new ApiError(431, `Unable to find volume with ID: ${volume.internalId}`, 4350);
    if (volume.vmId !== null)
      throw new ApiError(431, 'Please specify a volume that is not attached to any VM.', 4350);
    if (volume.state === 'Snapshotting')
      throw new ApiError(
        431,
        'There are snapshot operations in progress on the volume, unable to delete it',
        4350,
      );
    volume.state = 'Expunging';
    await this.options.clock.sleep(this.latencies.remove);
    volume.state = 'Expunged';
    volume.removed = true;
    this.effect('delete', volume, null, null);
  }

  stopVm(vmId: string, jobId: string | null): Job {
    const vm = this.vmOrThrow('stopvirtualmachine', vmId);
    const job = this.newJob('StopVMCmd', vm.id, jobId);
    void this.queued(vm.id, () =>
      this.runJob(job, null, 'stopVirtualMachine', this.latencies.detach, async () => {
        vm.state = 'Stopped';
        this.effects.push({
          kind: 'stop',
          volumeId: '',
          vmId: vm.id,
          jobId: job.id,
          at: this.options.clock.now(),
        });
      }),
    );
    return job;
  }

  destroyVm(vmId: string, jobId: string | null): Job {
    const vm = this.vmOrThrow('destroyvirtualmachine', vmId);
    const job = this.newJob('DestroyVMCmd', vm.id, jobId);
    void this.queued(vm.id, () =>
      this.runJob(job, null, 'destroyVirtualMachine', this.latencies.detach, async () => {
        vm.state = 'Expunging';
        for (const volume of this.volumes.filter(
          (candidate) => candidate.vmId === vm.id && candidate.type === 'ROOT',
        ))
          Object.assign(volume, { removed: true, state: 'Expunged', vmId: null });
        this.effects.push({
          kind: 'destroy',
          volumeId: '',
          vmId: vm.id,
          jobId: job.id,
          at: this.options.clock.now(),
        });
      }),
    );
    return job;
  }

  /** Throws 431 for ids that never were; purged and lost jobs are the same. */
  queryJob(id: string): Job {
    const job = this.jobs.get(id.toLowerCase());
    if (!job || job.lost) throw badId('queryasyncjobresult', 'jobid', id);
    return job;
  }

  /** The management server restarts: running jobs fail without a result; whether the hypervisor finishes is a matter of luck. */
  restart(): void {
    this.generation += 1;
    for (const job of this.jobs.values()) {
      if (job.status === 0)
        Object.assign(job, {
          status: 2,
          resultCode: 530,
          result: undefined,
          completed: this.options.clock.now(),
        });
    }
  }

  // ---- behind the scenes --------------------------------------------------------------------------------------------

  private async attachNow(volume: Volume, vm: Vm, wanted: number | null, job: Job): Promise<Volume> {
    if (volume.vmId !== null)
      throw new ApiError(431, 'Please specify a volume that is not attached to any VM.');
    if (volume.removed) throw new ApiError(431, 'Please specify a volume that is not destroyed.');
    if (!['Allocated', 'Ready', 'Uploaded'].includes(volume.state))
      throw new ApiError(431, 'Volume state must be in Allocated, Ready or in Uploaded state');
    if (vm.state !== 'Running' && vm.state !== 'Stopped')
      throw new ApiError(431, 'Please specify a VM that is either running or stopped.');
    const deviceId = this.deviceIdFor(vm, wanted);
    const before = volume.state;
    volume.state = before === 'Allocated' ? 'Creating' : 'Attaching';
    try {
      await this.options.clock.sleep(this.latencies.attach);
      const unseen = this.faults.takeJob('attachVolume:plug')?.kind === 'no-device';
      if (vm.id === this.applianceVmId && vm.state === 'Running' && !unseen) {
        await this.options.guest.plug({
          volumeId: volume.id,
          size: volume.size,
          serial: volume.id.replaceAll('-', '').slice(0, 20),
        });
      }
    } catch (error) {
      volume.state = before;
      throw new ApiError(
        530,
        `Failed to attach volume ${volume.name} to VM ${vm.name}; org.libvirt.LibvirtException: operation failed: ${error instanceof Error ? error.message : ''}`,
      );
    }
    Object.assign(volume, { state: 'Ready', vmId: vm.id, deviceId, attached: this.options.clock.now() });
    this.effect('attach', volume, vm.id, job.id);
    return volume;
  }

  private async detachNow(volume: Volume, job: Job): Promise<Volume> {
    const vm = this.vms.find(({ id }) => id === volume.vmId);
    if (!vm) throw new ApiError(431, 'The specified volume is not attached to a VM.');
    await this.options.clock.sleep(this.latencies.detach);
    const slow = this.faults.takeJob('detachVolume:unplug');
    if (slow) {
      throw new ApiError(
        530,
        `Failed to detach volume ${volume.name} from VM ${vm.name}; com.cloud.exception.InternalErrorException: Could not detach volume after sending the command and waiting for [10000] milliseconds. Probably the VM does not support the sent detach command or the device is busy at the moment. Try again in a couple of minutes.`,
      );
    }
    if (vm.id === this.applianceVmId) await this.options.guest.unplug(volume.id);
    Object.assign(volume, { vmId: null, deviceId: null, attached: null, state: 'Ready' });
    this.effect('detach', volume, vm.id, job.id);
    return volume;
  }

  /** Lowest free of 1, 2, 4, …: 0 is the root disk, 3 the CD-ROM. */
  private deviceIdFor(vm: Vm, wanted: number | null): number {
    const used = new Set(this.volumes.filter(({ vmId }) => vmId === vm.id).map(({ deviceId }) => deviceId));
    if (wanted !== null) {
      if (used.has(wanted)) throw new ApiError(530, `deviceId ${wanted} is used by vm ${vm.name}`);
      return wanted;
    }
    const data = [...used].filter((id) => id !== 0 && id !== null).length;
    if (data >= MAX_DATA_DISKS)
      throw new ApiError(
        431,
        `The specified VM already has the maximum number of data disks (${MAX_DATA_DISKS}) attached. Please specify another VM.`,
      );
    for (let id = 1; ; id += 1) if (id !== 3 && !used.has(id)) return id;
  }

  private sizeFor(offering: DiskOffering, sizeGiB: number | null): number {
    if (!offering.customized) {
      if (sizeGiB !== null) throw new ApiError(431, 'This disk offering does not allow custom size');
      return offering.sizeGiB;
    }
    if (sizeGiB === null) throw new ApiError(431, 'This disk offering requires a custom size specified');
    if (sizeGiB < 1 || sizeGiB > CUSTOM_MAX_GIB)
      throw new ApiError(
        431,
        `Volume size: ${sizeGiB} GB is out of allowed range. Min: 1. Max: ${CUSTOM_MAX_GIB}`,
      );
    return sizeGiB;
  }

  /** Runs the work of a job and writes its end as the server does, faults included. */
  private async runJob(
    job: Job,
    volume: Volume | null,
    command: string,
    ms: number,
    work: () => Promise<unknown>,
  ): Promise<void> {
    const { generation } = this;
    const fault = this.faults.takeJob(command);
    const hidden = fault?.kind === 'job-without-result' || fault?.kind === 'job-fails';
    const end = (fields: Partial<Job>) => {
      if (this.generation === generation)
        Object.assign(job, { completed: this.options.clock.now(), ...fields });
    };
    try {
      if (command === 'createVolume' || hidden) await this.options.clock.sleep(ms);
      if (!hidden) await work();
      if (volume?.jobId === job.id) volume.jobId = null;
      end(endOf(fault, volume));
    } catch (error) {
      const { code, message } =
        error instanceof ApiError
          ? error
          : new ApiError(530, error instanceof Error ? error.message : String(error));
      end({ status: 2, resultCode: code, result: { errorcode: code, errortext: message } });
    }
    if (fault?.kind === 'lose-job') job.lost = true;
  }

  /** One job at a time per VM; different VMs in parallel. */
  private queued(key: string, work: () => Promise<void>): Promise<void> {
    const next = (this.queues.get(key) ?? Promise.resolve()).then(work, work);
    this.queues.set(key, next);
    return next;
  }

  private lookUp(command: string, id: string): Volume {
    const volume = this.volumes.find((candidate) => candidate.id === id.toLowerCase());
    if (!volume) throw badId(command, 'id', id);
    return volume;
  }

  private vmOrThrow(command: string, id: string): Vm {
    const vm = this.vms.find((candidate) => candidate.id === id.toLowerCase());
    if (!vm) throw badId(command, 'id', id);
    return vm;
  }

  private newJob(command: string, instanceId: string, jobId: string | null): Job {
    const id = jobId?.toLowerCase() ?? this.options.random.uuid();
    if (this.jobs.has(id))
      throw new ApiError(431, `UUID: ${id} already exists so can't create/update with custom id`);
    const job: Job = {
      id,
      command,
      instanceId,
      created: this.options.clock.now(),
      completed: null,
      status: 0,
      resultCode: 0,
      result: undefined,
      lost: false,
    };
    this.jobs.set(id, job);
    return job;
  }

  private newVolume(fields: {
    name: string;
    type: Volume['type'];
    size: number;
    offeringId: string | null;
    state: string;
    vmId: string | null;
    deviceId: number | null;
  }): Volume {
    return {
      id: this.options.random.uuid(),
      internalId: this.nextId(),
      name: fields.name,
      type: fields.type,
      state: fields.state,
      size: fields.size,
      zoneId: this.zone().id,
      diskOfferingId: fields.offeringId,
      vmId: fields.vmId,
      deviceId: fields.deviceId,
      created: this.options.clock.now(),
      attached: null,
      removed: false,
      jobId: null,
    };
  }

  private effect(kind: Effect['kind'], volume: Volume, vmId: string | null, jobId: string | null): void {
    this.effects.push({ kind, volumeId: volume.id, vmId, jobId, at: this.options.clock.now() });
  }

  private nextId(): number {
    this.nextInternalId += 1;
    return this.nextInternalId;
  }
}

function endOf(fault: ReturnType<Faults['takeJob']>, volume: Volume | null): Partial<Job> {
  switch (fault?.kind) {
    case 'job-without-result':
    case 'job-without-result-after-effect':
      return { status: 2, resultCode: fault.code ?? 530, result: undefined };
    case 'job-fails':
    case 'job-fails-after-effect':
      return {
        status: 2,
        resultCode: fault.code ?? 530,
        result: { errorcode: fault.code ?? 530, errortext: fault.text ?? 'Failed for the test' },
      };
    default:
      return { status: 1, resultCode: 0, result: volume ?? { success: true } };
  }
}

/** The text of a lookup that finds nothing (facts 1.6). */
export function badId(command: string, parameter: string, value: string): ApiError {
  return new ApiError(
    431,
    `Unable to execute API command ${command} due to invalid value. Invalid parameter ${parameter} value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`,
  );
}
