import {
  type Cloud,
  type CloudAccepted,
  type CloudCapabilities,
  type CloudCommand,
  type CloudDiskOffering,
  CloudError,
  type CloudJob,
  type CloudOwner,
  type CloudSnapshot,
  type CloudVm,
  type CloudVolume,
  type CloudZone,
  type Departure,
  type VolumeListFilter,
} from '~/server/cloudstack/cloud';
import { saysJobIdTaken, saysRemoved } from '~/server/cloudstack/errors';
import type { Clock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { type Absent, absent, type Evidence, seen, type Unknown, unknown } from '~/server/model/evidence';
import { maxDataDisks } from './actions/disks';
import { createSnapshot, deleteSnapshot, resizeVolume, revertSnapshot } from './actions/snapshots';
import type { CloudModel } from './model';
import { asCloudError, ModelExchange } from './model-exchange';
import { ApiError, type Job, type Snapshot, type Vm, type Volume } from './records';
import { LIST_ALL, type Scope } from './state/access';
import { type Account, DOMAIN_ID } from './state/accounts';
import { namesMatch } from './state/names';
import { toldTo } from './state/texts';

/** As the client over HTTP asks for lists. */
const OF_OWNERS: Scope = { ...LIST_ALL, projectId: '-1' };

/**
 * The domain's CloudStack port straight on the model, for the in-process simulation: the same answers, errors
 * and outcomes as server/cloudstack/http-cloud.ts gives on ./http.ts (one test runs both), call faults
 * included. Time passes on the given clock only. Several of them may share one model, as several daemons
 * share one CloudStack.
 */
export class ModelCloud implements Cloud {
  private readonly exchange: ModelExchange;
  /** How far the clock that its answers show is ahead of ours, ms. */
  skewMs: number | null = null;

  /** Whose key it has. */
  private readonly account: Account;

  constructor(
    private readonly model: CloudModel,
    private readonly clock: Clock,
  ) {
    this.account = model.account;
    this.exchange = new ModelExchange(model, clock, this.account);
  }

  capabilities(): Promise<CloudCapabilities> {
    return this.call('listCapabilities', () => ({
      version: '4.20.0.0',
      mayExpungeVms: this.isRoot || this.model.parts.settings.userMayExpungeVm,
      mayExpungeVolumes: this.isRoot || this.model.parts.settings.userMayExpungeVolume,
      seesDestroyedVms: this.isRoot,
    }));
  }

  clockSkewMs(): number | null {
    return this.skewMs;
  }

  /** By what the model knows: it asks for nothing, so no fault can meet it. */
  async dataDiskLimit(vmId: string): Promise<Evidence<number>> {
    const at = this.clock.now();
    const vm = this.model.inventory.vms.find(({ id }) => id === vmId);
    if (!this.isRoot || !vm) return unknown('the key may not ask for it', at, 'cloudstack');
    return seen(maxDataDisks(vm.hypervisor), at, 'cloudstack');
  }

  async newVolumeOwner(appliance: CloudOwner | null): Promise<CloudOwner | null> {
    if (appliance === null) return null;
    if (appliance.projectId !== null) return { ...appliance, account: null, domainId: null };
    return this.isRoot ? appliance : null;
  }

  private get isRoot(): boolean {
    return this.account.role === 'root';
  }

  readVolume(id: string): Promise<Evidence<CloudVolume>> {
    return this.call('listVolumes', () => {
      const shown = this.model.shownVolumes(this.account, { ...OF_OWNERS, byId: true });
      const volume = shown.find((candidate) => candidate.id === id.toLowerCase());
      if (volume) return seen(this.volume(volume), this.now(), 'cloudstack');
      return this.notShown(this.model.volumes.some((candidate) => candidate.id === id.toLowerCase()));
    });
  }

  listVolumes(filter: VolumeListFilter): Promise<CloudVolume[]> {
    const { name, zoneId, vmId } = filter;
    return this.call('listVolumes', () => {
      const { inventory } = this.model;
      if (zoneId !== undefined) inventory.zone('listVolumes', 'zoneid', zoneId);
      if (vmId !== undefined) inventory.vm('listVolumes', 'virtualmachineid', vmId);
      return this.model
        .shownVolumes(this.account, OF_OWNERS)
        .filter(
          (volume) =>
            (name === undefined || namesMatch(volume.name, name)) &&
            (zoneId === undefined || volume.zoneId === zoneId.toLowerCase()) &&
            (vmId === undefined || volume.vmId === vmId.toLowerCase()),
        )
        .map((volume) => this.volume(volume));
    });
  }

  readSnapshot(id: string): Promise<Evidence<CloudSnapshot>> {
    return this.call('listSnapshots', () => {
      const snapshot = this.shownSnapshots({ byId: true }).find(
        (candidate) => candidate.id === id.toLowerCase(),
      );
      if (snapshot) return seen(this.snapshot(snapshot), this.now(), 'cloudstack');
      const { snapshots } = this.model.inventory;
      return this.notShown(snapshots.some((candidate) => candidate.id === id.toLowerCase()));
    });
  }

  listSnapshots({ volumeId, name }: { volumeId: string; name?: string }): Promise<CloudSnapshot[]> {
    return this.call('listSnapshots', () =>
      this.shownSnapshots({ byId: false })
        .filter((one) => one.volumeId === volumeId.toLowerCase() && (name === undefined || one.name === name))
        .map((one) => this.snapshot(one)),
    );
  }

  private shownSnapshots({ byId }: { readonly byId: boolean }): Snapshot[] {
    const { access, inventory } = this.model;
    return inventory.snapshots.filter(
      (one) => one.state !== 'Destroyed' && access.sees(this.account, one, { ...OF_OWNERS, byId }),
    );
  }

  readVm(id: string): Promise<Evidence<CloudVm>> {
    return this.call('listVirtualMachines', () => {
      const shown = this.model.shownVms(this.account, { ...OF_OWNERS, byId: true });
      const vm = shown.find((candidate) => candidate.id === id.toLowerCase());
      if (vm) return seen(this.vm(vm), this.now(), 'cloudstack');
      return this.notShown(this.model.vms.some((candidate) => candidate.id === id.toLowerCase()));
    });
  }

  /** An id that CloudStack has ever given away names something, shown or not; any other is a 431. */
  private notShown(exists: boolean): Absent | Unknown {
    return exists
      ? unknown('CloudStack does not show it to this key', this.now(), 'cloudstack')
      : absent('CloudStack says that this id names nothing', this.now(), 'cloudstack');
  }

  private now(): number {
    return Math.floor(this.clock.now());
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
    return this.call('listDiskOfferings', () =>
      this.model.offerings
        .filter(({ id }) => !this.model.conditions.hides(id))
        .map((offering) => ({ ...offering })),
    );
  }

  async submit(command: CloudCommand, jobId: string, departs?: Departure): Promise<CloudAccepted> {
    departs?.();
    return this.call(command.name, () => {
      try {
        return this.start(command, jobId);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        const refusal = asCloudError(toldTo(this.account, error));
        if (!saysJobIdTaken(refusal, jobId)) throw refusal;
        // The call was accepted before. What became of it has to be read.
        const { message, text, code } = refusal;
        throw new CloudError(message, { kind: 'internal', outcome: 'taken', code, text, cause: error });
      }
    });
  }

  async deleteVolume(id: string, departs?: Departure): Promise<'deleted' | 'gone'> {
    departs?.();
    const work = async () => {
      try {
        await this.model.deleteVolume(id, this.account);
        return 'deleted' as const;
      } catch (error) {
        if (error instanceof ApiError && saysRemoved(error.message)) return 'gone' as const;
        throw error;
      }
    };
    return this.call('deleteVolume', work, LIMITS.CLOUDSTACK_DELETE_TIMEOUT_MS);
  }

  async recoverVolume(id: string, departs?: Departure): Promise<void> {
    departs?.();
    return this.call('recoverVolume', () => void this.model.recoverVolume(id, this.account));
  }

  queryJob(jobId: string): Promise<CloudJob | null> {
    return this.call('queryAsyncJobResult', () => {
      try {
        return jobOf(this.model.queryJob(jobId, this.account));
      } catch (error) {
        if (error instanceof ApiError && error.code === 431) return null;
        throw error;
      }
    });
  }

  private start(command: CloudCommand, jobId: string): CloudAccepted {
    const { model, account } = this;
    const accepted = (job: Job): CloudAccepted => ({ jobId: job.id, volumeId: null, snapshotId: null });
    switch (command.name) {
      case 'createVolume': {
        const { volumeName: name, zoneId, diskOfferingId: offeringId, sizeGiB, owner } = command;
        const { projectId = null, account: ofAccount = null } = owner ?? {};
        const asked = {
          name,
          zoneId,
          offeringId,
          sizeGiB,
          jobId,
          customId: null,
          projectId,
          account: ofAccount,
        };
        const { volume, job } = model.createVolume(asked, account);
        return { ...accepted(job), volumeId: volume.id };
      }
      case 'attachVolume': {
        const { volumeId: id, vmId, deviceId } = command;
        return accepted(model.attachVolume({ id, vmId, deviceId, jobId }, account));
      }
      case 'detachVolume':
        return accepted(model.detachVolume({ id: command.volumeId, jobId }, account));
      case 'destroyVolume': {
        const { volumeId: id, expunge } = command;
        return accepted(model.destroyVolume({ id, expunge, jobId }, account));
      }
      case 'resizeVolume': {
        const { volumeId: id, sizeGiB } = command;
        return accepted(resizeVolume(model.parts, { id, sizeGiB, shrinkOk: false, jobId }, account));
      }
      case 'createSnapshot': {
        const { volumeId, snapshotName: name } = command;
        const { snapshot, job } = createSnapshot(model.parts, { volumeId, name, jobId }, account);
        return { ...accepted(job), snapshotId: snapshot.id };
      }
      case 'deleteSnapshot':
        return accepted(deleteSnapshot(model.parts, { id: command.snapshotId, jobId }, account));
      case 'revertSnapshot':
        return accepted(revertSnapshot(model.parts, { id: command.snapshotId, jobId }, account));
      case 'stopVirtualMachine':
        return accepted(model.stopVm(command.vmId, jobId, account));
      case 'destroyVirtualMachine':
        return accepted(model.destroyVm(command.vmId, command.expunge, jobId, account));
      default:
        return command satisfies never;
    }
  }

  private call<T>(
    command: string,
    work: () => T | Promise<T>,
    timeoutMs: number = LIMITS.CLOUDSTACK_TIMEOUT_MS,
  ): Promise<T> {
    return this.exchange.call(command, work, timeoutMs);
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
      vmId: shown?.id ?? null,
      vmName: shown?.name ?? null,
      vmState: shown?.state ?? null,
      deviceId: shown ? volume.deviceId : null,
      created: wholeSeconds(volume.created),
      attached: volume.attached === null ? null : wholeSeconds(volume.attached),
      deleteProtection: volume.deleteProtection,
      owner: this.owner(volume.accountId),
    };
  }

  private snapshot({ id, name, volumeId, state, size, created, accountId }: Snapshot): CloudSnapshot {
    const owner = this.owner(accountId);
    return { id, name, volumeId, state, size, created: wholeSeconds(created), owner };
  }

  private vm({ id, name, state, hypervisor, created, accountId }: Vm): CloudVm {
    const owner = this.owner(accountId);
    return { id, name, state, hypervisor, created: wholeSeconds(created), owner };
  }

  private owner(accountId: string): CloudOwner {
    const account = this.model.accounts.require(accountId);
    if (account.project) return { projectId: account.project.id, account: null, domainId: null };
    return { projectId: null, account: account.name, domainId: DOMAIN_ID };
  }
}

function jobOf(job: Job): CloudJob {
  const failed = job.status === 2;
  const error = job.result?.kind === 'error' ? job.result : null;
  const instance = (type: Job['instanceType']) =>
    job.instanceType === type && job.instanceId !== '' ? job.instanceId : null;
  return {
    jobId: job.id,
    status: job.status === 0 ? 'pending' : failed ? 'failed' : 'succeeded',
    errorCode: failed ? (error?.code ?? job.resultCode) : null,
    errorText: failed ? (error?.text ?? null) : null,
    volumeId: instance('Volume'),
    snapshotId: instance('Snapshot'),
    plug: job.result?.kind === 'volume' ? plugOf(job.result.volume) : null,
  };
}

function plugOf({ vmId, deviceId, attached }: Volume): CloudJob['plug'] {
  return vmId === null ? null : { deviceId, attached: attached === null ? null : wholeSeconds(attached) };
}

/** The API's dates have no fractions. */
function wholeSeconds(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString();
}
