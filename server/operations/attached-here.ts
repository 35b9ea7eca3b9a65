import type { Cloud } from '../cloudstack/cloud';
import type { World } from '../devices/correlation';
import type { DeviceSnapshot } from '../devices/device';
import { lacksSerials } from '../devices/serial';

/**
 * The data volumes that CloudStack says are attached to this guest: a new disk without a serial may be any of
 * them. Not read where disks have serials. Throws CloudError.
 */
export async function attachedHere(
  cloud: Pick<Cloud, 'listVolumes'>,
  { devices }: Pick<DeviceSnapshot, 'devices'>,
  applianceVmId: string | null,
): Promise<World['attachedHere']> {
  if (applianceVmId === null || !lacksSerials(devices)) return [];
  const volumes = await cloud.listVolumes({ vmId: applianceVmId });
  return volumes.filter(({ type }) => type !== 'ROOT').map(({ id, size }) => ({ id, size }));
}
