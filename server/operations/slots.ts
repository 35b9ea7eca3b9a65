import type { Cloud } from '../cloudstack/cloud';
import { rootDevices } from '../devices/correlation';
import type { Device, DeviceSnapshot, Guest, PciSlots } from '../devices/device';
import { serialNames } from '../devices/serial';
import { type Evidence, seen, unknown } from '../model/evidence';

/** What tells how many more disks this VM takes. */
export interface SlotSources {
  readonly cloud: Pick<Cloud, 'dataDiskLimit' | 'listVolumes'>;
  readonly guest: Pick<Guest, 'slots'>;
  readonly watcher: { scan(): Promise<Pick<DeviceSnapshot, 'devices'>> };
}

/** What was read of the slots, before the disks that are on their way are counted. */
export interface SlotLook {
  readonly slots: Evidence<PciSlots>;
  /** CloudStack's limit of data disks for this VM. */
  readonly limit: Evidence<number>;
  /** The disks of the guest without the system's own. */
  readonly disks: readonly Device[];
  /** The data volumes that CloudStack has attached here; null when they were not listed. */
  readonly attached: readonly string[] | null;
}

/** How many more disks fit, by each witness. */
export interface Capacity {
  readonly guest: Evidence<number>;
  readonly cloudstack: Evidence<number>;
}

/**
 * Looks at the slots. They are read before the disks, so that a disk that comes in between is counted once.
 * CloudStack's list is read only when the disks of the guest come near the limit. Throws DEVICES_UNREADABLE
 * and CloudError.
 */
export async function lookAtSlots(
  { cloud, guest, watcher }: SlotSources,
  applianceVmId: string,
  coming: number,
): Promise<SlotLook> {
  const shown = await guest.slots();
  const snapshot = await watcher.scan();
  const roots = rootDevices(snapshot);
  const disks = snapshot.devices.filter(({ name }) => !roots.has(name));
  const slots = disks.some(({ bus }) => bus !== undefined && bus !== 'virtio')
    ? unknown('its data disks are not on PCI slots of their own', shown.at, 'guest')
    : shown;
  const limit = await cloud.dataDiskLimit(applianceVmId);
  const near = limit.kind === 'seen' && disks.length + coming >= limit.value;
  const volumes = near ? await cloud.listVolumes({ vmId: applianceVmId }) : null;
  const attached = volumes?.filter(({ type }) => type !== 'ROOT').map(({ id }) => id) ?? null;
  return { slots, limit, disks, attached };
}

/** `coming`: volumes of operations that may be bringing their disk into this guest. Pure. */
export function capacityOf({ slots, limit, disks, attached }: SlotLook, coming: readonly string[]): Capacity {
  const unnamed = coming.filter((id) => !disks.some(({ serial }) => serialNames(id, serial)));
  // A disk whose serial is not read yet may be one of those; so may a slot whose disk the kernel is making.
  const untold = disks.filter(({ serialState }) => serialState === 'pending').length;
  const { at } = slots;
  const guest =
    slots.kind === 'seen'
      ? seen(slots.value.free - Math.max(0, unnamed.length - untold - slots.value.arriving), at, 'guest')
      : slots;
  const used =
    attached === null
      ? disks.length + Math.max(0, unnamed.length - untold)
      : attached.length + coming.filter((id) => !attached.includes(id)).length;
  const cloudstack = limit.kind === 'seen' ? seen(limit.value - used, limit.at, 'cloudstack') : limit;
  return { guest, cloudstack };
}

/** How many more disks fit by everybody who knows; null when nobody does. Never negative. Pure. */
export function freeSlots({ guest, cloudstack }: Capacity): number | null {
  const known = [guest, cloudstack].flatMap((one) => (one.kind === 'seen' ? [one.value] : []));
  return known.length === 0 ? null : Math.max(0, Math.min(...known));
}

/** For people: `18 more disks fit (18 PCI slots of the guest; CloudStack's limit is unknown: …)`. Pure. */
export function capacityText(capacity: Capacity): string {
  const free = freeSlots(capacity);
  const by = (evidence: Evidence<number>, what: string) => {
    if (evidence.kind === 'seen') return `${what}: ${Math.max(0, evidence.value)}`;
    return `${what}: unknown, ${evidence.kind === 'unknown' ? evidence.why : evidence.proof}`;
  };
  const told = `${by(capacity.guest, 'PCI slots of the guest')}; ${by(capacity.cloudstack, "CloudStack's limit")}`;
  if (free === null) return `how many more disks fit is not known (${told})`;
  return `${free} more disk${free === 1 ? '' : 's'} fit${free === 1 ? 's' : ''} (${told})`;
}

export const NOT_LOOKED: Capacity = {
  guest: unknown('not looked at yet', 0, 'guest'),
  cloudstack: unknown('not asked yet', 0, 'cloudstack'),
};
