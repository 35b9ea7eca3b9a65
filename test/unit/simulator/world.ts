import type { LatencyOptions } from '~/lab/cloudstack/latency';
import { CloudModel, type ModelOptions } from '~/lab/cloudstack/model';
import type { Job, Volume } from '~/lab/cloudstack/records';
import { MemoryGuest, type MemoryGuestOptions } from '~/lab/guest/memory-guest';
import type { Random } from '~/server/core/clock';
import { ManualClock } from '../devices/manual-clock';

/** UUIDs in order, different in their first characters: serials are cut from the front. */
export function countingRandom(): Random {
  let last = 0;
  return {
    uuid: () => {
      last += 1;
      return `${last.toString(16).padStart(8, '0')}-0000-4000-8000-000000000000`;
    },
    fraction: () => 0.5,
  };
}

/** Jobs of 100 ms, accepted at once. */
const LATENCIES: LatencyOptions = { create: 100, attach: 100, detach: 100, remove: 100, vm: 100 };

export interface World {
  readonly clock: ManualClock;
  readonly guest: MemoryGuest;
  readonly model: CloudModel;
  /** A volume whose create job has ended. */
  volume(name?: string): Promise<Volume>;
  attach(volume: Volume, options?: { vmId?: string; deviceId?: number | null }): Job;
  detach(volume: Volume): Job;
  /** Attached to the appliance, job ended. */
  attached(name?: string): Promise<Volume>;
  /** Lets the jobs that run come to their end. */
  settle(): Promise<void>;
}

export function makeWorld(
  options: Partial<ModelOptions> = {},
  guestOptions: Partial<MemoryGuestOptions> = {},
): World {
  const clock = new ManualClock();
  const random = countingRandom();
  const guest = new MemoryGuest({ clock, random, ...guestOptions });
  const model = new CloudModel({ clock, random, guest, latencies: LATENCIES, ...options });
  const settle = async () => {
    while (model.pendingJobs().length > 0) await clock.advance(100);
  };
  const world: World = {
    clock,
    guest,
    model,
    settle,
    volume: async (name = 'data') => {
      const { volume } = create(model, { name });
      await settle();
      return volume;
    },
    attach: (volume, { vmId = model.applianceVmId, deviceId = null } = {}) =>
      model.attachVolume({ id: volume.id, vmId, deviceId, jobId: null }),
    detach: (volume) => model.detachVolume({ id: volume.id, jobId: null }),
    attached: async (name = 'data') => {
      const volume = await world.volume(name);
      world.attach(volume);
      await settle();
      return volume;
    },
  };
  return world;
}

/** createVolume with the offering of a custom size, 1 GiB. */
export function create(
  model: CloudModel,
  fields: Partial<Parameters<CloudModel['createVolume']>[0]> = {},
): { volume: Volume; job: Job } {
  return model.createVolume({
    name: 'data',
    zoneId: model.inventory.firstZone().id,
    offeringId: model.offerings[0]?.id ?? '',
    sizeGiB: 1,
    jobId: null,
    customId: null,
    ...fields,
  });
}

/** Code and text of a failed job. */
export function failureOf(job: Job): [code: number, text: string] | string {
  return job.result?.kind === 'error' ? [job.result.code, job.result.text] : `no error: status ${job.status}`;
}
