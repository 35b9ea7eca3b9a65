import { randomUUID } from 'node:crypto';
import type { CloudModel, ModelOptions } from '~/lab/cloudstack/model';
import { DOMAIN_ID } from '~/lab/cloudstack/state/accounts';
import {
  type Cloud,
  type CloudCommand,
  CloudError,
  type CloudJob,
  type CloudOwner,
} from '~/server/cloudstack/cloud';
import type { Evidence } from '~/server/model/evidence';

export interface CloudUnderTest {
  readonly cloud: Cloud;
  /** What is behind it, for the truth and for faults. */
  readonly model: CloudModel;
  stop(): Promise<void>;
}

export type StartCloud = (options?: Partial<ModelOptions>) => Promise<CloudUnderTest>;

export const GIB = 1024 ** 3;
export const NOBODY = '99999999-9999-4999-8999-999999999999';
export const QUICK = { create: 5, attach: 5, detach: 5, remove: 5, vm: 5 };

/** The port with the everyday calls of a test. */
export class World {
  constructor(readonly under: CloudUnderTest) {}

  get cloud(): Cloud {
    return this.under.cloud;
  }

  get model(): CloudModel {
    return this.under.model;
  }

  createCommand(volumeName: string, sizeGiB: number | null = 1): CloudCommand {
    const [zone, offering] = [this.model.inventory.firstZone(), this.model.offerings[0]];
    const diskOfferingId = offering?.id ?? '';
    return { name: 'createVolume', volumeName, zoneId: zone.id, diskOfferingId, sizeGiB, owner: null };
  }

  /** Submits and waits for the end of the job. */
  async done(command: CloudCommand, jobId = randomUUID()): Promise<CloudJob> {
    await this.cloud.submit(command, jobId);
    return this.ended(jobId);
  }

  async ended(jobId: string): Promise<CloudJob> {
    for (;;) {
      const job = await this.cloud.queryJob(jobId);
      if (!job) throw new Error(`nobody knows job ${jobId}`);
      if (job.status !== 'pending') return job;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async create(volumeName: string): Promise<string> {
    return (await this.done(this.createCommand(volumeName))).volumeId ?? '';
  }

  attach(volumeId: string, vmId = this.model.applianceVmId): CloudCommand {
    return { name: 'attachVolume', volumeId, vmId, deviceId: null };
  }
}

/** What CloudStack shows; an Error when it does not show it. */
export function shown<T>(evidence: Evidence<T>): T {
  if (evidence.kind === 'seen') return evidence.value;
  throw new Error(`it is ${evidence.kind}`);
}

export function ownerOf({ name }: CloudModel['account']): CloudOwner {
  return { projectId: null, account: name, domainId: DOMAIN_ID };
}

export async function refused(call: Promise<unknown>): Promise<CloudError> {
  const error = await call.then(
    (value) => new Error(`it succeeded: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof CloudError) return error;
  throw error;
}

/** An error in three words. */
export const told = ({ kind, outcome, code }: CloudError) =>
  [kind, outcome, ...(code === null ? [] : [code])].join(' ');
