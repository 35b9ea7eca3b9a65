import {
  type Cloud,
  type CloudCapabilities,
  type CloudCommand,
  type CloudDiskOffering,
  CloudError,
  type CloudJob,
  type CloudVm,
  type CloudVolume,
  type CloudZone,
} from '~/server/cloudstack/cloud';
import { apiError, badAnswer } from '~/server/cloudstack/errors';
import type { Clock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { CALL_FAULTS, type CallFault, type Fault } from './faults';
import type { CloudModel } from './model';
import { ApiError, type Job, type Vm, type Volume } from './records';
import { errorOf } from './reply';
import { CUSTOM_MAX_GIB, CUSTOM_MIN_GIB } from './volumes';

/**
 * The domain's CloudStack port straight on the model, for the in-process simulation: the same answers, errors and outcomes as
 * server/cloudstack/http-cloud.ts gives on ./http.ts (one test runs both), call faults included. Time passes on the given clock
 * only. Several of them may share one model, as several daemons share one CloudStack.
 */
export class ModelCloud implements Cloud {
  constructor(
    private readonly model: CloudModel,
    private readonly clock: Clock,
  ) {}

  capabilities(): Promise<CloudCapabilities> {
    return this.call('listCapabilities', () => ({
      version: '4.20.0.0',
      customDiskMinGiB: CUSTOM_MIN_GIB,
      customDiskMaxGiB: CUSTOM_MAX_GIB,
    }));
  }

  readVolume(id: string): Promise<CloudVolume | null> {
    return this.call('listVolumes', () => {
      const volume = this.model.volumes.find((candidate) => candidate.id === id.toLowerCase());
      return volume && !volume.removed ? this.volume(volume) : null;
    });
  }

  listVolumes(filter: { name?: string; zoneId?: string; vmId?: string }): Promise<CloudVolume[]> {
    const { name, zoneId, vmId } = filter;
    return this.call('listVolumes', () => {
      const { inventory } = this.model;
      if (zoneId !== undefined) inventory.zone('listVolumes', 'zoneid', zoneId);
      if (vmId !== undefined) inventory.vm('listVolumes', 'virtualmachineid', vmId);
      return this.model.volumes
        .filter(
          (volume) =>
            !volume.removed &&
            (name === undefined || volume.name.toLowerCase() === name.toLowerCase()) &&
            (zoneId === undefined || volume.zoneId === zoneId.toLowerCase()) &&
            (vmId === undefined || volume.vmId === vmId.toLowerCase()),
        )
        .map((volume) => this.volume(volume));
    });
  }

  readVm(id: string): Promise<CloudVm | null> {
    return this.call('listVirtualMachines', () => {
      const vm = this.model.vms.find((candidate) => candidate.id === id.toLowerCase());
      return vm && !vm.removed ? vmOf(vm) : null;
    });
  }

  /** By id or name. */
  async readZone(id: string): Promise<CloudZone | null> {
    const zones = await this.call('listZones', () => this.zones());
    return zones.find((zone) => zone.id === id.toLowerCase() || zone.name === id) ?? null;
  }

  async readDiskOffering(id: string): Promise<CloudDiskOffering | null> {
    return (await this.listDiskOfferings()).find((offering) => offering.id === id.toLowerCase()) ?? null;
  }

  listZones(): Promise<CloudZone[]> {
    return this.call('listZones', () =>
      this.zones().filter(({ allocationState }) => allocationState === 'Enabled'),
    );
  }

  listDiskOfferings(): Promise<CloudDiskOffering[]> {
    return this.call('listDiskOfferings', () => this.model.offerings.map((offering) => ({ ...offering })));
  }

  submit(command: CloudCommand, jobId: string): Promise<{ jobId: string; volumeId: string | null }> {
    return this.call(command.name, () => {
      try {
        return this.start(command, jobId);
      } catch (error) {
        // The id is taken: the call was accepted before. What became of it has to be read.
        if (error instanceof ApiError && error.message.includes(`UUID: ${jobId} already exists`)) {
          const { message, text, code } = asCloudError(error);
          throw new CloudError(message, { kind: 'internal', outcome: 'taken', code, text, cause: error });
        }
        throw error;
      }
    });
  }

  deleteVolume(id: string): Promise<void> {
    return this.call('deleteVolume', () => this.model.deleteVolume(id), LIMITS.CLOUDSTACK_DELETE_TIMEOUT_MS);
  }

  queryJob(jobId: string): Promise<CloudJob | null> {
    return this.call('queryAsyncJobResult', () => {
      try {
        return jobOf(this.model.queryJob(jobId));
      } catch (error) {
        if (error instanceof ApiError && error.code === 431) return null;
        throw error;
      }
    });
  }

  private start(command: CloudCommand, jobId: string): { jobId: string; volumeId: string | null } {
    const { model } = this;
    switch (command.name) {
      case 'createVolume': {
        const { volume, job } = model.createVolume({
          name: command.volumeName,
          zoneId: command.zoneId,
          offeringId: command.diskOfferingId,
          sizeGiB: command.sizeGiB,
          jobId,
          customId: null,
        });
        return { jobId: job.id, volumeId: volume.id };
      }
      case 'attachVolume': {
        const { volumeId: id, vmId, deviceId } = command;
        return { jobId: model.attachVolume({ id, vmId, deviceId, jobId }).id, volumeId: null };
      }
      case 'detachVolume':
        return { jobId: model.detachVolume({ id: command.volumeId, jobId }).id, volumeId: null };
      case 'stopVirtualMachine':
        return { jobId: model.stopVm(command.vmId, jobId).id, volumeId: null };
      case 'destroyVirtualMachine':
        return { jobId: model.destroyVm(command.vmId, command.expunge, jobId).id, volumeId: null };
      default:
        return command satisfies never;
    }
  }

  /** One call with everything that can happen to it on the way. */
  private async call<T>(
    command: string,
    work: () => T | Promise<T>,
    timeout: number = LIMITS.CLOUDSTACK_TIMEOUT_MS,
  ): Promise<T> {
    if (this.model.isDown()) throw broken(command, 'ECONNRESET');
    const fault = this.model.faults.take(command, CALL_FAULTS);
    const once = () => this.model.exchange(command, work);
    await this.strikeBefore(fault, command, timeout, once);
    if (fault?.kind === 'duplicate-request') await once().catch(() => undefined);
    const [outcome] = await Promise.allSettled([once()]);
    await this.strikeAfter(fault, command, timeout);
    if (outcome.status === 'fulfilled') return outcome.value;
    throw outcome.reason instanceof ApiError ? asCloudError(outcome.reason) : outcome.reason;
  }

  private async strikeBefore(
    fault: Fault<CallFault> | null,
    command: string,
    timeout: number,
    once: () => Promise<unknown>,
  ): Promise<void> {
    switch (fault?.kind) {
      case 'fail-before-effect':
        throw broken(command, 'ECONNRESET');
      case 'status':
        throw statusError(fault, command);
      case 'html':
        throw badAnswer(command, fault.code ?? 503, 'not JSON');
      case 'delay': {
        const { ms = 100 } = fault;
        // The caller gives up waiting; the request arrives all the same.
        if (ms > timeout)
          void this.clock
            .sleep(ms)
            .then(once)
            .catch(() => undefined);
        await this.pass(ms, command, timeout);
        return;
      }
      default:
        return;
    }
  }

  private async strikeAfter(fault: Fault<CallFault> | null, command: string, timeout: number): Promise<void> {
    switch (fault?.kind) {
      case 'drop-reply-after-effect':
        throw broken(command, 'ECONNRESET');
      case 'status-after-effect':
        throw statusError(fault, command);
      case 'garbage':
        throw badAnswer(command, 200, 'not JSON');
      case 'late-reply':
      case 'slow-bytes':
        await this.pass(fault.ms ?? 1000, command, timeout);
        return;
      default:
        return;
    }
  }

  private async pass(ms: number, command: string, timeout: number): Promise<void> {
    await this.clock.sleep(Math.min(ms, timeout));
    if (ms > timeout) throw broken(command, 'timeout');
  }

  private zones(): CloudZone[] {
    return this.model.zones.map(({ id, name, allocationState }) => ({ id, name, allocationState }));
  }

  private volume(volume: Volume): CloudVolume {
    const vm = this.model.vms.find(({ id }) => id === volume.vmId);
    const shown = volume.state === 'Destroy' ? undefined : vm;
    return {
      id: volume.id,
      name: volume.name,
      type: volume.type,
      state: volume.state,
      size: volume.size,
      zoneId: volume.zoneId,
      zoneName: this.model.zones.find(({ id }) => id === volume.zoneId)?.name ?? null,
      diskOfferingId: volume.diskOfferingId,
      vmId: shown?.id ?? null,
      vmName: shown?.name ?? null,
      deviceId: shown ? volume.deviceId : null,
      created: wholeSeconds(volume.created),
      attached: volume.attached === null ? null : wholeSeconds(volume.attached),
    };
  }
}

function vmOf({ id, name, state, zoneId, hypervisor }: Vm): CloudVm {
  return { id, name, state, zoneId, hypervisor };
}

function jobOf(job: Job): CloudJob {
  const failed = job.status === 2;
  const error = job.result?.kind === 'error' ? job.result : null;
  return {
    jobId: job.id,
    status: job.status === 0 ? 'pending' : failed ? 'failed' : 'succeeded',
    errorCode: failed ? (error?.code ?? job.resultCode) : null,
    errorText: failed ? (error?.text ?? null) : null,
    volumeId: job.instanceType === 'Volume' && job.instanceId !== '' ? job.instanceId : null,
  };
}

/** The API's dates have no fractions. */
function wholeSeconds(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}

function asCloudError({ code, csCode, message }: ApiError): CloudError {
  return apiError({ httpStatus: code, code, csCode, text: message });
}

function statusError(fault: Fault, command: string): CloudError {
  const code = fault.code ?? 503;
  return code < 530 && code >= 500 ? badAnswer(command, code, 'not JSON') : asCloudError(errorOf(fault));
}

function broken(command: string, why: string): CloudError {
  return new CloudError(`CloudStack did not answer ${command}: ${why}`, {
    kind: 'network',
    outcome: 'unknown',
  });
}
