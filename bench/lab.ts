import { type LabAppliance, type LabOptions, startAppliance } from '~/lab/appliance';
import type { ApiClient, OperationReply } from '~/lab/client';

export const GIB = 1024 ** 3;

/** A CloudStack that takes no time: what is left is ours. */
export const INSTANT = { create: 1, attach: 1, detach: 1, remove: 1 };

/** The laboratory without NBD, talking little, for the time of one measurement. */
export async function withLab<T>(options: LabOptions, work: (lab: LabAppliance) => Promise<T>): Promise<T> {
  const env = { NBD_BACKEND: 'none', LOG_LEVEL: 'warn', ...options.env };
  const lab = await startAppliance({ cloud: { latencies: INSTANT }, ...options, env });
  try {
    return await work(lab);
  } finally {
    await lab.close();
  }
}

/**
 * CloudStack takes every call and never answers: the engine stands still, and only the requests are measured.
 */
export function stallCloud(lab: LabAppliance): void {
  lab.cloud.model.faults.add({ command: '*', kind: 'delay', ms: 3_600_000, times: 10_000_000 });
}

/** A volume made by the daemon itself. */
export async function newVolume(lab: LabAppliance, api: ApiClient, name: string): Promise<string> {
  const body = { name, size: GIB, zone_id: lab.cloud.zoneId, disk_offering_id: lab.cloud.diskOfferingId };
  return (await api.end(await api.post<OperationReply>('/api/v1/volumes', body))).volume_id;
}

/** A volume that CloudStack already has. */
export function existingVolume(lab: LabAppliance, name: string): string {
  return lab.cloud.model.inventory.addVolume({
    name,
    size: GIB,
    zoneId: lab.cloud.zoneId,
    diskOfferingId: lab.cloud.diskOfferingId,
  }).id;
}

/** Waits until nothing is pending or executing. */
export async function settled(api: ApiClient): Promise<void> {
  for (const status of ['pending', 'executing', 'pending'])
    while ((await api.get<unknown[]>(`/api/v1/operations?status=${status}&limit=1`)).length > 0)
      await pause(50);
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Wall clock ms of a time in an answer; NaN when it has none. */
export function timeIn(reply: object, field: 'created_at' | 'completed_at'): number {
  const value = field in reply ? Reflect.get(reply, field) : null;
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}
