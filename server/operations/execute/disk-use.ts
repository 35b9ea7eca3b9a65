import { rootDevices } from '../../devices/correlation';
import type { Device, DeviceSnapshot, Holder } from '../../devices/device';
import { describeHolders, settledHolders, systemUsers } from '../../devices/disk-users';
import { type RecordedIdentity, verifiedDevice } from '../../devices/identity';
import { serialNames } from '../../devices/serial';
import { exportName } from '../../exports/naming';
import type { Mapping } from '../../model/operation';
import type { DiskUse } from '../decision';
import type { RunContext } from './run-context';

/**
 * Who uses the disk of a volume. Where the disk is not known, the users of every disk that may be it: only if
 * none of them is in use does it not matter which one it is. `patient`: users that may be gone in a moment are
 * waited for.
 */
export async function readUse(
  run: RunContext,
  volumeId: string,
  { patient }: { readonly patient: boolean },
): Promise<DiskUse> {
  const { ledger, watcher, exports, traffic } = run.parts;
  const { applianceVmId } = run.parts.policy();
  const mappings = applianceVmId === null ? [] : await run.active(() => ledger.listMappings(applianceVmId));
  const snapshot = await watcher.scan();
  const device = deviceOfVolume(
    snapshot,
    volumeId,
    mappings.find((one) => one.volumeId === volumeId) ?? null,
  );
  const namesakes = snapshot.devices.filter(({ serial }) => serialNames(volumeId, serial));
  const candidates =
    namesakes.length > 0 ? namesakes : device ? [device] : suspects(snapshot, volumeId, mappings);
  const users = await usersOf(run, candidates, patient);
  const found = [...users].flatMap(([path, holders]) => (device ? holders : holders.map(named(path))));
  const clients = await exports.clients(exportName(volumeId));
  const seen = found.filter((holder) => holder.kind === 'nbd-client').length;
  const disk = device ? 'found' : candidates.length === 0 ? 'not-there' : 'unclear';
  const details = clients.details.length > 0 ? clients.details : [`${clients.count} connection(s)`];
  const served = details.map((detail) => ({ kind: 'nbd-client' as const, detail }));
  const holders = clients.count <= seen ? found : [...systemUsers(found), ...served];
  const isServed = holders.some(({ kind }) => kind === 'nbd-client');
  // Two disks with one serial: nobody knows which one the clients use.
  if (!isServed || device === null || candidates.length !== 1) return { disk, holders };
  return { disk, holders, traffic: await traffic.settled(device) };
}

/** Who uses this device, after users that may be gone in a moment have been waited for. */
export async function readUseOf(run: RunContext, device: Device): Promise<DiskUse> {
  const users = await usersOf(run, [device], true);
  return { disk: 'found', holders: users.get(device.path) ?? [] };
}

async function usersOf(
  run: RunContext,
  devices: readonly Device[],
  patient: boolean,
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  const { guest, clock } = run.parts;
  if (!patient) return guest.holders(devices);
  return settledHolders(guest, clock, devices, {
    signal: run.signal,
    onWait: (users) =>
      run.announce('in-use', `the disk is in use, perhaps for a moment: ${describeHolders(users)}`),
  });
}

function named(path: string): (holder: Holder) => Holder {
  return ({ kind, detail }) => ({ kind, detail: `${path}: ${detail}` });
}

/** The guest's disk of a volume: found by its serial, or by the mapping where disks have none. */
export function deviceOfVolume(
  snapshot: DeviceSnapshot,
  volumeId: string,
  mapping: RecordedIdentity | null,
): Device | null {
  const bySerial = snapshot.devices.find((device) => serialNames(volumeId, device.serial));
  if (bySerial) return bySerial;
  return mapping && verifiedDevice(mapping, snapshot).device;
}

/**
 * Disks that may be this volume: without a serial, not the system's, and not proven to be another volume's.
 */
function suspects(snapshot: DeviceSnapshot, volumeId: string, mappings: readonly Mapping[]): Device[] {
  const roots = rootDevices(snapshot);
  const taken = new Set(
    mappings
      .filter((mapping) => mapping.volumeId !== volumeId)
      .flatMap((mapping) => deviceOfVolume(snapshot, mapping.volumeId, mapping)?.name ?? []),
  );
  return snapshot.devices.filter(
    ({ name, serial }) => serial === null && !roots.has(name) && !taken.has(name),
  );
}
